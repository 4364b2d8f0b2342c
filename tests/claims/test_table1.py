"""Table 1 on the test slices: means, intervals and sentences are those of the records, and wait for all seeds."""

from __future__ import annotations

import statistics

import invented
import pytest
from scipy import stats

from reprolib.claims import results, table1
from reprolib.evaluation.isbi2012 import THRESHOLDS
from reprolib.evaluation.metric import ERRORS, ISBI2012, METRICS, RAND_ERROR, Row
from reprolib.evaluation.scores import AtThreshold, Curve, ImageScore, Rotated, Scores
from reprolib.experiment import Experiment
from reprolib.plan import recipes
from reprolib.runs.records import Record

PAPER = {"warping_error": 0.000353, "rand_error": 0.0382, "pixel_error": 0.0611}
ENTRY = {"warping_error": "warping_splits_mergers", "rand_error": "rand_f", "pixel_error": "pixel_f"}


def row(metric: str, threshold: float, score: float) -> Row:
    """A row of a metric's table that gives the score; counts such that folds pool to it."""
    if metric == "rand_error":
        both = 1000 - round(1000 * score)
        return {
            "threshold": threshold,
            "rand_f": 1 - score,
            "pairs_both": both,
            "pairs_truth": 1000,
            "pairs_proposal": 1000,
        }
    if metric == "pixel_error":
        counts = {"true_positives": 1000, "false_positives": 2000 * score / (1 - score), "false_negatives": 0}
        return {"threshold": threshold, "pixel_f": 1 - score} | counts
    return {"threshold": threshold, ENTRY.get(metric, f"{metric}_thin"): score}


def part(metric: str, best: float, at: int) -> Curve:
    """Ten rows, the best one at threshold number ``at``."""
    up = METRICS[metric].higher_is_better
    scores = [best - 0.01 * abs(k - at) if up else best * (1 + 0.1 * abs(k - at)) for k in range(10)]
    rows = [row(metric, THRESHOLDS[k], score) for k, score in enumerate(scores)]
    return invented.curve(best, THRESHOLDS[at], rows)


def run(experiment: Experiment, factor: float = 1.0) -> Record:
    """A record with the paper's figures times a factor."""
    figures = {metric: value * factor for metric, value in PAPER.items()} | {"v_rand": 0.98, "v_info": 0.99}
    rotated, straight = ({metric: part(metric, value, at) for metric, value in figures.items()} for at in (4, 5))
    held_out = {metric: part(metric, min(3 * value, 0.99), 6) for metric, value in figures.items()}
    scores = Scores(
        training={metric: AtThreshold(1.0, 0.5) for metric in figures},
        held_out=held_out,
        rotated=Rotated((0.0,), held_out, {}, ()),
        images=tuple(ImageScore(f"slice {k}", {}) for k in range(6)),
        test=invented.test_slices(straight, rotated),
    )
    return invented.record(experiment, scores)


def seeds(factors) -> list[Record]:
    return [run(recipes.em_test(seed), factor) for seed, factor in enumerate(factors)]


def test_the_papers_figures_are_those_of_its_table():
    assert {metric.key: table1.paper(metric) for metric in ERRORS} == PAPER


def test_the_interval_is_students_of_the_seeds_scores():
    factors = (0.90, 0.95, 1.0, 0.93, 0.97)
    found = table1.against(seeds(factors))[RAND_ERROR].interval
    scores = [0.0382 * factor for factor in factors]
    low, high = stats.t.interval(0.95, 4, statistics.mean(scores), stats.sem(scores))
    assert (found.mean, found.low, found.high) == pytest.approx((statistics.mean(scores), low, high))


def claims(monkeypatch, factors):
    monkeypatch.setattr(table1, "seeds", lambda width=32: seeds(factors))
    return results.em()


@pytest.mark.parametrize(
    ("factors", "word"),
    [
        ((0.90, 0.91, 0.92, 0.93, 0.94), "better"), ((0.99, 1.0, 1.01, 1.02, 1.03), "equal"),
        ((1.29, 1.30, 1.31, 1.32, 1.33), "worse"), ((0.5, 0.8, 1.1, 1.4, 1.7), "not decided"),
    ],
)  # fmt: skip
def test_a_claim_follows_from_the_interval_of_five_seeds(monkeypatch, factors, word):
    rows = claims(monkeypatch, factors)
    assert [one.verdict for one in rows] == [word] * 3
    assert [one.paper for one in rows] == ["0.000353", "0.0382", "0.0611"]
    assert not any("so far" in line for one in rows for line in one.ours)


def test_before_all_seeds_are_recorded_nothing_is_decided(monkeypatch):
    rows = claims(monkeypatch, (0.90, 0.91))
    assert {one.verdict for one in rows} == {"not decided"}
    assert all("2 of 5 seeds so far" in one.ours for one in rows)
    assert rows[1].ours[0] == "0.0346 (0.0344 to 0.0348)"  # the range: two seeds give no interval worth having
    assert "none yet" in table1.sentences(seeds((0.90, 0.91)))
    assert {one.verdict for one in claims(monkeypatch, (0.9,))} == {"not run yet"}


def test_thresholds_are_fixed_by_the_held_out_slices_of_the_folds_and_read_on_the_test_slices():
    folds = [run(recipes.em_fold(fold)) for fold in recipes.CHOICES]
    fixed = table1.fixed_thresholds(folds)
    assert fixed == dict.fromkeys([metric.key for metric in ISBI2012], THRESHOLDS[6])
    rotated = folds[0].scores.test.rotated.curves["rand_error"]
    assert RAND_ERROR.figure(rotated.row(THRESHOLDS[6])) == pytest.approx(0.0382 * 1.2)
    assert table1.figure(folds[0], RAND_ERROR) == 0.0382
    lines = table1.table({"ours": folds}, fixed).splitlines()
    assert "0.0382" in lines[-2] and "fixed thresholds" in lines[-1] and "0.0458" in lines[-1]


def test_the_table_has_the_papers_rows_and_a_row_for_each_group_that_has_runs():
    lines = table1.table({"ours": seeds((1.0, 1.1)), "nothing yet": []}).splitlines()
    assert len(lines) == 2 + 6 + 1
    assert "0.000353" in lines[3] and "u-net" in lines[3]
    assert "0.000371 (0.000353 to 0.000388)" in lines[-1]


@pytest.mark.parametrize("record", table1.seeds(), ids=lambda record: record.experiment.key)
def test_recorded_seeds_were_scored_on_the_verified_labels_with_rotations(record):
    from reprolib.data.sources import TEST_LABELS_SHA256, TEST_ROWS

    test = record.scores.test
    assert (test.rows, test.labels) == (TEST_ROWS, TEST_LABELS_SHA256)
    assert len(test.rotated.images) == 30 and len(record.curve) == 8
    assert recipes.em_test(record.experiment.seed).name == record.path.stem
