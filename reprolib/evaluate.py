"""From a network to figures (Sec. 4): predictions of images, the metrics that fit a data set, several folds pooled."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from torch import nn

from reprolib import ctc, metrics
from reprolib.data import Dataset
from reprolib.experiment import Experiment
from reprolib.metrics import Result
from reprolib.model import VALID
from reprolib.resample import scaled_sides
from reprolib.tiling import predict

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
WATERSHED_SEEDS, WATERSHED_THRESHOLDS = (0.7, 0.8, 0.9), (0.3, 0.4, 0.5)  # levels on the probability


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


def evaluate(
    dataset: Dataset,
    indices: Sequence[int],
    probability: np.ndarray,
    connectivity: int = 4,
    thresholds: Sequence[float] = metrics.THRESHOLDS,
) -> dict[str, Result]:
    """The metrics that fit a data set, of cell probabilities (N, H, W) for its images ``indices``."""
    instances, ignore = dataset.instances[list(indices)], dataset.ignore[list(indices)]
    if dataset.name in EM:
        return metrics.evaluate_stack((instances > 0).astype(np.uint8), probability, thresholds)
    names = [dataset.names[index] for index in indices]
    smallest = SMALLEST.get(dataset.name, 0)
    return evaluate_cells(names, instances, probability, ignore, smallest, connectivity, thresholds)


def evaluate_cells(
    names: Sequence[str],
    gold: np.ndarray,
    probability: np.ndarray,
    ignore: np.ndarray,
    smallest: int = 0,
    connectivity: int = 4,
    thresholds: Sequence[float] = metrics.THRESHOLDS,
) -> dict[str, Result]:
    """SEG and foreground IoU of (N, H, W) cell probabilities over the thresholds (Table 2).

    Instances are connected components of at least ``smallest`` px. SEG is the mean of the videos that ``names`` tell
    ("01/t002"), each over its gold cells; its rows also hold each video's ("seg 01"), "seg_pooled" over all gold
    cells, and the number of gold "cells". The foreground IoU pools the pixels of all images.
    """
    rows: list[dict] = []
    images: dict[str, list] = {"seg": [], "foreground_iou": []}
    for threshold in thresholds:
        result = ctc.instances(probability, threshold, smallest, connectivity)
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


def cell_scores(
    names: Sequence[str],
    gold: np.ndarray,
    probability: np.ndarray,
    ignore: np.ndarray,
    smallest: int = 0,
    connectivity: int = 4,
) -> list[dict]:
    """Each gold cell at the threshold 0.5: "image", "gold" label, "iou" (Jaccard index), "size" (px), "lost" if it is.

    "merged": the result cell that covers more than half of it covers more than half of another gold cell too; its
    Jaccard index is above 0, but low. "split": no result cell covers more than half of it, though more than half is
    foreground. "missed": at most half of it is foreground.
    """
    result = np.where(ignore, 0, ctc.instances(probability, 0.5, smallest, connectivity))
    found = ctc.seg(gold, result, ignore).cells
    shared = Counter((cell.image, cell.result) for cell in found if cell.result)
    rows = []
    for cell in found:
        inside = (gold[cell.image] == cell.gold) & ~ignore[cell.image]
        covered = float((result[cell.image][inside] > 0).mean())
        row = {"image": names[cell.image], "gold": cell.gold, "iou": round(cell.iou, 4), "size": cell.size}
        if cell.result and shared[cell.image, cell.result] > 1:
            row["lost"] = "merged"
        elif not cell.result:
            row["lost"] = "split" if covered > 0.5 else "missed"
        rows.append(row)
    return rows


def watershed_scores(
    names: Sequence[str], gold: np.ndarray, probability: np.ndarray, ignore: np.ndarray, smallest: int = 0
) -> list[dict]:
    """SEG of a seeded watershed on the probability (ours, not the paper's), a row for each pair of its levels."""
    rows = []
    for seed in WATERSHED_SEEDS:
        for threshold in WATERSHED_THRESHOLDS:
            result = np.stack([ctc.watershed(plane, seed, threshold, smallest) for plane in probability])
            found = ctc.by_video(names, gold, result, ignore)
            videos = {f"seg {video}": one.score for video, one in found.videos.items() if video}
            rows.append({"seed": seed, "threshold": threshold, "seg": found.score, **videos})
    return rows


def predict_as_trained(
    experiment: Experiment,
    model: nn.Module,
    images: np.ndarray,
    report: Callable[[str], None] | None = None,
    rotations: Sequence[float] = (0.0,),
) -> np.ndarray:
    """`predict_cells` at the scale that the network was trained at, averaged over flips if its experiment says so."""
    return predict_cells(model, images, report, rotations, experiment.scale, experiment.mean_of_flips)


def predict_cells(
    model: nn.Module,
    images: np.ndarray,
    report: Callable[[str], None] | None = None,
    rotations: Sequence[float] = (0.0,),
    scale: float = 1.0,
    flips: bool = False,
) -> np.ndarray:
    """(N, H, W) float32 probability of class 1 (cell, not membrane) of images (N, H, W), each in one piece.

    rotations, scale, flips: as in ``tiling.predict``.
    """
    height, width = scaled_sides(images.shape[1:], scale) if scale != 1 else images.shape[1:]
    side = math.ceil(math.hypot(height, width)) if any(angle % 90 for angle in rotations) else max(height, width)
    tile = getattr(model, "geometry", VALID).covering(side)
    planes = []
    for count, image in enumerate(images, start=1):
        planes.append(predict(model, image, tile=tile, rotations=rotations, flips=flips, scale=scale)[1])
        if report and count == len(images):
            report(f"predicted {count} images")
    return np.stack(planes)


def covering_tile(side: int) -> int:
    """The smallest input tile (px) whose output covers an image of this side: 512 -> 700."""
    return VALID.covering(side)


def figure_at(part: dict, metric: str, threshold: float) -> float:
    """One metric of a record's part (score, threshold, rows) at a threshold: 0.5 is where two classes' argmax lies."""
    return FIGURES[metric](next(row for row in part["rows"] if row["threshold"] == threshold))


def plain(result: Result) -> dict:
    """One metric as a record keeps it: score, threshold, and the row of each threshold."""
    return {"score": result.score, "threshold": result.threshold, "rows": [dict(row) for row in result.rows]}
