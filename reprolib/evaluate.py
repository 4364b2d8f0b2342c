"""The score of a trained network on the images that it never saw (Sec. 4), with the protocol that gave it.

Two figures stand side by side for each metric. The challenge takes the best over ten thresholds *on the scored images*:
an oracle. Honest use must fix the threshold first: here on the training images, predicted by the same network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from torch import nn

from reprolib import ctc, metrics
from reprolib.data import Dataset
from reprolib.experiment import Experiment, held_out_indices, training_indices
from reprolib.metrics import Result
from reprolib.model import VALID
from reprolib.tiling import SEVEN_ROTATIONS, predict

# How a row of each metric's table gives its figure.
FIGURES = {
    "warping_error": lambda row: row["warping_splits_mergers"],
    "rand_error": lambda row: 1 - row["rand_f"],
    "pixel_error": lambda row: 1 - row["pixel_f"],
    "v_rand": lambda row: row["v_rand_thin"],
    "v_info": lambda row: row["v_info_thin"],
    "seg": lambda row: row["seg"],
    "foreground_iou": lambda row: row["foreground_iou"],
}
# How each is named in print, and the decimals that the book prints.
NAMES = {
    "warping_error": "warping error",
    "rand_error": "Rand error",
    "pixel_error": "pixel error",
    "v_rand": "V_Rand",
    "v_info": "V_Info",
    "seg": "SEG",
    "foreground_iou": "foreground IoU",
}
DIGITS = dict.fromkeys(NAMES, 3) | {"warping_error": 5}
EM = ("isbi2012", "phantom-em")  # scored as the ISBI 2012 challenge does
SMALLEST = {"phc-u373": 501, "dic-hela": 501}  # px; smaller instances are dropped there (the authors' release)


def score(
    experiment: Experiment,
    model: nn.Module,
    dataset: Dataset,
    report: Callable[[str], None] | None = None,
    rotations: bool = False,
) -> dict:
    """Predict and score the held-out images, with a threshold fixed on the training images beside the oracle's.

    EM slices get the five figures of the ISBI 2012 challenge, all other data sets SEG and the foreground IoU.

    Args:
        rotations: score also the mean prediction over 7 rotated versions of each held-out image (Table 1); its fixed
            threshold is that of the training images *without* rotations.

    Returns:
        A dict fit for JSON: "held_out" (per metric: score, threshold, rows), "training" (score and threshold),
        "at_training_threshold" (per metric one figure), "edge" and "interior" (the same two figures for images next
        to a training image, and for the others; EM only), "images" (per image: name, edge, and each metric at the
        oracle's threshold of the whole fold); and "rotated", if asked for: angles (degrees), "held_out",
        "at_training_threshold" and "images" again.
    """
    held_out, training = held_out_indices(experiment, dataset), training_indices(experiment, dataset)
    probability = predict_cells(model, dataset.images[list(held_out)], report)
    found = evaluate(dataset, held_out, probability)
    fixed = evaluate(dataset, training, predict_cells(model, dataset.images[list(training)], report))
    thresholds = {name: result.threshold for name, result in fixed.items()}
    edge = [index + 1 in training or index - 1 in training for index in held_out]
    scores = {
        "held_out": {name: _plain(result) for name, result in found.items()},
        "training": {name: {"score": result.score, "threshold": result.threshold} for name, result in fixed.items()},
        "at_training_threshold": _at(found, thresholds),
    }
    for name, wanted in (("edge", True), ("interior", False)):
        chosen = [position for position, at_edge in enumerate(edge) if at_edge == wanted]
        if chosen and dataset.name in EM:
            part = evaluate(dataset, [held_out[position] for position in chosen], probability[chosen])
            scores[name] = {
                "images": [dataset.names[held_out[position]] for position in chosen],
                "score": {metric: result.score for metric, result in part.items()},
                "at_training_threshold": _at(part, thresholds),
            }
    names = [dataset.names[index] for index in held_out]
    scores["images"] = [image | {"edge": at_edge} for image, at_edge in zip(_by_image(names, found), edge, strict=True)]
    if rotations:
        turned = predict_cells(model, dataset.images[list(held_out)], report, SEVEN_ROTATIONS)
        found = evaluate(dataset, held_out, turned)
        scores["rotated"] = {
            "angles": list(SEVEN_ROTATIONS),
            "held_out": {name: _plain(result) for name, result in found.items()},
            "at_training_threshold": _at(found, thresholds),
            "images": _by_image(names, found),
        }
    return scores


def pool(scores: Sequence[dict], rotated: bool = False) -> dict[str, dict[str, float]]:
    """The figures over several folds together, from the ``scores`` of their records: counts are added before any ratio.

    Args:
        scores: one per fold, all of one data set.
        rotated: pool those with the mean over 7 rotations.

    Returns:
        Per metric "score", the best over the thresholds of all folds together, its "threshold", and
        "at_training_threshold", where each fold keeps the threshold fixed on its own training images. SEG is the mean
        of the folds: of the two videos.

    Raises:
        ValueError: if there is no fold, or one was not scored with rotations.
    """
    if not scores or (rotated and not all("rotated" in part for part in scores)):
        raise ValueError("pool takes the scores of one or more folds, all of them with rotations if these are pooled")
    found = [part["rotated"]["held_out"] if rotated else part["held_out"] for part in scores]
    images = [len(part["images"]) for part in scores]
    pooled = {}
    for metric in found[0]:
        tables = [part[metric]["rows"] for part in found]
        figures = [_pooled(metric, rows, images) for rows in zip(*tables, strict=True)]
        best = figures.index(min(figures) if metric.endswith("_error") else max(figures))
        fixed = [part["training"][metric]["threshold"] for part in scores]
        own = [next(r for r in table if r["threshold"] == t) for table, t in zip(tables, fixed, strict=True)]
        pooled[metric] = {
            "score": figures[best],
            "threshold": tables[0][best]["threshold"],
            "at_training_threshold": _pooled(metric, own, images),
        }
    return pooled


def _pooled(metric: str, rows: Sequence[dict], images: Sequence[int]) -> float:
    """One metric of several folds, from a row of each; images of one data set have one size."""

    def total(count: str) -> float:
        return sum(row[count] for row in rows)

    if metric == "rand_error":
        return 1 - 2 * total("pairs_both") / (total("pairs_truth") + total("pairs_proposal"))
    if metric == "pixel_error":
        wrong = total("false_positives") + total("false_negatives")
        return wrong / (2 * total("true_positives") + wrong)
    if metric == "foreground_iou":
        return total("foreground_both") / total("foreground_either")
    weights = [1] * len(rows) if metric == "seg" else images
    return sum(FIGURES[metric](row) * n for row, n in zip(rows, weights, strict=True)) / sum(weights)


def evaluate(dataset: Dataset, indices: Sequence[int], probability: np.ndarray) -> dict[str, Result]:
    """The metrics that fit a data set, of cell probabilities (N, H, W) for its images ``indices``."""
    instances, ignore = dataset.instances[list(indices)], dataset.ignore[list(indices)]
    if dataset.name in EM:
        return metrics.evaluate_stack((instances > 0).astype(np.uint8), probability)
    names = [dataset.names[index] for index in indices]
    return evaluate_cells(names, instances, probability, ignore, SMALLEST.get(dataset.name, 0))


def evaluate_cells(
    names: Sequence[str], gold: np.ndarray, probability: np.ndarray, ignore: np.ndarray, smallest: int = 0
) -> dict[str, Result]:
    """SEG and foreground IoU of (N, H, W) cell probabilities over the thresholds (Table 2).

    Instances are connected components of at least ``smallest`` px. SEG is the mean of the videos that ``names`` tell
    ("01/t002"), each over its gold cells; its rows also hold each video's ("seg 01"), "seg_pooled" over all gold
    cells, and the number of gold "cells". The foreground IoU pools the pixels of all images.
    """
    rows: list[dict] = []
    images: dict[str, list] = {"seg": [], "foreground_iou": []}
    for threshold in metrics.THRESHOLDS:
        result = ctc.instances(probability, threshold, smallest)
        found = ctc.by_video(names, gold, result, ignore)
        cells = found.pooled.cells
        true, proposed = (gold > 0) & ~ignore, (result > 0) & ~ignore
        both, either = int(np.count_nonzero(true & proposed)), int(np.count_nonzero(true | proposed))
        rows.append(
            {
                "threshold": threshold,
                "seg": found.score,
                "foreground_iou": both / either if either else math.nan,
                "foreground_both": both,
                "foreground_either": either,
                "seg_pooled": found.pooled.score,
                **{f"seg {video}": one.score for video, one in found.videos.items() if video},
                "cells": len(cells),
            }
        )
        by_image = [[cell.iou for cell in cells if cell.image == image] for image in range(len(gold))]
        images["seg"].append([float(np.mean(ious)) if ious else 0.0 for ious in by_image])
        images["foreground_iou"].append(
            [ctc.foreground_iou(*planes) for planes in zip(gold, result, ignore, strict=True)]
        )
    best = {name: max(rows, key=lambda row, name=name: row[name]) for name in images}
    return {
        name: Result(row[name], row["threshold"], tuple(rows), np.array(images[name])) for name, row in best.items()
    }


def predict_cells(
    model: nn.Module,
    images: np.ndarray,
    report: Callable[[str], None] | None = None,
    rotations: Sequence[float] = (0.0,),
) -> np.ndarray:
    """(N, H, W) float32 probability of class 1 (cell, not membrane) of images (N, H, W), each in one piece."""
    height, width = images.shape[1:]
    side = math.ceil(math.hypot(height, width)) if any(angle % 90 for angle in rotations) else max(height, width)
    tile = getattr(model, "geometry", VALID).covering(side)
    planes = []
    for count, image in enumerate(images, start=1):
        planes.append(predict(model, image, tile=tile, rotations=rotations)[1])
        if report and count == len(images):
            report(f"predicted {count} images")
    return np.stack(planes)


def covering_tile(side: int) -> int:
    """The smallest input tile (px) whose output covers an image of this side: 512 -> 700."""
    return VALID.covering(side)


def _by_image(names: Sequence[str], found: dict[str, Result]) -> list[dict]:
    """Each image's own figures, at the best threshold of all together."""
    columns = {
        metric: result.per_slice[[row["threshold"] for row in result.rows].index(result.threshold)]
        for metric, result in found.items()
    }
    return [
        {"name": name} | {metric: float(column[position]) for metric, column in columns.items()}
        for position, name in enumerate(names)
    ]


def _at(found: dict[str, Result], thresholds: dict[str, float]) -> dict[str, float]:
    """Each metric's pooled figure at a given threshold instead of the best one."""
    figures = {}
    for name, result in found.items():
        row = next(row for row in result.rows if row["threshold"] == thresholds[name])
        figures[name] = FIGURES[name](row)
    return figures


def _plain(result: Result) -> dict:
    return {"score": result.score, "threshold": result.threshold, "rows": [dict(row) for row in result.rows]}
