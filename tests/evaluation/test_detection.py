"""Objects found at IoU 0.5, and settings chosen by them: against brute force and known shapes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from reprolib.evaluation import detection as module
from reprolib.evaluation.detection import NOTHING, Counts, Settings, count, detection


def brute_force(gold, result):
    """Every pair of objects compared."""
    truth, proposed = (np.unique(one[one > 0]) for one in (gold, result))

    def iou(a, b):
        return np.count_nonzero((gold == a) & (result == b)) / np.count_nonzero((gold == a) | (result == b))

    found = sum(any(iou(a, b) > 0.5 for b in proposed) for a in truth)
    return Counts(found, len(truth) - found, len(proposed) - found)


@pytest.mark.parametrize("seed", range(6))
def test_counts_are_those_of_comparing_every_pair(seed):
    rng = np.random.default_rng(seed)
    gold = ndimage.label(ndimage.gaussian_filter(rng.normal(size=(60, 70)), 3) > 0.05)[0]
    result = ndimage.label(np.roll(gold, seed - 2, axis=1) * (rng.random(gold.shape) > 0.02 * seed))[0]
    assert count(gold, result) == brute_force(gold, result)
    large = np.isin(result, np.flatnonzero(np.bincount(result.ravel()) >= 20)) * result
    assert count(gold, result, smallest=20) == brute_force(gold, large)


def test_nothing_to_find_and_nothing_found_is_perfect_and_a_false_object_is_not():
    empty, one = np.zeros((5, 5), int), np.eye(5, dtype=int)
    assert count(empty, empty) == NOTHING and NOTHING.f1 == NOTHING.precision == NOTHING.recall == 1
    assert count(empty, one) == Counts(0, 0, 1) and count(empty, one).f1 == 0
    assert count(one, empty) == Counts(0, 1, 0) and count(one, empty).recall == 0
    assert Counts(3, 1, 2).f1 == pytest.approx(2 * 0.6 * 0.75 / (0.6 + 0.75)) and Counts(1, 2, 3) + NOTHING == Counts(
        1, 2, 3
    )


def blobs(seed, specks):
    """Touching pairs of discs, a probability that dips between them, bright images; specks that are no objects."""
    rng = np.random.default_rng(seed)
    gold, probability = np.zeros((96, 96), np.int32), np.full((96, 96), 0.05)
    y, x = np.mgrid[:96, :96]
    for number, (row, column) in enumerate(((20, 20), (20, 37), (60, 30), (60, 70)), start=1):
        disc = (y - row) ** 2 + (x - column) ** 2 <= 81
        gold[disc] = number
        probability = np.maximum(probability, np.exp(-((y - row) ** 2 + (x - column) ** 2) / 160))
    for row, column in rng.integers(2, 94, (specks, 2)):
        if not gold[row - 2 : row + 3, column - 2 : column + 3].any():
            probability[row, column] = 0.95
    image = 50 + 100 * (gold > 0) + rng.normal(size=gold.shape)
    return gold, probability, image


def parts(*images):
    return tuple(list(column) for column in zip(*images, strict=True))


def test_specks_are_dropped_and_touching_objects_come_apart():
    held_out, training = parts(*(blobs(k, 25) for k in range(3))), parts(blobs(9, 25))
    found = detection(*held_out, training)
    assert found.counts == Counts(12, 0, 0)
    assert found.settings.smallest > 1 and found.settings.seed is not None
    plain = sum((count(g, Settings(0.5, None, 0).objects(p)) for g, p in zip(*held_out[:2], strict=True)), NOTHING)
    assert plain.f1 < 0.5 < found.counts.f1
    assert 0 < found.otsu.f1 < found.otsu_watershed.f1  # the touching pair is one object to the threshold alone


def test_an_image_takes_no_part_in_the_choice_of_its_own_settings(monkeypatch):
    """One image that wants another threshold than all others is segmented at that of the others."""
    images = [blobs(k, 0) for k in range(3)]
    images[0] = (images[0][0], images[0][1] * 0.5, images[0][2])  # nothing of it is above 0.5
    monkeypatch.setattr(module, "SEEDS", (None,))
    monkeypatch.setattr(module, "LEVELS", (0.3, 0.6))
    alone = [blobs(k, 0) for k in (1, 2)]
    level = detection(*parts(*alone), parts(blobs(9, 0))).settings.threshold
    assert level == 0.6  # apart only there
    crossed = detection(*parts(*images), parts(blobs(9, 0)))
    assert crossed.counts.missed >= 4  # all objects of the first image


def test_a_single_held_out_image_is_segmented_at_the_settings_of_the_training_images():
    training = parts(*(blobs(k, 25) for k in range(2)))
    found = detection(*parts(blobs(5, 25)), training)
    assert found.counts == Counts(4, 0, 0)


def test_dark_objects_are_compared_with_otsus_threshold_from_below():
    images = [(gold, probability, 255 - image) for gold, probability, image in (blobs(k, 0) for k in range(2))]
    assert (
        detection(*parts(*images), parts(*images)).otsu
        == detection(*parts(*(blobs(k, 0) for k in range(2))), parts(blobs(3, 0))).otsu
    )
