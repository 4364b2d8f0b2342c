"""The learning curve: a quarter, half and all training images, and what follows from it."""

from __future__ import annotations

import dataclasses

import invented
import numpy as np
import pytest

from reprolib.data.dataset import Dataset, blocks
from reprolib.evaluation.detection import Counts, Detection, Settings
from reprolib.experiment import Experiment
from reprolib.own.learning import advice, fewer_images, learning_curve

RUN = Experiment(data="own-x", fold=1, width=2, tile=188, steps=9)


def images(count: int) -> Dataset:
    empty = np.zeros((count, 4, 4), np.int32)
    names = tuple(map(str, range(count)))
    return Dataset("own-x", empty, empty, empty > 0, names, blocks(count, min(5, count)), {}, False)


@pytest.mark.parametrize(("count", "numbers"), [(20, [4, 8]), (5, [1, 2]), (3, [1]), (2, [])])
def test_a_quarter_and_half_of_the_training_images_train(count, numbers):
    fewer = fewer_images(RUN, images(count))
    assert [one.images for one in fewer] == numbers
    assert all(one.replace(images=0) == RUN for one in fewer)


def test_the_curve_ends_at_all_images_and_the_advice_follows_its_last_step():
    def record(experiment):
        found = {4: 50, 8: 60, 0: 64}[experiment.images]
        counts = Counts(found, 100 - found, 100 - found)
        scores = invented.held_out({"seg": 0.5})
        detection = Detection(Settings(0.5, None, 0), counts, counts)
        return invented.record(experiment, dataclasses.replace(scores, detection=detection))

    curve = learning_curve(record(RUN), images(20), record)
    assert curve == [(4, 0.5), (8, 0.6), (16, 0.64)]
    assert "still rising" in advice(curve) and "with 8 training images 0.60, with 16 0.64" in advice(curve)
    assert "no longer rising" in advice([(8, 0.6), (16, 0.61)]) and "too few" in advice([(1, 0.3)])
