"""What a metric is: its name, which way is better, the digits that are printed, its figure from counts, how it pools.

A new metric is a line in ``METRICS``, and a function in ``isbi2012`` or ``cells`` that gives its counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Row = dict[str, int | float]  # counts (int) and ratios (float) at one threshold, over all images


@dataclass(frozen=True)
class Metric:
    """A metric of the two challenges (Sec. 4)."""

    key: str  # in records
    name: str  # in print
    higher_is_better: bool
    digits: int  # decimals in print
    figure: Callable[[Row], float]  # from the row of one threshold
    pool: Callable[[Sequence[Row], Sequence[int]], float]  # from a row of each fold, and the folds' numbers of images
    counts: tuple[str, ...]  # what a row holds for them, besides its threshold
    digits_of_paper: int = 4  # decimals in Table 1 and 2

    def gain(self, first: float, second: float) -> float:
        """By how much the first score is better; negative if it is worse."""
        return first - second if self.higher_is_better else second - first

    def best(self, scores: Sequence[float]) -> int:
        """Position of the best score, the first of several."""
        return scores.index(max(scores) if self.higher_is_better else min(scores))

    def print(self, score: float) -> str:
        return f"{score:.{self.digits}f}"


def _sum(rows: Sequence[Row], count: str) -> float:
    return sum(row[count] for row in rows)


def _mean_of_images(figure: Callable[[Row], float]):
    """Pooling of a figure that is a mean over the images."""
    return lambda rows, images: sum(figure(r) * n for r, n in zip(rows, images, strict=True)) / sum(images)


def _warping_error(row: Row) -> float:
    return row["warping_splits_mergers"]


def _v_rand(row: Row) -> float:
    return row["v_rand_thin"]


def _v_info(row: Row) -> float:
    return row["v_info_thin"]


def _pooled_rand_error(rows: Sequence[Row], images: Sequence[int]) -> float:
    return 1 - 2 * _sum(rows, "pairs_both") / (_sum(rows, "pairs_truth") + _sum(rows, "pairs_proposal"))


def _pooled_pixel_error(rows: Sequence[Row], images: Sequence[int]) -> float:
    wrong = _sum(rows, "false_positives") + _sum(rows, "false_negatives")
    return wrong / (2 * _sum(rows, "true_positives") + wrong)


WARPING_ERROR = Metric(
    "warping_error",
    "warping error",
    False,
    5,
    _warping_error,
    _mean_of_images(_warping_error),
    ("warping_splits_mergers",),
    digits_of_paper=6,
)
RAND_ERROR = Metric(
    "rand_error",
    "Rand error",
    False,
    3,
    lambda row: 1 - row["rand_f"],
    _pooled_rand_error,
    ("rand_f", "pairs_both", "pairs_truth", "pairs_proposal"),
)
PIXEL_ERROR = Metric(
    "pixel_error",
    "pixel error",
    False,
    3,
    lambda row: 1 - row["pixel_f"],
    _pooled_pixel_error,
    ("pixel_f", "true_positives", "false_positives", "false_negatives"),
)
V_RAND = Metric("v_rand", "V_Rand", True, 3, _v_rand, _mean_of_images(_v_rand), ("v_rand_thin",))
V_INFO = Metric("v_info", "V_Info", True, 3, _v_info, _mean_of_images(_v_info), ("v_info_thin",))
SEG = Metric(  # of a set the mean of its videos, so of several folds too
    "seg",
    "SEG",
    True,
    3,
    lambda row: row["seg"],
    lambda rows, images: _sum(rows, "seg") / len(rows),
    ("seg", "seg_pooled", "cells", "foreground_iou"),
)
FOREGROUND_IOU = Metric(
    "foreground_iou",
    "foreground IoU",
    True,
    3,
    lambda row: row["foreground_iou"],
    lambda rows, images: _sum(rows, "foreground_both") / _sum(rows, "foreground_either"),
    ("foreground_iou", "foreground_both", "foreground_either"),
)

ERRORS = (WARPING_ERROR, RAND_ERROR, PIXEL_ERROR)  # of Table 1
ISBI2012 = (*ERRORS, V_RAND, V_INFO)  # the challenge's five
CELLS = (SEG, FOREGROUND_IOU)
METRICS = {metric.key: metric for metric in (*ISBI2012, *CELLS)}
