"""Scores of cells over the thresholds: the mean of videos, the best threshold; each gold cell; a watershed."""

from __future__ import annotations

import numpy as np
import pytest
from made_cells import NAMES, frames

from reprolib.evaluation import ctc, isbi2012
from reprolib.evaluation.cells import evaluate_cells, gold_cells, watershed_scores
from reprolib.evaluation.scores import GoldCell


def test_every_row_holds_the_mean_of_the_videos_each_video_and_the_pooled_cells():
    gold, probability, ignore = frames()
    found = evaluate_cells(NAMES, gold, probability, ignore, smallest=5)
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
    found = evaluate_cells(NAMES, gold, probability, ignore)
    assert [row["threshold"] for row in found["seg"].rows] == list(isbi2012.THRESHOLDS)
    for name, result in found.items():
        values = [row[name] for row in result.rows]
        assert result.score == max(values) == values[isbi2012.THRESHOLDS.index(result.threshold)]
    assert found["seg"].per_slice.shape == (10, 3)


def test_a_perfect_prediction_scores_one_in_every_video():
    gold, _, ignore = frames()
    found = evaluate_cells(NAMES, gold, (gold > 0).astype(np.float32), ignore)
    assert found["seg"].score == found["foreground_iou"].score == 1.0


def test_images_of_no_video_make_one_score():
    gold, probability, ignore = frames()
    row = evaluate_cells(("a", "b", "c"), gold, probability, ignore)["seg"].rows[5]
    assert row["seg"] == row["seg_pooled"] and not [key for key in row if key.startswith("seg ")]


# --- cells one by one


def grounds(*squares):
    """(1, 20, 40) labels from (label, rows, columns)."""
    labels = np.zeros((1, 20, 40), np.int32)
    for label, rows, columns in squares:
        labels[0, slice(*rows), slice(*columns)] = label
    return labels


NOTHING = np.zeros((1, 20, 40), bool)


def lost(gold, foreground, ignore=NOTHING, **options):
    rows = gold_cells(("01/t004",), gold, np.where(foreground > 0, 0.9, 0.1), ignore, **options)
    return {cell.gold: (cell.lost, cell.iou) for cell in rows}


def test_a_cell_that_is_found_is_not_lost():
    gold = grounds((3, (2, 12), (2, 12)), (8, (2, 12), (20, 30)))
    assert lost(gold, gold) == {3: (None, 1.0), 8: (None, 1.0)}
    (first, _) = gold_cells(("01/t004",), gold, (gold > 0).astype(float), NOTHING)
    assert first == GoldCell("01/t004", 3, 1.0, 100, None)


def test_two_cells_under_one_result_cell_are_merged():
    gold = grounds((1, (2, 12), (2, 12)), (2, (2, 12), (13, 23)), (3, (2, 12), (30, 35)))
    joined = gold + grounds((9, (6, 8), (12, 13)))  # two pixels of bridge
    found = lost(gold, joined)
    assert found == {1: ("merged", round(100 / 202, 4)), 2: ("merged", round(100 / 202, 4)), 3: (None, 1.0)}


def test_a_cell_in_two_halves_is_split_and_one_that_is_barely_seen_is_missed():
    gold = grounds((1, (2, 12), (2, 12)), (2, (2, 12), (20, 30)), (3, (14, 18), (2, 6)))
    halves = grounds((1, (2, 12), (2, 7)), (1, (2, 12), (8, 12)), (1, (2, 4), (20, 30)))
    # of the first cell 50 and 40 of 100 px are found, in two pieces; of the second 20; of the third none
    assert lost(gold, halves) == {1: ("split", 0.0), 2: ("missed", 0.0), 3: ("missed", 0.0)}


def test_pixels_that_meet_at_a_corner_hold_a_cell_together_with_connectivity_8_alone():
    gold = grounds((1, (2, 12), (2, 12)))
    corner = grounds((1, (2, 8), (2, 8)), (1, (8, 12), (8, 12)))  # 36 and 16 of the cell's 100 px
    assert lost(gold, corner, connectivity=4) == {1: ("split", 0.0)}
    assert lost(gold, corner, connectivity=8) == {1: (None, 0.52)}


def test_ignored_pixels_and_small_pieces_do_not_count():
    gold = grounds((1, (2, 12), (2, 12)), (2, (2, 12), (20, 30)))
    ignore = NOTHING.copy()
    ignore[0, :, 7:] = True
    half = grounds((1, (2, 12), (2, 7)))
    assert lost(gold, half, ignore) == {1: (None, 1.0)}  # the second cell lies wholly in what is ignored
    assert lost(gold, gold, smallest=101) == {1: ("missed", 0.0), 2: ("missed", 0.0)}


def test_the_mean_of_the_cells_is_seg_at_one_half():
    gold, probability, ignore = frames(5)
    rows = gold_cells(NAMES, gold, probability, ignore, 5)
    row = next(row for row in evaluate_cells(NAMES, gold, probability, ignore, 5)["seg"].rows
               if row["threshold"] == 0.5)  # fmt: skip
    assert np.mean([cell.iou for cell in rows]) == pytest.approx(row["seg_pooled"], abs=1e-4)
    assert len(rows) == row["cells"] and {cell.image for cell in rows} == set(NAMES)
    assert all(cell.iou == 0 for cell in rows if cell.lost in ("split", "missed"))


# --- watershed


def test_the_watershed_parts_touching_cells_that_components_run_together():
    gold = np.zeros((2, 60, 120), np.int32)
    gold[:, 20:40, 20:50], gold[:, 20:40, 50:80] = 1, 2
    probability = np.where(gold > 0, 0.95, 0.05)
    probability[:, :, 49:51] = np.minimum(probability[:, :, 49:51], 0.6)
    names, nothing = ("01/t000", "02/t000"), np.zeros(gold.shape, bool)
    rows = watershed_scores(names, gold, probability, nothing)
    assert len(rows) == 9 and {(row.seed, row.threshold) for row in rows} == {
        (seed, threshold) for seed in (0.7, 0.8, 0.9) for threshold in (0.3, 0.4, 0.5)
    }
    for row in rows:
        assert row.seg == row.videos["01"] == row.videos["02"] == 1.0
    components = evaluate_cells(names, gold, probability, nothing, thresholds=(0.5,))["seg"]
    assert components.score == 0.5  # one result cell, half of which is each gold cell
    assert {row.seg for row in watershed_scores(names, gold, probability, nothing, smallest=601)} == {0.0}


def test_the_watershed_of_a_probability_without_seeds_scores_as_its_8_connected_components():
    gold, probability, ignore = frames(2)  # cells of 169 px: fewer than a seed has
    ignore[1, 5:9] = True
    rows = watershed_scores(NAMES, gold, probability, ignore, smallest=5)
    found = evaluate_cells(NAMES, gold, probability, ignore, 5, connectivity=8, thresholds=(0.3, 0.4, 0.5))
    for row in rows:
        (plain,) = (one for one in found["seg"].rows if one["threshold"] == row.threshold)
        assert (row.seg, row.videos["01"], row.videos["02"]) == (plain["seg"], plain["seg 01"], plain["seg 02"])
