"""Scores of cells (Sec. 4, Table 2): SEG and foreground IoU over the thresholds, each gold cell, a watershed beside."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from reprolib.evaluation import ctc
from reprolib.evaluation.isbi2012 import THRESHOLDS, Result
from reprolib.evaluation.scores import GoldCell, WatershedScore

SMALLEST = {"phc-u373": 501, "dic-hela": 501}  # px; smaller instances are dropped there (the authors' release)
WATERSHED_SEEDS, WATERSHED_THRESHOLDS = (0.7, 0.8, 0.9), (0.3, 0.4, 0.5)  # levels on the probability


def evaluate_cells(
    names: Sequence[str],
    gold: np.ndarray,
    probability: np.ndarray,
    ignore: np.ndarray,
    smallest: int = 0,
    connectivity: int = 4,
    thresholds: Sequence[float] = THRESHOLDS,
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
        seg = ctc.by_video(names, gold, result, ignore)
        cells = seg.pooled.cells
        true, proposed = (gold > 0) & ~ignore, (result > 0) & ~ignore
        both, either = int(np.count_nonzero(true & proposed)), int(np.count_nonzero(true | proposed))
        rows.append(
            {
                "threshold": threshold,
                "seg": seg.score,
                "foreground_iou": both / either if either else math.nan,
                "foreground_both": both,
                "foreground_either": either,
                "seg_pooled": seg.pooled.score,
                **{f"seg {video}": one.score for video, one in seg.videos.items() if video},
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


def gold_cells(
    names: Sequence[str],
    gold: np.ndarray,
    probability: np.ndarray,
    ignore: np.ndarray,
    smallest: int = 0,
    connectivity: int = 4,
) -> tuple[GoldCell, ...]:
    """What became of each gold cell at the threshold 0.5.

    "merged": the result cell that covers more than half of it covers more than half of another gold cell too; its
    Jaccard index is above 0, but low. "split": no result cell covers more than half of it, though more than half is
    foreground. "missed": at most half of it is foreground.
    """
    result = np.where(ignore, 0, ctc.instances(probability, 0.5, smallest, connectivity))
    matched = ctc.seg(gold, result, ignore).cells
    shared = Counter((cell.image, cell.result) for cell in matched if cell.result)
    cells = []
    for cell in matched:
        inside = (gold[cell.image] == cell.gold) & ~ignore[cell.image]
        covered = float((result[cell.image][inside] > 0).mean())
        lost = None
        if cell.result and shared[cell.image, cell.result] > 1:
            lost = "merged"
        elif not cell.result:
            lost = "split" if covered > 0.5 else "missed"
        cells.append(GoldCell(names[cell.image], cell.gold, round(cell.iou, 4), cell.size, lost))
    return tuple(cells)


def watershed_scores(
    names: Sequence[str], gold: np.ndarray, probability: np.ndarray, ignore: np.ndarray, smallest: int = 0
) -> tuple[WatershedScore, ...]:
    """SEG of a seeded watershed on the probability (ours, not the paper's), for each pair of its levels."""
    scores = []
    for seed in WATERSHED_SEEDS:
        for threshold in WATERSHED_THRESHOLDS:
            result = np.stack([ctc.watershed(plane, seed, threshold, smallest) for plane in probability])
            seg = ctc.by_video(names, gold, result, ignore)
            videos = {video: one.score for video, one in seg.videos.items() if video}
            scores.append(WatershedScore(seed, threshold, seg.score, videos))
    return tuple(scores)
