"""Table 2 and Fig. 4: rows say what the records say, the recipe follows its rule, the picture shows what it should."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import LineCollection

from reprolib import catalogue, compare, recipes, table2

PAIRS = [(data, fold) for data in catalogue.CELLS for fold in catalogue.VIDEOS]


@pytest.mark.parametrize(("data", "fold"), PAIRS)
def test_the_recipe_of_a_cell_set_is_the_one_that_the_rule_chooses(data, fold):
    assert table2.best_trial(data, fold) == catalogue.CHOSEN[data, fold]


@pytest.mark.parametrize(("data", "fold"), PAIRS)
def test_a_headline_run_is_its_trial_on_the_whole_training_video(data, fold):
    trial = catalogue.cell_trials(data, fold)[catalogue.CHOSEN[data, fold]]
    assert catalogue.cells(data, fold) == trial.replace(split="fold")
    assert trial.split == "inner" and trial.fold == fold  # so the trial never saw the video that is scored


def cell_scores(fold: int, seg: tuple[float, float], pooled: float, cells: int, iou: float) -> dict:
    """Scores of one video at two thresholds, of which the first was fixed in training."""
    rows = [
        {"threshold": 0.5, "seg": seg[0], "seg_pooled": pooled, "foreground_both": 100 * iou, "foreground_either": 100,
         "foreground_iou": iou, "cells": cells},
        {"threshold": 0.6, "seg": seg[1], "seg_pooled": 0.0, "foreground_both": 0, "foreground_either": 100,
         "foreground_iou": 0.0, "cells": cells},
    ]  # fmt: skip
    best = max(rows, key=lambda row: row["seg"])
    held_out = {
        "seg": {"score": best["seg"], "threshold": best["threshold"], "rows": rows},
        "foreground_iou": {"score": iou, "threshold": 0.5, "rows": rows},
    }
    training = {metric: {"score": 1.0, "threshold": 0.5} for metric in held_out}
    images = [{"name": f"0{fold}/t{number:03d}"} for number in range(3)]
    return {
        "experiment": {"fold": fold},
        "scores": {"held_out": held_out, "training": training, "images": images},
    }


def test_the_table_gives_each_video_and_their_mean_at_the_training_threshold():
    runs = [cell_scores(2, (0.4, 0.5), 0.45, 10, 0.8), cell_scores(1, (0.6, 0.3), 0.75, 30, 0.6)]
    lines = table2.scores(runs).splitlines()
    cells = [[word.strip() for word in line.strip("|").split("|")] for line in lines[2:]]
    assert cells[0] == ["trained on 01, scored on 02", "3", "10", "0.400", "0.450", "0.500", "0.800"]
    assert cells[1] == ["trained on 02, scored on 01", "3", "30", "0.600", "0.750", "0.600", "0.600"]
    # SEG: mean of the videos; all cells pooled: 10 at 0.45 and 30 at 0.75; foreground: pixels pooled
    assert cells[2] == ["**mean of the two videos**", "6", "40", "0.500", "0.675", "0.550", "0.700"]


def test_figure_4_shows_input_mask_with_border_and_instances():
    gold, result = np.zeros((2, 40, 40), np.int32)
    gold[4:20, 4:20], result[6:22, 6:22], result[30:36, 30:36] = 1, 1, 2
    figure, axes = plt.subplots(1, 3)
    table2.figure_4(axes, np.arange(1600.0).reshape(40, 40), gold, result, "input")
    assert [len(axis.images) for axis in axes] == [1, 2, 2]
    assert all(axis.images[0].get_array().shape == (20, 20) for axis in axes)  # real frames are shown reduced
    mask = axes[1].images[1].get_array()
    assert ((mask[..., 3] > 0) == (result > 0)).all()
    (border,) = (drawn for drawn in axes[1].collections if isinstance(drawn, LineCollection))
    path = border.get_paths()[0].vertices
    assert path.min() == 3.5 and path.max() == 19.5
    assert len(np.unique(axes[2].images[1].get_array().reshape(-1, 4), axis=0)) == 3
    plt.close(figure)


def test_the_groups_of_the_papers_table_have_both_columns():
    assert all(set(row) == set(catalogue.CELLS) for row in table2.PAPER.values())


# --- the protocol's two views


def protocol_run(split: str, fold: int, seed: int, seg: float) -> dict:
    """A record of the recipe: SEG at argmax as given, 0.1 more at the best threshold, 0.2 more by one watershed."""
    thresholds = [(0.4, seg + 0.1), (0.5, seg)]
    rows = [{"threshold": t, "seg": s, "foreground_iou": 0.9, "cells": 3} for t, s in thresholds]
    scores = {
        "training": {"seg": {"score": 0.95}},
        "held_out": {"seg": {"score": seg + 0.1, "rows": rows}, "foreground_iou": {"score": 0.9, "rows": rows}},
        "watershed": [
            {"seed": 0.8, "threshold": 0.4, "seg": seg + 0.2},
            {"seed": 0.9, "threshold": 0.5, "seg": seg - 0.2},
        ],
        "images": [{}, {}],
        "cells": [
            {"image": "01/t002", "gold": 1, "iou": seg, "size": 900},
            {"image": "01/t005", "gold": 1, "iou": 0.0, "size": 900, "lost": "missed"},
            {"image": "01/t005", "gold": 2, "iou": 0.4, "size": 900},
        ],
    }
    return {"experiment": recipes.cells("dic-hela", split, fold, seed).to_dict(), "scores": scores}


@pytest.fixture
def recorded(monkeypatch):
    """Two seeds of each third, one of each video, and a trial."""
    thirds = [[protocol_run("thirds", k, seed, 0.5 + 0.1 * k + 0.02 * seed) for seed in (0, 1)] for k in (1, 2, 3)]
    across = [[protocol_run("fold", video, 0, 0.5)] for video in (2, 1)]
    monkeypatch.setattr(table2, "views", lambda data: {"thirds": thirds, "across": across})
    trial = protocol_run("inner-thirds", 1, 0, 0.7)
    monkeypatch.setattr(compare, "obtained", lambda experiments: [trial])
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
    monkeypatch.setattr(compare, "available", lambda runs: [run for run in runs if run in there])
    found = table2.views("dic-hela")
    assert [[run.seed for run in same] for same in found["thirds"]] == [[0], [0], [0]]
    assert [len(same) for same in found["across"]] == [1, 0]
    there |= {recipes.cells("dic-hela", "thirds", k, 1) for k in (2, 3)}
    assert [[run.seed for run in same] for same in table2.views("dic-hela")["thirds"]] == [[0, 1]] * 3
