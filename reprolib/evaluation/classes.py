"""Pixels of several classes: the confusion matrix, and the share of each class that is found (IoU). Ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ClassScores:
    """How the pixels of some images are told apart."""

    names: tuple[str, ...]  # of the classes, from 0
    confusion: tuple[tuple[int, ...], ...]  # pixels: a row for each true class, a column for each predicted one

    def iou(self, number: int) -> float | None:
        """Of one class, in [0, 1]: pixels in both over pixels in either; None where it is in neither."""
        matrix = np.array(self.confusion)
        either = matrix[number].sum() + matrix[:, number].sum() - matrix[number, number]
        return float(matrix[number, number] / either) if either else None

    @property
    def mean_iou(self) -> float:
        """Over the classes that occur; 0 where none does."""
        known = [one for one in map(self.iou, range(len(self.names))) if one is not None]
        return float(np.mean(known)) if known else 0.0

    @property
    def accuracy(self) -> float:
        """The share of pixels whose class is right."""
        matrix = np.array(self.confusion)
        return float(np.trace(matrix) / max(1, matrix.sum()))


def class_scores(
    names: Sequence[str], truth: Sequence[np.ndarray], predicted: Sequence[np.ndarray], ignore: Sequence[np.ndarray]
) -> ClassScores:
    """Scores of class numbers (H, W), pooled over images; pixels with ``ignore`` (H, W) bool do not count."""
    count = len(names)
    matrix = np.zeros((count, count), np.int64)
    for gold, found, out in zip(truth, predicted, ignore, strict=True):
        codes = gold[~out].astype(np.int64) * count + found[~out]
        matrix += np.bincount(codes, minlength=count**2).reshape(count, count)
    return ClassScores(tuple(names), tuple(tuple(row) for row in matrix.tolist()))
