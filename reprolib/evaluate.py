"""The score of a trained network on the images that it never saw (Sec. 4), with the protocol that gave it.

Two figures stand side by side for each metric. The challenge takes the best over ten thresholds *on the scored images*:
an oracle. Honest use must fix the threshold first: here on the training images, predicted by the same network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from torch import nn

from reprolib import metrics
from reprolib.data import Dataset
from reprolib.experiment import Experiment, held_out_indices, training_indices
from reprolib.metrics import Result
from reprolib.model import STRIDE, input_side
from reprolib.tiling import predict


# How a row of each metric's table gives its figure.
FIGURES = {
    "warping_error": lambda row: row["warping_splits_mergers"],
    "rand_error": lambda row: 1 - row["rand_f"],
    "pixel_error": lambda row: 1 - row["pixel_f"],
    "v_rand": lambda row: row["v_rand_thin"],
    "v_info": lambda row: row["v_info_thin"],
}


def score(
    experiment: Experiment, model: nn.Module, dataset: Dataset, report: Callable[[str], None] | None = None
) -> dict:
    """Predict and score the held-out images, with a threshold fixed on the training images beside the oracle's.

    Returns:
        A dict fit for JSON: "held_out" (per metric: score, threshold, rows), "training" (score and threshold),
        "at_training_threshold" (per metric one figure), "edge" and "interior" (the same two figures for images next
        to a training image, and for the others), "images" (per image: name, edge, and each metric at the oracle's
        threshold of the whole fold).
    """
    held_out, training = held_out_indices(experiment, dataset), training_indices(experiment, dataset)
    probability = predict_cells(model, dataset.images[list(held_out)], report)
    found = _evaluate(dataset, held_out, probability)
    fixed = _evaluate(dataset, training, predict_cells(model, dataset.images[list(training)], report))
    thresholds = {name: result.threshold for name, result in fixed.items()}
    edge = [index + 1 in training or index - 1 in training for index in held_out]
    scores = {
        "held_out": {name: _plain(result) for name, result in found.items()},
        "training": {name: {"score": result.score, "threshold": result.threshold} for name, result in fixed.items()},
        "at_training_threshold": _at(found, thresholds),
    }
    for name, wanted in (("edge", True), ("interior", False)):
        chosen = [position for position, at_edge in enumerate(edge) if at_edge == wanted]
        if chosen:
            part = _evaluate(dataset, [held_out[position] for position in chosen], probability[chosen])
            scores[name] = {
                "images": [dataset.names[held_out[position]] for position in chosen],
                "score": {metric: result.score for metric, result in part.items()},
                "at_training_threshold": _at(part, thresholds),
            }
    scores["images"] = [
        {"name": dataset.names[index], "edge": edge[position]}
        | {metric: float(_slices(result)[position]) for metric, result in found.items()}
        for position, index in enumerate(held_out)
    ]
    return scores


def predict_cells(
    model: nn.Module,
    images: np.ndarray,
    report: Callable[[str], None] | None = None,
    rotations: Sequence[float] = (0.0,),
) -> np.ndarray:
    """(N, H, W) float32 probability of class 1 (cell, not membrane) of images (N, H, W), each in one piece."""
    same = getattr(model, "padding", "valid") == "same"
    tile = math.ceil(max(images.shape[1:]) / STRIDE) * STRIDE if same else covering_tile(max(images.shape[1:]))
    planes = []
    for count, image in enumerate(images, start=1):
        planes.append(predict(model, image, tile=tile, rotations=rotations)[1])
        if report and count == len(images):
            report(f"predicted {count} images")
    return np.stack(planes)


def covering_tile(side: int) -> int:
    """The smallest input tile (px) whose output covers an image of this side: 512 -> 700."""
    return input_side(4 + STRIDE * max(0, math.ceil((side - 4) / STRIDE)))


def _evaluate(dataset: Dataset, indices: Sequence[int], probability: np.ndarray) -> dict[str, Result]:
    labels = (dataset.instances[list(indices)] > 0).astype(np.uint8)
    return metrics.evaluate_stack(labels, probability)


def _at(found: dict[str, Result], thresholds: dict[str, float]) -> dict[str, float]:
    """Each metric's pooled figure at a given threshold instead of the best one."""
    figures = {}
    for name, result in found.items():
        row = next(row for row in result.rows if row["threshold"] == thresholds[name])
        figures[name] = FIGURES[name](row)
    return figures


def _slices(result: Result) -> np.ndarray:
    """(D,) figure of each slice alone, at the best threshold of the whole stack."""
    return result.per_slice[[row["threshold"] for row in result.rows].index(result.threshold)]


def _plain(result: Result) -> dict:
    return {"score": result.score, "threshold": result.threshold, "rows": [dict(row) for row in result.rows]}
