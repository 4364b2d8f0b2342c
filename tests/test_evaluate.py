"""Scores of cell data sets over the thresholds: the mean of videos, the pooled figure, the best threshold."""

from __future__ import annotations

import numpy as np
import pytest

from reprolib import ctc, evaluate, metrics

NAMES = ("01/t000", "01/t003", "02/t001")


def frames(seed: int = 0):
    """Three frames of four square cells, with probabilities that are higher inside but noisy."""
    rng = np.random.default_rng(seed)
    gold = np.zeros((3, 40, 40), np.int32)
    for frame in gold:
        for label, (y, x) in enumerate(((3, 3), (3, 22), (22, 3), (22, 22)), start=1):
            y, x = rng.integers(-2, 3, 2) + (y, x)
            frame[y : y + 13, x : x + 13] = label
    gold[0][gold[0] > 2] = 0  # fewer cells in video 01
    noise = rng.normal(0, 0.25, gold.shape)
    probability = np.clip(0.2 + 0.5 * (gold > 0) + noise, 0, 1).astype(np.float32)
    return gold, probability, np.zeros(gold.shape, bool)


def test_every_row_holds_the_mean_of_the_videos_each_video_and_the_pooled_cells():
    gold, probability, ignore = frames()
    found = evaluate.evaluate_cells(NAMES, gold, probability, ignore, smallest=5)
    for row in found["seg"].rows:
        result = ctc.instances(probability, row["threshold"], 5)
        first, second = ctc.seg(gold[:2], result[:2]), ctc.seg(gold[2:], result[2:])
        assert (row["seg 01"], row["seg 02"]) == (first.score, second.score)
        assert row["seg"] == pytest.approx((first.score + second.score) / 2)
        assert row["seg_pooled"] == pytest.approx((6 * first.score + 4 * second.score) / 10)
        assert row["cells"] == 10
        assert row["foreground_iou"] == ctc.foreground_iou(gold, result)


def test_the_score_is_that_of_the_best_threshold_and_each_figure_has_its_own():
    gold, probability, ignore = frames()
    found = evaluate.evaluate_cells(NAMES, gold, probability, ignore)
    assert [row["threshold"] for row in found["seg"].rows] == list(metrics.THRESHOLDS)
    for name, result in found.items():
        values = [row[name] for row in result.rows]
        assert result.score == max(values) == values[metrics.THRESHOLDS.index(result.threshold)]
    assert found["seg"].per_slice.shape == (10, 3)


def test_a_perfect_prediction_scores_one_in_every_video():
    gold, _, ignore = frames()
    found = evaluate.evaluate_cells(NAMES, gold, (gold > 0).astype(np.float32), ignore)
    assert found["seg"].score == found["foreground_iou"].score == 1.0


def test_images_of_no_video_make_one_score():
    gold, probability, ignore = frames()
    row = evaluate.evaluate_cells(("a", "b", "c"), gold, probability, ignore)["seg"].rows[5]
    assert row["seg"] == row["seg_pooled"] and not [key for key in row if key.startswith("seg ")]
