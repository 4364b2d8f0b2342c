"""Table 2: rows say what the records say, and the recipe follows its rule."""

from __future__ import annotations

import invented
import pytest

from reprolib.claims import table2
from reprolib.evaluation.scores import AtThreshold, GoldCell, ImageScore, Scores, WatershedScore
from reprolib.experiment import Experiment
from reprolib.plan import catalogue, recipes
from reprolib.runs import records
from reprolib.runs.records import Record

PAIRS = [(data, fold) for data in catalogue.CELLS for fold in catalogue.VIDEOS]


@pytest.mark.parametrize(("data", "fold"), PAIRS)
def test_the_recipe_of_a_cell_set_is_the_one_that_the_rule_chooses(data, fold):
    """Highest SEG at the threshold of its training frames, over all trials; each must be recorded."""
    trials = catalogue.cell_trials(data, fold)
    runs = zip(trials, records.obtained(trials.values()), strict=True)
    seg = {name: run.scores.figure("seg", oracle=False) for name, run in runs}
    assert max(seg, key=seg.get) == catalogue.CHOSEN[data, fold]


def cell_scores(fold: int, seg: tuple[float, float], pooled: float, cells: int, iou: float) -> Record:
    """Scores of one video at two thresholds, of which the first was fixed in training."""
    rows = [
        {"threshold": 0.5, "seg": seg[0], "seg_pooled": pooled, "foreground_both": 100 * iou, "foreground_either": 100,
         "foreground_iou": iou, "cells": cells},
        {"threshold": 0.6, "seg": seg[1], "seg_pooled": 0.0, "foreground_both": 0, "foreground_either": 100,
         "foreground_iou": 0.0, "cells": cells},
    ]  # fmt: skip
    best = max(rows, key=lambda row: row["seg"])
    held_out = {
        "seg": invented.curve(best["seg"], best["threshold"], rows),
        "foreground_iou": invented.curve(iou, 0.5, rows),
    }
    training = {metric: AtThreshold(1.0, 0.5) for metric in held_out}
    images = tuple(ImageScore(f"0{fold}/t{number:03d}", {}) for number in range(3))
    experiment = Experiment(data="dic-hela", fold=fold)
    return invented.record(experiment, Scores(training, held_out, images=images))


def test_the_table_gives_each_video_and_their_mean_at_the_training_threshold():
    runs = [cell_scores(2, (0.4, 0.5), 0.45, 10, 0.8), cell_scores(1, (0.6, 0.3), 0.75, 30, 0.6)]
    lines = table2.scores_table(runs, {}).splitlines()
    cells = [[word.strip() for word in line.strip("|").split("|")] for line in lines[2:]]
    assert cells[0] == ["trained on 01, scored on 02", "3", "10", "0.400", "0.450", "0.500", "0.800"]
    assert cells[1] == ["trained on 02, scored on 01", "3", "30", "0.600", "0.750", "0.600", "0.600"]
    # SEG: mean of the videos; all cells pooled: 10 at 0.45 and 30 at 0.75; foreground: pixels pooled
    assert cells[2] == ["**mean of the two videos**", "6", "40", "0.500", "0.675", "0.550", "0.700"]


def test_the_groups_of_the_papers_table_have_both_columns():
    assert all(set(row) == set(catalogue.CELLS) for row in table2.PAPER.values())


# --- the protocol's two views


def protocol_run(split: str, fold: int, seed: int, seg: float) -> Record:
    """A record of the recipe: SEG at argmax as given, 0.1 more at the best threshold, 0.2 more by one watershed."""
    thresholds = [(0.4, seg + 0.1), (0.5, seg)]
    rows = [{"threshold": t, "seg": s, "foreground_iou": 0.9, "cells": 3} for t, s in thresholds]
    scores = Scores(
        training={"seg": AtThreshold(0.95, 0.4)},
        held_out={
            "seg": invented.curve(seg + 0.1, 0.4, rows),
            "foreground_iou": invented.curve(0.9, 0.4, rows),
        },
        watershed=(WatershedScore(0.8, 0.4, seg + 0.2, {}), WatershedScore(0.9, 0.5, seg - 0.2, {})),
        images=(ImageScore("01/t002", {}), ImageScore("01/t005", {})),
        cells=(
            GoldCell("01/t002", 1, seg, 900),
            GoldCell("01/t005", 1, 0.0, 900, "missed"),
            GoldCell("01/t005", 2, 0.4, 900),
        ),
    )
    return invented.record(recipes.cells("dic-hela", split, fold, seed), scores)


@pytest.fixture
def recorded(monkeypatch):
    """Two seeds of each third, one of each video, and a trial."""
    thirds = [[protocol_run("thirds", k, seed, 0.5 + 0.1 * k + 0.02 * seed) for seed in (0, 1)] for k in (1, 2, 3)]
    across = [[protocol_run("fold", video, 0, 0.5)] for video in (2, 1)]
    monkeypatch.setattr(table2, "views", lambda data: {"thirds": thirds, "across": across})
    trial = protocol_run("inner-thirds", 1, 0, 0.7)
    monkeypatch.setattr(records, "obtained", lambda experiments: [trial])
    return thirds, across


def test_a_row_for_each_held_out_part_has_the_mean_and_the_range_of_its_seeds(recorded):
    lines = table2.views_table("dic-hela").splitlines()
    assert len(lines) == 2 + 3 + 1 + 2 + 1
    first = [cell.strip() for cell in lines[2].strip("|").split("|")]
    assert first == [
        "first third of both videos", "2", "3", "0.610 (0.600 to 0.620)", "0.710 (0.700 to 0.720)",
        "0.810 (0.800 to 0.820)", "0.900 (0.900 to 0.900)",
    ]  # fmt: skip
    mean = [cell.strip() for cell in lines[5].strip("|").split("|")]
    assert mean[:4] == ["**mean, thirds**", "6", "9", "0.710 (0.700 to 0.720)"]
    assert "**mean, across videos**" in lines[-1] and "0.500" in lines[-1]


def test_a_view_that_is_not_complete_has_no_mean(recorded):
    _, across = recorded
    across[1].clear()
    text = table2.views_table("dic-hela")
    assert "mean, across videos" not in text and "video 02" in text and "video 01, trained" not in text


def test_the_watersheds_levels_are_the_best_of_the_chosen_trial(recorded):
    assert table2.watershed_levels("dic-hela") == (0.8, 0.4)
    assert table2.mean_seg(recorded[0], (0.8, 0.4)) == pytest.approx(0.91)
    assert table2.mean_seg(recorded[0]) == pytest.approx(0.71)


def test_frames_are_ranked_by_the_mean_of_their_cells_and_losses_are_counted(recorded):
    thirds, _ = recorded
    ranked = table2.ranked_frames([thirds[0][0]])
    assert [(round(seg, 3), name) for seg, name, _ in ranked] == [(0.2, "01/t005"), (0.6, "01/t002")]
    row = [cell.strip() for cell in table2.losses(thirds).splitlines()[2].strip("|").split("|")]
    assert row == ["third 1, seed 0", "1", "1", "0", "0", "1"]


@pytest.mark.parametrize("data", recipes.CELLS)
def test_the_recipe_is_the_candidate_with_the_highest_seg_on_the_inner_split(data):
    found = table2.trial_scores(recipes.cells_trials(data))
    if len(found) < len(recipes.TRIALS[data]):
        pytest.skip(f"{len(found)} of {len(recipes.TRIALS[data])} candidates of {data} are recorded")
    assert max(found, key=found.get) == recipes.CHOSEN[data]


def test_a_seed_counts_when_all_its_parts_are_recorded(monkeypatch):
    there = {recipes.cells("dic-hela", "thirds", k, 0) for k in (1, 2, 3)} | {
        recipes.cells("dic-hela", "thirds", 1, 1),
        recipes.cells("dic-hela", "fold", 2, 0),
    }
    monkeypatch.setattr(records, "available", lambda runs: [run for run in runs if run in there])
    found = table2.views("dic-hela")
    assert [[run.seed for run in same] for same in found["thirds"]] == [[0], [0], [0]]
    assert [len(same) for same in found["across"]] == [1, 0]
    there |= {recipes.cells("dic-hela", "thirds", k, 1) for k in (2, 3)}
    assert [[run.seed for run in same] for same in table2.views("dic-hela")["thirds"]] == [[0, 1]] * 3
