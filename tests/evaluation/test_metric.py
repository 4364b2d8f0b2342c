"""A metric: which way is better, how its figure follows from counts, how it pools and prints."""

from __future__ import annotations

import pytest

from reprolib.evaluation.metric import METRICS

ERRORS = {"warping_error", "rand_error", "pixel_error"}  # what is to be small; of all others, more is better


@pytest.mark.parametrize("key", METRICS)
def test_gain_and_best_agree_with_the_direction_of_the_metric(key):
    metric = METRICS[key]
    better, worse = (0.25, 0.75) if key in ERRORS else (0.75, 0.25)
    assert metric.gain(better, worse) == 0.5 and metric.gain(worse, better) == -0.5 and metric.gain(worse, worse) == 0
    assert metric.best([worse, better, worse, better]) == 1  # the first of several
    assert metric.best([better]) == 0
    for scores in ([0.1, 0.5, 0.3], [0.4, 0.2, 0.3]):
        best = scores[metric.best(scores)]
        assert all(metric.gain(best, score) >= 0 for score in scores)


# Counts of two folds that hold 1 and 3 images, and what they give together.
ROWS = (
    {
        "warping_splits_mergers": 0.1, "rand_f": 0.5, "pairs_both": 10, "pairs_truth": 20, "pairs_proposal": 20,
        "pixel_f": 0.5, "true_positives": 5, "false_positives": 4, "false_negatives": 6, "v_rand_thin": 0.8,
        "v_info_thin": 0.4, "seg": 0.9, "foreground_iou": 0.5, "foreground_both": 10, "foreground_either": 20,
    },
    {
        "warping_splits_mergers": 0.3, "rand_f": 0.75, "pairs_both": 30, "pairs_truth": 50, "pairs_proposal": 30,
        "pixel_f": 0.9, "true_positives": 45, "false_positives": 10, "false_negatives": 0, "v_rand_thin": 0.4,
        "v_info_thin": 0.8, "seg": 0.5, "foreground_iou": 0.9, "foreground_both": 90, "foreground_either": 100,
    },
)  # fmt: skip
TOGETHER = {
    "warping_error": (0.1 + 3 * 0.3) / 4,
    "rand_error": 1 - 2 * 40 / 120,
    "pixel_error": 1 - 2 * 50 / (2 * 50 + 14 + 6),
    "v_rand": (0.8 + 3 * 0.4) / 4,
    "v_info": (0.4 + 3 * 0.8) / 4,
    "seg": 0.7,  # of two videos the mean, however many frames they hold
    "foreground_iou": 100 / 120,
}


@pytest.mark.parametrize("key", METRICS)
def test_counts_are_added_before_any_ratio_and_one_fold_alone_keeps_its_figure(key):
    metric = METRICS[key]
    assert metric.pool(ROWS, (1, 3)) == pytest.approx(TOGETHER[key])
    for row, images in zip(ROWS, (1, 3), strict=True):
        assert metric.pool([row], [images]) == pytest.approx(metric.figure(row))


def test_a_score_is_printed_with_the_digits_of_its_metric():
    assert METRICS["warping_error"].print(0.0003531) == "0.00035"
    assert METRICS["seg"].print(0.92034) == "0.920"
