"""Several folds together: the figures of all their images at once, and of one fold its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_cells import NAMES, frames

from reprolib.evaluation import isbi2012
from reprolib.evaluation.cells import evaluate_cells
from reprolib.evaluation.isbi2012 import Result
from reprolib.evaluation.metric import ISBI2012, METRICS
from reprolib.evaluation.pooling import pool
from reprolib.evaluation.score import curves
from reprolib.evaluation.scores import AtThreshold, ImageScore, Rotated, Scores

FIVE = [metric.key for metric in ISBI2012]


def em_slices(seed: int, depth: int = 5):
    """Labels of wavy membranes, and noisy probabilities of cell: (depth, 40, 48)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:40, :48]
    phase = rng.uniform(0, 9, (depth, 1, 1))
    labels = ((y + 3 * np.sin(x / 5 + phase)) % 13 > 2) & ((x + 2 * np.sin(y / 4 + phase)) % 17 > 2)
    probability = np.clip(0.15 + 0.6 * labels + rng.normal(0, 0.25, labels.shape), 0, 1)
    return labels.astype(np.uint8), probability.astype(np.float32)


def scores_of(found: dict[str, Result], thresholds: dict[str, float]) -> Scores:
    """What a record keeps of one fold."""
    count = next(iter(found.values())).per_slice.shape[1]
    return Scores(
        training={name: AtThreshold(result.score, thresholds[name]) for name, result in found.items()},
        held_out=curves(found),
        images=tuple(ImageScore(f"image {k}", {}) for k in range(count)),
    )


def test_pooled_em_figures_are_those_of_all_slices_at_once():
    labels, probability = em_slices(0)
    parts = [slice(0, 2), slice(2, 5)]  # folds of unequal length
    fixed = dict.fromkeys(FIVE, isbi2012.THRESHOLDS[6])
    folds = [scores_of(isbi2012.evaluate_stack(labels[p], probability[p]), fixed) for p in parts]
    together = isbi2012.evaluate_stack(labels, probability)
    for name, pooled in pool(folds).items():
        assert pooled.score == pytest.approx(together[name].score, abs=1e-12), name
        assert pooled.threshold == together[name].threshold
        row = together[name].rows[6]
        assert pooled.at_training_threshold == pytest.approx(METRICS[name].figure(row), abs=1e-12), name


def test_each_fold_keeps_its_own_training_threshold():
    labels, probability = em_slices(1, depth=4)
    at = [dict.fromkeys(FIVE, isbi2012.THRESHOLDS[k]) for k in (3, 7)]
    folds = [
        scores_of(isbi2012.evaluate_stack(labels[p], probability[p]), fixed)
        for p, fixed in zip((slice(0, 2), slice(2, 4)), at, strict=True)
    ]
    # the same, by a probability whose values at both thresholds are moved to one half
    decided = np.concatenate([probability[:2].astype(np.float64) > 0.3, probability[2:].astype(np.float64) > 0.7])
    together = isbi2012.pixel_error(labels, decided.astype(np.float32), (0.5,))
    assert pool(folds)["pixel_error"].at_training_threshold == pytest.approx(together.score, abs=1e-12)


def test_pooled_cell_figures_are_those_of_both_videos_at_once():
    gold, probability, ignore = frames(3)
    ignore[1, 5:9] = True
    together = evaluate_cells(NAMES, gold, probability, ignore)
    fixed = dict.fromkeys(together, isbi2012.THRESHOLDS[5])
    folds = [
        scores_of(evaluate_cells(NAMES[p], gold[p], probability[p], ignore[p]), fixed)
        for p in (slice(0, 2), slice(2, 3))
    ]
    for name, pooled in pool(folds).items():
        assert pooled.score == pytest.approx(together[name].score, abs=1e-12), name
        assert pooled.at_training_threshold == pytest.approx(together[name].rows[5][name], abs=1e-12), name


def test_nothing_and_unrotated_scores_cannot_be_pooled_as_rotated():
    labels, probability = em_slices(2, depth=1)
    part = scores_of(isbi2012.evaluate_stack(labels, probability), dict.fromkeys(FIVE, 0.5))
    for scores, rotated in (([], False), ([part], True)):
        with pytest.raises(ValueError, match="pool takes the scores of one or more folds"):
            pool(scores, rotated)


@pytest.mark.parametrize("rotated", [False, True])
def test_pooling_one_fold_gives_the_folds_own_figures(rotated):
    labels, probability = em_slices(4, depth=3)
    gold, cells, ignore = frames(4)
    seen = set()
    for found in (isbi2012.evaluate_stack(labels, probability), evaluate_cells(NAMES, gold, cells, ignore)):
        fold = scores_of(found, dict.fromkeys(found, isbi2012.THRESHOLDS[6]))
        if rotated:  # the same curves as those of the rotated versions, and none of the straight ones
            fold = replace(fold, rotated=Rotated((0.0,), fold.held_out, {}, ()), held_out=None)
        for name, pooled in pool([fold], rotated).items():
            assert pooled.score == pytest.approx(found[name].score, abs=1e-12), name
            assert pooled.threshold == found[name].threshold
            assert pooled.at_training_threshold == pytest.approx(
                METRICS[name].figure(curves(found)[name].row(isbi2012.THRESHOLDS[6]))
            )
            seen.add(name)
    assert seen == METRICS.keys()
