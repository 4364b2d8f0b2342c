"""The figures over several folds together: counts are added before any ratio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reprolib.errors import InputError
from reprolib.evaluation.metric import METRICS
from reprolib.evaluation.scores import Scores


@dataclass(frozen=True)
class Pooled:
    """A metric over several folds."""

    score: float  # the best over the thresholds of all folds together
    threshold: float
    at_training_threshold: float  # each fold keeps the threshold fixed on its own training images


def pool(folds: Sequence[Scores], rotated: bool = False) -> dict[str, Pooled]:
    """The figures of several folds of one data set by metric. SEG is the mean of the folds: of the two videos.

    Args:
        rotated: pool those with the mean over 7 rotations.

    Raises:
        ValueError: if there is no fold, or one was not scored with rotations.
    """
    if not folds or (rotated and not all(fold.rotated for fold in folds)):
        raise InputError("pool takes the scores of one or more folds, all of them with rotations if these are pooled")
    curves = [fold.rotated.held_out if rotated else fold.held_out for fold in folds]
    images = [len(fold.images) for fold in folds]
    pooled = {}
    for key in curves[0]:
        metric, same = METRICS[key], [fold[key] for fold in curves]
        scores = [metric.pool(rows, images) for rows in zip(*(curve.rows for curve in same), strict=True)]
        best = metric.best(scores)
        fixed = [curve.row(fold.training[key].threshold) for curve, fold in zip(same, folds, strict=True)]
        pooled[key] = Pooled(scores[best], same[0].rows[best]["threshold"], metric.pool(fixed, images))
    return pooled
