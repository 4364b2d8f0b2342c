"""Scores of cell data sets over the thresholds: the mean of videos, the pooled figure, the best threshold."""

from __future__ import annotations

import numpy as np
import pytest

from reprolib import ctc, data, evaluate, metrics
from reprolib.tiling import SEVEN_ROTATIONS

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


# --- several folds together


def em_slices(seed: int, depth: int = 5):
    """Labels of wavy membranes, and noisy probabilities of cell: (depth, 40, 48)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:40, :48]
    phase = rng.uniform(0, 9, (depth, 1, 1))
    labels = ((y + 3 * np.sin(x / 5 + phase)) % 13 > 2) & ((x + 2 * np.sin(y / 4 + phase)) % 17 > 2)
    probability = np.clip(0.15 + 0.6 * labels + rng.normal(0, 0.25, labels.shape), 0, 1)
    return labels.astype(np.uint8), probability.astype(np.float32)


def scores_of(found, thresholds):
    """What a record keeps of one fold."""
    held_out = {name: evaluate.plain(result) for name, result in found.items()}
    count = next(iter(found.values())).per_slice.shape[1]
    return {
        "held_out": held_out,
        "training": {name: {"threshold": thresholds[name]} for name in found},
        "images": [{}] * count,
    }


def test_pooled_em_figures_are_those_of_all_slices_at_once():
    labels, probability = em_slices(0)
    parts = [slice(0, 2), slice(2, 5)]  # folds of unequal length
    fixed = dict.fromkeys(metrics.METRICS, metrics.THRESHOLDS[6])
    folds = [scores_of(metrics.evaluate_stack(labels[p], probability[p]), fixed) for p in parts]
    together = metrics.evaluate_stack(labels, probability)
    for name, pooled in evaluate.pool(folds).items():
        assert pooled["score"] == pytest.approx(together[name].score, abs=1e-12), name
        assert pooled["threshold"] == together[name].threshold
        row = together[name].rows[6]
        assert pooled["at_training_threshold"] == pytest.approx(evaluate.FIGURES[name](row), abs=1e-12), name


def test_each_fold_keeps_its_own_training_threshold():
    labels, probability = em_slices(1, depth=4)
    at = [dict.fromkeys(metrics.METRICS, metrics.THRESHOLDS[k]) for k in (3, 7)]
    folds = [
        scores_of(metrics.evaluate_stack(labels[p], probability[p]), fixed)
        for p, fixed in zip((slice(0, 2), slice(2, 4)), at, strict=True)
    ]
    # the same, by a probability whose values at both thresholds are moved to one half
    decided = np.concatenate([probability[:2].astype(np.float64) > 0.3, probability[2:].astype(np.float64) > 0.7])
    together = metrics.pixel_error(labels, decided.astype(np.float32), (0.5,))
    assert evaluate.pool(folds)["pixel_error"]["at_training_threshold"] == pytest.approx(together.score, abs=1e-12)


def test_pooled_cell_figures_are_those_of_both_videos_at_once():
    gold, probability, ignore = frames(3)
    ignore[1, 5:9] = True
    together = evaluate.evaluate_cells(NAMES, gold, probability, ignore)
    fixed = dict.fromkeys(together, metrics.THRESHOLDS[5])
    folds = [
        scores_of(evaluate.evaluate_cells(NAMES[p], gold[p], probability[p], ignore[p]), fixed)
        for p in (slice(0, 2), slice(2, 3))
    ]
    for name, pooled in evaluate.pool(folds).items():
        assert pooled["score"] == pytest.approx(together[name].score, abs=1e-12), name
        assert pooled["at_training_threshold"] == pytest.approx(together[name].rows[5][name], abs=1e-12), name


def test_nothing_and_unrotated_scores_cannot_be_pooled_as_rotated():
    labels, probability = em_slices(2, depth=1)
    part = scores_of(metrics.evaluate_stack(labels, probability), dict.fromkeys(metrics.METRICS, 0.5))
    for scores, rotated in (([], False), ([part], True)):
        with pytest.raises(ValueError, match="pool takes the scores of one or more folds"):
            evaluate.pool(scores, rotated)


# --- rotations


def test_the_mean_over_rotations_covers_the_turned_image_in_one_tile(monkeypatch):
    tiles = []

    def remember(model, image, tile, rotations, flips, scale):
        tiles.append(tile)
        return np.stack([image, image])

    monkeypatch.setattr(evaluate, "predict", remember)
    image = data.load("phantom-em").images[:1]
    side = max(image.shape[1:])
    evaluate.predict_cells(None, image)
    evaluate.predict_cells(None, image, rotations=(90.0, 180.0))
    evaluate.predict_cells(None, image, rotations=SEVEN_ROTATIONS)
    straight, right_angles, turned = (tile - 184 for tile in tiles)
    assert side <= straight == right_angles < side + 16
    assert np.hypot(*image.shape[1:]) <= turned < np.hypot(*image.shape[1:]) + 17


def test_flips_and_scale_reach_the_prediction_and_the_tile_covers_the_resampled_image(monkeypatch):
    calls = []

    def remember(model, image, **options):
        calls.append(options)
        return np.stack([image, image])

    monkeypatch.setattr(evaluate, "predict", remember)
    evaluate.predict_cells(None, np.zeros((1, 512, 400)), scale=0.5, flips=True)
    assert calls == [{"tile": 444, "rotations": (0.0,), "flips": True, "scale": 0.5}]  # 260 px of output for 256


# --- cells one by one


def grounds(*squares):
    """(1, 20, 40) labels from (label, rows, columns)."""
    labels = np.zeros((1, 20, 40), np.int32)
    for label, rows, columns in squares:
        labels[0, slice(*rows), slice(*columns)] = label
    return labels


NOTHING = np.zeros((1, 20, 40), bool)


def lost(gold, foreground, ignore=NOTHING, **options):
    rows = evaluate.cell_scores(("01/t004",), gold, np.where(foreground > 0, 0.9, 0.1), ignore, **options)
    return {row["gold"]: (row.get("lost"), row["iou"]) for row in rows}


def test_a_cell_that_is_found_is_not_lost():
    gold = grounds((3, (2, 12), (2, 12)), (8, (2, 12), (20, 30)))
    assert lost(gold, gold) == {3: (None, 1.0), 8: (None, 1.0)}
    (first, _) = evaluate.cell_scores(("01/t004",), gold, (gold > 0).astype(float), NOTHING)
    assert first == {"image": "01/t004", "gold": 3, "iou": 1.0, "size": 100}


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
    rows = evaluate.cell_scores(NAMES, gold, probability, ignore, 5)
    row = next(row for row in evaluate.evaluate_cells(NAMES, gold, probability, ignore, 5)["seg"].rows
               if row["threshold"] == 0.5)  # fmt: skip
    assert np.mean([cell["iou"] for cell in rows]) == pytest.approx(row["seg_pooled"], abs=1e-4)
    assert len(rows) == row["cells"] and {cell["image"] for cell in rows} == set(NAMES)
    assert all(cell["iou"] == 0 for cell in rows if cell.get("lost") in ("split", "missed"))


# --- watershed


def test_the_watershed_parts_touching_cells_that_components_run_together():
    gold = np.zeros((2, 60, 120), np.int32)
    gold[:, 20:40, 20:50], gold[:, 20:40, 50:80] = 1, 2
    probability = np.where(gold > 0, 0.95, 0.05)
    probability[:, :, 49:51] = np.minimum(probability[:, :, 49:51], 0.6)
    names, nothing = ("01/t000", "02/t000"), np.zeros(gold.shape, bool)
    rows = evaluate.watershed_scores(names, gold, probability, nothing)
    assert len(rows) == 9 and {(row["seed"], row["threshold"]) for row in rows} == {
        (seed, threshold) for seed in (0.7, 0.8, 0.9) for threshold in (0.3, 0.4, 0.5)
    }
    for row in rows:
        assert row["seg"] == row["seg 01"] == row["seg 02"] == 1.0
    components = evaluate.evaluate_cells(names, gold, probability, nothing, thresholds=(0.5,))["seg"]
    assert components.score == 0.5  # one result cell, half of which is each gold cell
    assert {row["seg"] for row in evaluate.watershed_scores(names, gold, probability, nothing, smallest=601)} == {0.0}


def test_the_watershed_of_a_probability_without_seeds_scores_as_its_8_connected_components():
    gold, probability, ignore = frames(2)  # cells of 169 px: fewer than a seed has
    ignore[1, 5:9] = True
    rows = evaluate.watershed_scores(NAMES, gold, probability, ignore, smallest=5)
    found = evaluate.evaluate_cells(NAMES, gold, probability, ignore, 5, connectivity=8, thresholds=(0.3, 0.4, 0.5))
    for row in rows:
        (plain,) = (one for one in found["seg"].rows if one["threshold"] == row["threshold"])
        assert (row["seg"], row["seg 01"], row["seg 02"]) == (plain["seg"], plain["seg 01"], plain["seg 02"])
