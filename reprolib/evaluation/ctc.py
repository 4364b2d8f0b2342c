"""The Cell Tracking Challenge's SEG, read as the "IOU" of the U-Net paper's Table 2, and the foreground IoU.

SEG (Maska et al. 2014, Bioinformatics 30:1609): a gold cell R is matched by the result cell S that covers
more than half of it, |R and S| > |R| / 2. Its score is their Jaccard index, |R and S| / |R or S|, and 0
without a match. SEG is the mean over all gold cells of all images. Unmatched result cells cost nothing.

The foreground IoU forgets which cell a pixel belongs to. It does not see that cells were run together, and never
stands in for SEG.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage import segmentation

from reprolib.errors import InputError


@dataclass(frozen=True)
class CellScore:
    """One gold cell: image (from 0), gold label, matched result label (0: none), Jaccard index, size (px)."""

    image: int
    gold: int
    result: int
    iou: float
    size: int


@dataclass(frozen=True)
class Seg:
    """SEG: score in [0, 1], the mean over `cells`; NaN where there is no gold cell to score."""

    score: float
    cells: tuple[CellScore, ...]


@dataclass(frozen=True)
class Videos:
    """SEG of a data set: score, the mean of its videos; videos, each one's; pooled, over the gold cells of all."""

    score: float
    videos: dict[str, Seg]
    pooled: Seg


def seg(gold: np.ndarray, result: np.ndarray, ignore: np.ndarray | None = None) -> Seg:
    """SEG of one image or of several together.

    Args:
        gold, result: (H, W) or (N, H, W) integer instance labels, 0 = background, unique within an image.
        ignore: bool, same shape; True = not annotated. These pixels are taken out of gold and result alike, and a
            gold cell that lies wholly in them is not scored.

    Raises:
        InputError: on other shapes or dtypes and on negative labels.
    """
    gold, result = _checked(gold, result, ignore)
    cells = [cell for image in range(len(gold)) for cell in _cells(image, gold[image], result[image])]
    return Seg(score=_mean([c.iou for c in cells]), cells=tuple(cells))


def by_video(names: Sequence[str], gold: np.ndarray, result: np.ndarray, ignore: np.ndarray | None = None) -> Videos:
    """SEG as the challenge gives it for a data set, the mean of its videos, with the videos' own and the pooled one.

    Args:
        names: one per image, "video/frame" such as "01/t002"; images without a "/" are all one video, "".
        gold, result, ignore: (N, H, W), as in `seg`. A video without a gold cell does not enter the mean.

    Raises:
        InputError: as `seg`, and where names and images differ in number.
    """
    pooled = seg(gold, result, ignore)
    if gold.ndim != 3 or len(names) != len(gold):
        raise InputError(f"there must be one name per image: {len(names)} names for labels of shape {gold.shape}.")
    of = [name.rpartition("/")[0] for name in names]
    cells = {video: tuple(c for c in pooled.cells if of[c.image] == video) for video in sorted(set(of))}
    videos = {video: Seg(_mean([c.iou for c in found]), found) for video, found in cells.items()}
    return Videos(_mean([s.score for s in videos.values() if s.cells]), videos, pooled)


def foreground_iou(gold: np.ndarray, result: np.ndarray, ignore: np.ndarray | None = None) -> float:
    """Jaccard index of the foregrounds, in [0, 1], pixels pooled over the images; NaN where both are empty.

    Args and errors are those of `seg`.
    """
    gold, result = _checked(gold, result, ignore)
    both, either = np.count_nonzero((gold > 0) & (result > 0)), np.count_nonzero((gold > 0) | (result > 0))
    return both / either if either else math.nan


def instances(
    probability_or_mask: np.ndarray, threshold: float = 0.5, smallest: int = 0, connectivity: int = 4
) -> np.ndarray:
    """Instance labels of the foreground: its connected components, image by image.

    Args:
        probability_or_mask: (H, W) or (N, H, W), bool or the probability of foreground, floating, in [0, 1].
        threshold: in [0, 1]; foreground is probability > threshold, compared in double. A mask does not use it.
        smallest: px; a component of fewer pixels is dropped. The authors' release (phseg_v5) drops those of at
            most 500 px: smallest=501. The default drops none.
        connectivity: 4, or 8 (pixels that meet at a corner are of one cell), as in the authors' release.

    Returns:
        int32 labels of the same shape, 1.. without gaps in each image.

    Raises:
        InputError: on anything else.
    """
    given = probability_or_mask
    if not isinstance(given, np.ndarray) or given.dtype.kind not in "bf":
        kind = getattr(given, "dtype", type(given))
        raise InputError(f"instances takes a bool mask or floating probabilities, not {kind}.")
    if given.ndim not in (2, 3) or given.size == 0:
        raise InputError(f"instances takes shape (H, W) or (N, H, W), not empty, but got {given.shape}.")
    if not 0 <= threshold <= 1:
        raise InputError(f"threshold must be in [0, 1], not {threshold}.")
    if connectivity not in (4, 8):
        raise InputError(f"connectivity must be 4 or 8, not {connectivity!r}.")
    if isinstance(smallest, bool) or not isinstance(smallest, int | np.integer) or smallest < 0:
        raise InputError(f"smallest must be a whole number of pixels, 0 or more, not {smallest!r}.")
    if given.dtype.kind == "f":
        if not ((given >= 0) & (given <= 1)).all():  # NaN fails too
            raise InputError("probabilities must be in [0, 1] and not NaN.")
        given = given.astype(np.float64) > threshold
    labels = np.empty(given.shape, np.int32)
    neighbours = np.ones((3, 3), int) if connectivity == 8 else None
    shape = (-1, *given.shape[-2:])
    for mask, out in zip(given.reshape(shape), labels.reshape(shape), strict=True):
        components, count = ndimage.label(mask, neighbours)
        keep = np.bincount(components.ravel(), minlength=count + 1) >= smallest
        keep[0] = False
        out[...] = np.where(keep, np.cumsum(keep), 0)[components]
    return labels


def watershed(
    probability: np.ndarray, seed: float = 0.9, threshold: float = 0.5, smallest: int = 0, smallest_seed: int = 300
) -> np.ndarray:
    """Instance labels of one image by a seeded watershed on its probability: not the paper's, an addition of ours.

    Components above a high level are the seeds; they grow over the foreground towards lower probabilities until they
    meet. Cells that touch along a faint border come apart, where plain components run them together.

    Args:
        probability: (H, W) floating, of foreground, in [0, 1].
        seed: level of the seeds, 8-connected components of at least smallest_seed px above it.
        threshold: foreground is probability > threshold. A component of it that holds no seed is a cell of its own.
        smallest: px; a cell of fewer pixels is dropped.

    Returns:
        (H, W) int32 labels, 1.. without gaps.

    Raises:
        InputError: as `instances`, for a mask or several images, and if seed < threshold.
    """
    if not isinstance(probability, np.ndarray) or probability.dtype.kind != "f" or probability.ndim != 2:
        raise InputError("watershed takes the probabilities of one image: a floating array of shape (H, W).")
    if not 0 <= threshold <= seed <= 1:
        raise InputError(f"the seeds' level must be at or above the threshold, both in [0, 1], not {seed}, {threshold}")
    seeds = instances(probability, seed, smallest_seed, connectivity=8)
    plain = instances(probability, threshold, smallest, connectivity=8)
    lonely = np.setdiff1d(np.unique(plain), np.unique(plain[seeds > 0]))
    seeds = np.where(np.isin(plain, lonely) & (plain > 0), plain + seeds.max(), seeds)
    labels = segmentation.watershed(-probability, seeds, connectivity=2, mask=plain > 0)  # 8-connected, as the mask is
    keep = np.bincount(labels.ravel()) >= max(1, smallest)
    keep[0] = False
    return np.where(keep, np.cumsum(keep), 0)[labels].astype(np.int32)


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def _cells(image: int, gold: np.ndarray, result: np.ndarray) -> list[CellScore]:
    """The gold cells of one image, by label."""
    areas = dict(zip(*(a.tolist() for a in np.unique(result, return_counts=True)), strict=True))
    cells = []
    for label in np.unique(gold[gold > 0]).tolist():
        partners, overlaps = np.unique(result[gold == label], return_counts=True)
        size, both = int(overlaps.sum()), int(overlaps.max())
        partner = int(partners[overlaps.argmax()])
        if partner == 0 or 2 * both <= size:  # at most one label can cover more than half
            cells.append(CellScore(image, label, 0, 0.0, size))
        else:
            cells.append(CellScore(image, label, partner, both / (size + areas[partner] - both), size))
    return cells


def _checked(gold: np.ndarray, result: np.ndarray, ignore: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Both as (N, H, W) integers, 0 where ignored; or ValueError."""
    for name, labels in (("gold", gold), ("result", result)):
        if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "ui":
            kind = getattr(labels, "dtype", type(labels))
            raise InputError(f"{name} must be an integer array of instance labels, not {kind}.")
        if labels.ndim not in (2, 3) or labels.size == 0:
            raise InputError(f"{name} must be (H, W) or (N, H, W) and not empty, but is {labels.shape}.")
        if labels.min() < 0:
            raise InputError(f"{name} holds the label {labels.min()}; labels must be 0 or more.")
    if gold.shape != result.shape:
        raise InputError(f"gold {gold.shape} and result {result.shape} must have the same shape.")
    if ignore is not None:
        if not isinstance(ignore, np.ndarray) or ignore.dtype != bool or ignore.shape != gold.shape:
            raise InputError(f"ignore must be a bool array of gold's shape {gold.shape}.")
        gold, result = np.where(ignore, 0, gold), np.where(ignore, 0, result)
    shape = (-1, *gold.shape[-2:])
    return gold.reshape(shape).astype(np.int64), result.reshape(shape).astype(np.int64)
