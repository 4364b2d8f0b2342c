"""SEG, foreground IoU and instances: hand-made masks, a peer package, properties, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ctc_metrics.metrics import seg as peer_seg
from ctc_metrics.utils.representations import match as peer_match
from PIL import Image
from scipy import ndimage

from reprolib.evaluation import ctc


def blocks(**labels):
    """(12, 12) labels from name=(label, rows, columns)."""
    image = np.zeros((12, 12), np.int32)
    for label, rows, columns in labels.values():
        image[slice(*rows), slice(*columns)] = label
    return image


GOLD = blocks(a=(1, (0, 4), (0, 4)), b=(7, (6, 10), (6, 12)))


def random_cells(seed, shape=(60, 50), cells=9):
    """Two label images of blobs that partly agree; labels have gaps and differ between the two."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    gold, result = np.zeros(shape, np.uint16), np.zeros(shape, np.uint16)
    for label in rng.permutation(3 * cells)[:cells] + 1:
        centre, radius = rng.uniform(0, shape), rng.uniform(3, 9)
        gold[np.hypot(y - centre[0], x - centre[1]) < radius] = label
        centre = centre + rng.normal(scale=2.5, size=2)
        result[np.hypot(y - centre[0], x - centre[1]) < radius * rng.uniform(0.6, 1.3)] = 100 - label
    gold[0, 0] = result[0, 0] = 0
    return gold, result


# --- SEG


def test_equal_cells_score_one_whatever_their_labels():
    other = np.where(GOLD == 1, 9, np.where(GOLD == 7, 2, 0))
    scored = ctc.seg(GOLD, other)
    assert scored.score == 1
    assert [(c.gold, c.result, c.iou, c.size) for c in scored.cells] == [(1, 9, 1.0, 16), (7, 2, 1.0, 24)]


def test_a_cell_covered_by_exactly_half_is_not_matched():
    half = blocks(a=(3, (0, 2), (0, 4)), b=(4, (6, 10), (6, 12)))
    scored = ctc.seg(GOLD, half)
    assert [(c.result, c.iou) for c in scored.cells] == [(0, 0.0), (4, 1.0)]
    assert scored.score == 0.5


def test_a_cell_covered_by_one_pixel_more_than_half_is_matched():
    more = blocks(a=(3, (0, 2), (0, 4)), c=(3, (2, 3), (0, 1)))
    assert ctc.seg(GOLD, more).cells[0] == ctc.CellScore(image=0, gold=1, result=3, iou=9 / 16, size=16)


def test_one_result_cell_over_two_gold_cells_can_match_both():
    everything = np.ones_like(GOLD)
    assert [c.iou for c in ctc.seg(GOLD, everything).cells] == [16 / 144, 24 / 144]


def test_result_cells_without_a_match_cost_nothing():
    extra = GOLD.copy()
    extra[0:3, 8:11] = 50
    assert ctc.seg(GOLD, extra).score == 1


def test_touching_cells_joined_lose_the_smaller_ones_score():
    gold = blocks(a=(1, (0, 4), (0, 4)), b=(2, (0, 4), (4, 6)))
    joined = (gold > 0).astype(np.int32)
    assert [c.iou for c in ctc.seg(gold, joined).cells] == [16 / 24, 8 / 24]
    assert ctc.foreground_iou(gold, joined) == 1  # the easier figure does not see it


@pytest.mark.parametrize("seed", range(12))
def test_seg_equals_py_ctcmetrics(seed, tmp_path):
    stack = [random_cells(100 * seed + n) for n in range(3)]
    references, ious = [], []
    for n, (gold, result) in enumerate(stack):
        Image.fromarray(gold).save(tmp_path / f"gold{n}.tif")
        Image.fromarray(result).save(tmp_path / f"result{n}.tif")
        labels, _, matched, partners, iou = peer_match(str(tmp_path / f"gold{n}.tif"), str(tmp_path / f"result{n}.tif"))
        references.append(labels)
        ious.append(iou)
        theirs = {a: (b, value) for a, b, value in zip(matched, partners, iou, strict=True)}
        ours = {c.gold: (c.result, c.iou) for c in ctc.seg(gold, result).cells}
        assert sorted(ours) == labels
        assert {k: v[0] for k, v in ours.items() if v[0]} == {k: v[0] for k, v in theirs.items()}
        for label, (_, value) in theirs.items():
            assert ours[label][1] == pytest.approx(value, abs=1e-12)
    golds, results = (np.stack(images) for images in zip(*stack, strict=True))
    scored = ctc.seg(golds, results)
    assert scored.score == pytest.approx(peer_seg(references, ious), abs=1e-12)
    assert 0 < scored.score < 1


def test_images_are_pooled_by_cell_and_keep_their_number():
    empty = np.zeros_like(GOLD)
    scored = ctc.seg(np.stack([GOLD, empty, GOLD]), np.stack([GOLD, GOLD, empty]))
    assert [c.image for c in scored.cells] == [0, 0, 2, 2]
    assert scored.score == 0.5


def test_relabelling_changes_no_iou():
    gold, result = random_cells(3)
    order = np.random.default_rng(0).permutation(200)
    order = np.concatenate([[0], order[order > 0]])
    base, other = ctc.seg(gold, result), ctc.seg(order[gold], order[result])
    assert sorted(c.iou for c in base.cells) == sorted(c.iou for c in other.cells)


# --- ignored pixels


def test_ignored_pixels_are_cut_from_gold_and_result_alike():
    gold, result = random_cells(4)
    ignore = np.zeros(gold.shape, bool)
    ignore[:, 20:35] = True
    cut = np.delete(gold, np.s_[20:35], axis=1), np.delete(result, np.s_[20:35], axis=1)
    masked, removed = ctc.seg(gold, result, ignore), ctc.seg(*cut)
    assert masked == removed
    assert ctc.foreground_iou(gold, result, ignore) == ctc.foreground_iou(*cut)
    assert masked.score != ctc.seg(gold, result).score


def test_a_gold_cell_wholly_ignored_is_not_scored():
    scored = ctc.seg(GOLD, np.zeros_like(GOLD), GOLD == 7)
    assert [c.gold for c in scored.cells] == [1]


@pytest.mark.parametrize("ignore", [None, np.ones(GOLD.shape, bool)])
def test_nothing_to_score_is_nan(ignore):
    gold = np.zeros_like(GOLD) if ignore is None else GOLD
    scored = ctc.seg(gold, GOLD, ignore)
    assert math.isnan(scored.score) and scored.cells == ()
    assert math.isnan(ctc.foreground_iou(gold, np.zeros_like(GOLD), ignore))


# --- foreground IoU


def test_foreground_iou_pools_pixels_over_images():
    half = blocks(a=(3, (0, 2), (0, 4)))
    assert ctc.foreground_iou(GOLD, half) == 8 / 40
    assert ctc.foreground_iou(np.stack([GOLD, GOLD]), np.stack([half, GOLD])) == 48 / 80
    assert ctc.foreground_iou(np.zeros_like(GOLD), GOLD) == 0


# --- several videos


def test_the_score_of_a_data_set_is_the_mean_of_its_videos_not_of_its_cells():
    """Video 01: one image, one cell, found. Video 02: two images of two cells each, one cell found whole."""
    gold = np.stack([np.where(GOLD == 1, 1, 0), GOLD, GOLD])
    result = np.stack([GOLD, np.where(GOLD == 1, 5, 0), np.zeros_like(GOLD)])
    found = ctc.by_video(("01/t000", "02/t000", "02/t007"), gold, result)
    assert {video: seg.score for video, seg in found.videos.items()} == {"01": 1.0, "02": 0.25}
    assert found.score == pytest.approx((1 + 0.25) / 2) and found.pooled.score == pytest.approx(2 / 5)
    assert [cell.image for cell in found.videos["02"].cells] == [1, 1, 2, 2]


@pytest.mark.parametrize("seed", range(3))
def test_each_videos_score_is_that_of_its_images_alone(seed):
    pairs = [random_cells(10 * seed + n) for n in range(5)]
    gold, result = (np.stack(planes) for planes in zip(*pairs, strict=True))
    ignore = np.random.default_rng(seed).random(gold.shape) < 0.05
    names = ("01/t001", "02/t000", "01/t004", "02/t001", "02/t002")
    found = ctc.by_video(names, gold, result, ignore)
    for video, chosen in (("01", [0, 2]), ("02", [1, 3, 4])):
        assert found.videos[video].score == ctc.seg(gold[chosen], result[chosen], ignore[chosen]).score
    assert found.pooled == ctc.seg(gold, result, ignore)


def test_images_without_a_video_are_one_and_a_video_without_gold_cells_has_no_say():
    pair = np.stack([GOLD, GOLD])
    assert list(ctc.by_video(("a", "b"), pair, pair).videos) == [""]
    empty = ctc.by_video(("01/a", "02/a"), np.stack([GOLD, 0 * GOLD]), pair)
    assert empty.score == 1.0 and math.isnan(empty.videos["02"].score)
    assert math.isnan(ctc.by_video(("a", "b"), 0 * pair, pair).score)


def test_every_image_needs_a_name():
    with pytest.raises(ValueError, match="one name per image: 1 names"):
        ctc.by_video(("a",), np.stack([GOLD, GOLD]), np.stack([GOLD, GOLD]))


# --- instances


def test_instances_touching_at_a_corner_are_two():
    mask = np.array([[1, 0], [0, 1]], bool)
    assert ctc.instances(mask).tolist() == [[1, 0], [0, 2]]


def test_a_probability_at_the_threshold_is_background():
    probability = np.array([[0.5, 0.51, 0.0, 1.0]], np.float32)
    assert ctc.instances(probability).tolist() == [[0, 1, 0, 2]]
    # float32 0.1 is a little more than the double 0.1
    assert ctc.instances(np.full((1, 1), 0.1, np.float32), threshold=0.1).tolist() == [[1]]


def test_components_smaller_than_smallest_are_dropped_and_numbers_close_up():
    image = np.array([[1, 0, 1, 1, 0, 1, 1, 1]], bool)
    assert ctc.instances(image).tolist() == [[1, 0, 2, 2, 0, 3, 3, 3]]
    assert ctc.instances(image, smallest=2).tolist() == [[0, 0, 1, 1, 0, 2, 2, 2]]
    assert ctc.instances(image, smallest=3).tolist() == [[0, 0, 0, 0, 0, 1, 1, 1]]
    assert not ctc.instances(image, smallest=4).any()


def test_each_image_is_numbered_by_itself():
    masks = np.random.default_rng(1).random((3, 20, 20)) < 0.4
    labels = ctc.instances(masks)
    assert labels.dtype == np.int32 and labels.shape == masks.shape
    for mask, image in zip(masks, labels, strict=True):
        assert (image == ndimage.label(mask)[0]).all()


def test_pixels_that_meet_at_a_corner_are_one_cell_with_connectivity_8():
    mask = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]], bool)
    assert ctc.instances(mask, connectivity=4).tolist() == [[1, 0, 0], [0, 2, 0], [0, 0, 0], [3, 0, 0]]
    assert ctc.instances(mask, connectivity=8).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0], [2, 0, 0]]
    assert ctc.instances(mask, smallest=2, connectivity=8).any() and not ctc.instances(mask, smallest=2).any()


def joined_by_a_path(mask, steps):
    """Components of a mask by flood fill, as sets of pixels."""
    left, found = set(zip(*np.nonzero(mask), strict=True)), set()
    while left:
        piece, edge = set(), {left.pop()}
        while edge:
            piece |= edge
            edge = {(y + a, x + b) for y, x in edge for a, b in steps} & left
            left -= edge
        found.add(frozenset(piece))
    return found


@pytest.mark.parametrize("connectivity", [4, 8])
def test_instances_are_the_pieces_of_a_flood_fill(connectivity):
    steps = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a or b) and (connectivity == 8 or not a * b)]
    for mask in np.random.default_rng(0).random((4, 15, 20)) < 0.45:
        labels = ctc.instances(mask, connectivity=connectivity)
        found = {frozenset(zip(*np.nonzero(labels == k), strict=True)) for k in range(1, labels.max() + 1)}
        assert found == joined_by_a_path(mask, steps) and np.array_equal(labels > 0, mask)


# --- watershed


def discs(bridge=0.6, radius=12):
    """(40, 80): two discs of probability 0.95, joined by a bridge of 4 px width, on a ground of 0.05."""
    y, x = np.mgrid[:40, :80]
    probability = np.full((40, 80), 0.05, np.float32)
    probability[18:22, 20:60] = bridge
    for centre in (20, 60):
        probability[np.hypot(y - 20, x - centre) < radius] = 0.95
    return probability


def test_two_discs_that_a_faint_bridge_joins_come_apart():
    probability = discs()
    assert ctc.instances(probability, 0.5).max() == 1
    labels = ctc.watershed(probability)
    assert labels.dtype == np.int32 and labels.max() == 2
    assert np.array_equal(labels > 0, probability > 0.5)
    left, right = labels[20, 20], labels[20, 60]
    assert left != right
    assert (labels[probability > 0.9][np.nonzero(probability > 0.9)[1] < 40] == left).all()
    assert (labels[probability > 0.9][np.nonzero(probability > 0.9)[1] >= 40] == right).all()
    (middle,) = np.flatnonzero((labels[20, :-1] == left) & (labels[20, 1:] == right))
    assert abs(middle - 39.5) <= 1.5  # they meet half-way along the bridge
    bright = ctc.watershed(discs(bridge=0.95))
    assert bright.max() == 1  # without a fainter border there is nothing to part them


def test_a_component_without_a_seed_is_a_cell_of_its_own():
    probability = discs()
    probability[2:8, 2:8] = 0.7  # never above the seeds' level
    probability[2:8, 70:76] = 0.95  # above it, but fewer than 300 px
    labels = ctc.watershed(probability)
    assert labels.max() == 4 and np.array_equal(labels > 0, probability > 0.5)
    for corner in (np.s_[2:8, 2:8], np.s_[2:8, 70:76]):
        assert len(np.unique(labels[corner])) == 1 and np.count_nonzero(labels == labels[corner][0, 0]) == 36


def test_small_cells_are_dropped_and_numbers_close_up():
    probability = discs()
    probability[2:8, 2:8] = 0.7
    sizes = np.bincount(ctc.watershed(probability).ravel())[1:]
    assert sorted(sizes)[0] == 36
    for smallest in (36, 37, int(max(sizes)), int(max(sizes)) + 1):
        kept = ctc.watershed(probability, smallest=smallest)
        assert sorted(np.bincount(kept.ravel())[1:]) == sorted(size for size in sizes if size >= smallest)


@pytest.mark.parametrize("seed", range(6))
def test_every_pixel_of_the_foreground_is_in_a_cell_and_cells_lie_within_components(seed):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(60, 70)), 1.5)
    probability = np.clip(0.5 + 1.2 * noise, 0, 1)
    labels = ctc.watershed(probability, seed=0.8, threshold=0.5, smallest_seed=4)
    assert np.array_equal(labels > 0, probability > 0.5)
    assert np.unique(labels).tolist() == list(range(labels.max() + 1))
    components, seeds = (ctc.instances(probability, level, connectivity=8) for level in (0.5, 0.8))
    for label in range(1, labels.max() + 1):
        assert len(np.unique(components[labels == label])) == 1
    for label in range(1, seeds.max() + 1):  # a seed is never cut
        if np.count_nonzero(seeds == label) >= 4:
            assert len(np.unique(labels[seeds == label])) == 1
    assert components.max() < labels.max()


def test_seeds_at_the_threshold_give_the_8_connected_components():
    probability = np.random.default_rng(0).random((40, 40))
    labels = ctc.watershed(probability, 0.6, 0.6, smallest_seed=0)
    assert np.array_equal(labels, ctc.instances(probability, 0.6, connectivity=8))


def test_without_any_foreground_there_is_no_cell():
    assert not ctc.watershed(np.full((9, 9), 0.2)).any()


# --- errors


@pytest.mark.parametrize(
    ("gold", "result", "ignore", "message"),
    [
        (GOLD.astype(float), GOLD, None, "gold must be an integer array"),
        (GOLD, GOLD > 0, None, "result must be an integer array of instance labels, not bool"),
        (GOLD, GOLD.tolist(), None, "result must be an integer array"),
        (GOLD, GOLD[:-1], None, "must have the same shape"),
        (GOLD[0], GOLD[0], None, r"\(H, W\) or \(N, H, W\)"),
        (GOLD[:0], GOLD[:0], None, "not empty"),
        (GOLD, -GOLD, None, "holds the label -7"),
        (GOLD, GOLD, GOLD, "ignore must be a bool array"),
        (GOLD, GOLD, np.zeros((3, 3), bool), r"gold's shape \(12, 12\)"),
    ],
)
@pytest.mark.parametrize("function", [ctc.seg, ctc.foreground_iou])
def test_bad_labels_are_refused_in_one_sentence(function, gold, result, ignore, message):
    with pytest.raises(ValueError, match=message) as error:
        function(gold, result, ignore)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (GOLD, {}, "bool mask or floating probabilities, not int32"),
        ([[0.5]], {}, "not <class 'list'>"),
        (np.ones(4), {}, r"shape \(H, W\)"),
        (np.ones((0, 4)), {}, "not empty"),
        (np.full((2, 2), np.nan), {}, "not NaN"),
        (np.full((2, 2), 1.5), {}, r"in \[0, 1\]"),
        (np.ones((2, 2)), {"threshold": 1.5}, "threshold must be"),
        (np.ones((2, 2)), {"threshold": math.nan}, "threshold must be"),
        (np.ones((2, 2)), {"smallest": -1}, "smallest must be"),
        (np.ones((2, 2)), {"smallest": 2.5}, "smallest must be"),
        (np.ones((2, 2)), {"connectivity": 6}, "connectivity must be 4 or 8, not 6"),
    ],
)
def test_bad_images_are_refused_in_one_sentence(image, options, message):
    with pytest.raises(ValueError, match=message) as error:
        ctc.instances(image, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (np.ones((2, 2), bool), {}, "the probabilities of one image"),
        (np.ones((3, 2, 2)), {}, "the probabilities of one image"),
        (np.ones((0, 2)), {}, "not empty"),
        (np.full((2, 2), np.nan), {}, "not NaN"),
        (np.full((2, 2), 1.5), {}, r"in \[0, 1\]"),
        (np.ones((2, 2)), {"seed": 0.4}, "level must be at or above the threshold, both in .*, not 0.4, 0.5"),
        (np.ones((2, 2)), {"seed": 1.1}, "level must be"),
        (np.ones((2, 2)), {"threshold": math.nan}, "level must be"),
        (np.ones((2, 2)), {"smallest": -1}, "smallest must be"),
        (np.ones((2, 2)), {"smallest_seed": 2.5}, "smallest must be"),
    ],
)
def test_what_no_watershed_can_be_made_of_is_refused(image, options, message):
    with pytest.raises(ValueError, match=message) as error:
        ctc.watershed(image, **options)
    assert "\n" not in str(error.value)
