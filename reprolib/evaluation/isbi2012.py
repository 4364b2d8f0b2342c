"""The five figures of the ISBI 2012 challenge: warping, Rand and pixel error, V_Rand and V_Info.

Written from a description of what the challenge's evaluation program computes (Arganda-Carreras et al. 2015,
Front. Neuroanat. 9:142); counts agree with that program exactly, ratios to 1e-9. The score is the best
over the thresholds *on the scored images*, so an oracle chooses the threshold. Table 1 of the U-Net paper
(Section 4) gives the first three.

Conventions: every figure is computed slice by slice; y is the row, x the column. Components are 4-connected.
"Column order" visits the leftmost column from top to bottom, then the next one. Proposed cells are the pixels
whose probability, widened from float32 to double, is greater than the threshold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from scipy import ndimage

from reprolib.errors import InputError
from reprolib.evaluation.loops import MERGER, SPLIT, classify, flip_simple, grow, overlap
from reprolib.evaluation.metric import ISBI2012, METRICS

Array = np.ndarray
# Accumulated in double as the challenge's loop does: the fourth is 0.30000000000000004.
THRESHOLDS: tuple[float, ...] = tuple(accumulate([0.0] + [0.1] * 9))


@dataclass(frozen=True, eq=False)
class Result:
    """One metric of one stack.

    score: the best over the thresholds (smallest error, largest V_Rand or V_Info).
    threshold: the threshold that gave it, the lowest of several.
    rows: one dict per threshold with the counts and ratios over all slices.
    per_slice: (thresholds, D) float64, the figure of each slice alone: errors for the errors, else F.
    """

    score: float
    threshold: float
    rows: tuple[dict[str, float], ...]
    per_slice: np.ndarray


@dataclass(frozen=True, eq=False)
class Warped:
    """One slice after warping: labels (H, W) bool, the warped cells; kinds (H, W) uint8, places in KINDS."""

    labels: np.ndarray
    kinds: np.ndarray


def evaluate_stack(labels: Array, probability: Array, thresholds: Sequence[float] = THRESHOLDS) -> dict[str, Result]:
    """All five metrics of one stack, by key (`metric.ISBI2012`), for less work than one after the other.

    Args:
        labels: (D, H, W) or (H, W) bool or integer, 0 = membrane, 1 or 255 = cell. H, W >= 2.
        probability: float32, same shape, in [0, 1]: the probability of *not* membrane.
        thresholds: numbers in [0, 1]; a pixel is proposed cell where probability > threshold, compared in double.

    Raises:
        InputError: on anything else, and where a slice has no cell: its Rand index is undefined.
    """
    return _evaluate(labels, probability, thresholds, [metric.key for metric in ISBI2012])


def warping_error(labels: Array, probability: Array, thresholds: Sequence[float] = THRESHOLDS) -> Result:
    """Smallest share of pixels that split or merge a cell and that no topology-preserving warp explains.

    Takes and raises as `evaluate_stack`, but slices may be without cells. Rows: warping_splits_mergers (what
    is scored), warping_all (share of all mismatches left), and the counts splits, mergers, mismatches in px.
    """
    return _evaluate(labels, probability, thresholds, ("warping_error",))["warping_error"]


def rand_error(labels: Array, probability: Array, thresholds: Sequence[float] = THRESHOLDS) -> Result:
    """1 - the largest F of the Rand index restricted to true cells; pairs are pooled over the slices.

    Takes and raises as `evaluate_stack`. Rows: rand_f, rand_precision, rand_recall, and the ordered pairs of
    pixels (each also with itself) together in both, in the truth, in the proposal: pairs_both, ....
    """
    return _evaluate(labels, probability, thresholds, ("rand_error",))["rand_error"]


def pixel_error(labels: Array, probability: Array, thresholds: Sequence[float] = THRESHOLDS) -> Result:
    """1 - the largest F of the pixels, pooled over the slices; not the share of wrong pixels.

    Takes and raises as `evaluate_stack`, but slices may be without cells. Rows: pixel_f, pixel_misclassified
    (the share of wrong pixels) and true_positives, false_positives, ... in px; cell is positive.
    """
    return _evaluate(labels, probability, thresholds, ("pixel_error",))["pixel_error"]


def v_rand(labels: Array, probability: Array, thresholds: Sequence[float] = THRESHOLDS) -> Result:
    """Largest V_Rand after thinning the proposal's membrane: the mean over the slices of the pairs' F.

    Takes and raises as `evaluate_stack`, but a slice without cells counts as 0. Rows: v_rand_thin.
    """
    return _evaluate(labels, probability, thresholds, ("v_rand",))["v_rand"]


def v_info(labels: Array, probability: Array, thresholds: Sequence[float] = THRESHOLDS) -> Result:
    """Largest V_Info after thinning: the mean over the slices of the information's F.

    Takes and raises as `evaluate_stack`, but a slice without cells counts as 0. Rows: v_info_thin.
    """
    return _evaluate(labels, probability, thresholds, ("v_info",))["v_info"]


def warp_slice(labels: np.ndarray, probability: np.ndarray, threshold: float) -> Warped:
    """Warped labels of one slice and the kinds of the mismatches that are left, for overlays.

    Kinds are as defined also in a slice that is all cell, where the challenge's program (and `warping_error`) counts no
    split and no merger.

    Args:
        labels, probability: (H, W), as in `warping_error`, which says what raises.
    """
    labels, probability, (threshold,) = _checked(labels, probability, (threshold,))
    if len(labels) != 1:
        raise InputError(f"warp_slice takes one slice of shape (H, W), not a stack of {len(labels)} slices.")
    work, remaining = _warp(labels[0], probability[0].astype(np.float64), threshold)
    kinds = np.zeros(work.shape, np.uint8)
    kinds.ravel()[remaining] = _kinds(work, remaining)
    return Warped(labels=work[1:-1, 1:-1].astype(bool), kinds=np.ascontiguousarray(kinds[1:-1, 1:-1]))


def thin(foreground: np.ndarray) -> np.ndarray:
    """Grow the components of one slice, (H, W) bool, over its background until they meet.

    Returns:
        (H, W) int32 for V_Rand and V_Info: regions 1.., 0 = the lines between them, mostly 1 px thin.
    """
    if not isinstance(foreground, np.ndarray) or foreground.ndim != 2 or foreground.dtype != bool:
        raise InputError("thin takes one slice as a bool array of shape (H, W).")
    foreground = np.ascontiguousarray(foreground)
    return _thin(foreground, *ndimage.label(foreground))


def _warp(cells: np.ndarray, probability: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Warp one slice: the ringed (H+2, W+2) uint8 warped cells and the flat places of what still differs."""
    x, y = np.nonzero(np.ascontiguousarray((cells != (probability > threshold)).T))  # column order
    key = np.abs(probability[y, x] - threshold).astype(np.float32)
    order = np.argsort(-key, kind="stable")  # ties stay in column order
    work = np.pad(cells.astype(np.uint8), 1)
    wide = work.shape[1]
    return work, flip_simple(work.ravel(), ((y + 1) * wide + x + 1)[order], wide)


def _kinds(work: np.ndarray, remaining: np.ndarray) -> np.ndarray:
    """Kinds of the remaining mismatches, in their order (positions in KINDS)."""
    components = np.pad(ndimage.label(work[1:-1, 1:-1])[0], 1, constant_values=-1)
    return classify(components.ravel(), remaining, work.shape[0] - 2, work.shape[1] - 2)


def _thin(foreground: np.ndarray, components: np.ndarray, count: int) -> np.ndarray:
    if count == 0:
        return np.ones_like(components)
    # A first-in first-out flood that starts from the background's edge pixels, in column order.
    x, y = np.nonzero(np.ascontiguousarray((ndimage.binary_dilation(foreground) & ~foreground).T))
    regions = np.pad(components, 1, constant_values=-1)
    wide = regions.shape[1]
    queue, queued = np.empty(regions.size, np.int64), np.zeros(regions.size, bool)
    queue[: x.size] = (y + 1) * wide + x + 1
    queued[queue[: x.size]] = True
    grow(regions.ravel(), queue, x.size, queued, wide)
    return np.ascontiguousarray(regions[1:-1, 1:-1])


def _checked(labels, probability, thresholds) -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
    """Labels as (D, H, W) bool, probability as (D, H, W) float32, thresholds as floats; or ValueError."""
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "bui":
        kind = getattr(labels, "dtype", type(labels))
        raise InputError(f"labels must be a bool or integer array, not {kind}.")
    if not isinstance(probability, np.ndarray) or probability.dtype != np.float32:
        kind = getattr(probability, "dtype", type(probability))
        raise InputError(f"probability must be a float32 array, not {kind}: its exact values are compared.")
    if labels.shape != probability.shape:
        raise InputError(f"labels {labels.shape} and probability {probability.shape} differ in shape.")
    if labels.ndim not in (2, 3) or min(labels.shape[-2:]) < 2 or labels.size == 0:
        raise InputError(f"a stack must be (D, H, W) or (H, W) with H, W >= 2, not {labels.shape}.")
    shape = (-1, *labels.shape[-2:])  # slices in C order: the loops see flat views of them
    labels, probability = (np.ascontiguousarray(a).reshape(shape) for a in (labels, probability))
    largest = labels.max()
    if largest not in (0, 1, 255) or not ((labels == 0) | (labels == largest)).all():
        raise InputError("labels must hold 0 (membrane) and either 1 or 255 (cell), and no other value.")
    if np.isnan(probability).any():
        raise InputError("probability holds NaN; every value must be in [0, 1].")
    if probability.min() < 0 or probability.max() > 1:
        low, high = probability.min(), probability.max()
        raise InputError(f"probability must be in [0, 1], but runs from {low:.4g} to {high:.4g}.")
    steps = np.asarray(thresholds)
    numbers = steps.ndim == 1 and steps.size > 0 and steps.dtype.kind in "fui"
    if not numbers or not ((steps >= 0) & (steps <= 1)).all():
        raise InputError(f"thresholds must be one or more numbers in [0, 1], not {thresholds!r}.")
    return labels > 0, probability, tuple(steps.astype(np.float64).tolist())


@dataclass(frozen=True, eq=False)
class _Truth:
    """What is needed again at every threshold of one slice's labels."""

    cells: np.ndarray  # (H, W) bool
    pixels: np.ndarray  # flat places of the cells' pixels, true component after true component
    ends: np.ndarray  # where each component ends in `pixels`
    squares: int  # sum of a_i ** 2
    logs: float  # sum of a_i ln a_i


def _truth(cells: np.ndarray) -> _Truth:
    components, count = ndimage.label(cells)
    places = np.flatnonzero(cells)
    owner = components.ravel()[places].astype(np.min_scalar_type(count))  # 16 bits or fewer sort fast
    sizes = np.bincount(components.ravel(), minlength=count + 1)[1:]
    return _Truth(
        cells=cells,
        pixels=places[np.argsort(owner, kind="stable")],
        ends=np.cumsum(sizes),
        squares=int((sizes * sizes).sum()),
        logs=float((sizes * np.log(sizes)).sum()),
    )


def _count_pixels(truth: _Truth, proposal: np.ndarray) -> dict[str, int]:
    hit, cells, proposed = (int(np.count_nonzero(a)) for a in (truth.cells & proposal, truth.cells, proposal))
    return {"tp": hit, "fp": proposed - hit, "fn": cells - hit, "tn": proposal.size - cells - proposed + hit}


def _count_warping(truth: _Truth, probability: np.ndarray, threshold: float) -> dict[str, int]:
    work, remaining = _warp(truth.cells, probability, threshold)
    counts = {"mismatches": remaining.size, "splits": 0, "mergers": 0}
    # In a slice that is all cell the challenge's program loses the warped labels and counts neither kind.
    if remaining.size and not truth.cells.all():
        kinds = _kinds(work, remaining)
        counts["splits"], counts["mergers"] = (int(np.count_nonzero(kinds == k)) for k in (SPLIT, MERGER))
    return counts


def _count_thinned(truth: _Truth, regions: np.ndarray) -> dict[str, float]:
    """V_Rand and V_Info of one slice: F of the pairs, F of the information; 0 in a slice without cells."""
    n = truth.pixels.size
    if n == 0:
        return {"v_rand": 0.0, "v_info": 0.0}
    both, proposal, joint, entropy, used = overlap(truth.pixels, truth.ends, regions.ravel(), int(regions.max()))
    counts = {"v_rand": 2 * both / (truth.squares + proposal), "v_info": 0.0}
    if truth.ends.size > 1 and used > 1:  # else one of the two entropies is 0
        # Each entropy is ln n - (sum of c ln c) / n; a line pixel is a cluster of its own, 1 ln 1 = 0.
        h_truth, h_proposal = math.log(n) - truth.logs / n, math.log(n) - entropy / n
        information = h_truth + h_proposal - (math.log(n) - joint / n)
        counts["v_info"] = max(0.0, 2 * information / (h_truth + h_proposal))
    return counts


def _f(share: float, other: float) -> float:
    return 2 * share * other / (share + other) if share + other else 0.0


def _pixel_row(c: dict[str, np.ndarray], size: int) -> dict[str, float]:
    tp, fp, fn, tn = (int(c[k].sum()) for k in ("tp", "fp", "fn", "tn"))
    precision, recall = (tp / (tp + wrong) if wrong else 1.0 for wrong in (fp, fn))
    counts = {"true_positives": tp, "false_positives": fp, "false_negatives": fn, "true_negatives": tn}
    return {"pixel_misclassified": (fp + fn) / size, "pixel_f": _f(precision, recall), **counts}


def _rand_row(c: dict[str, np.ndarray], size: int) -> dict[str, float]:
    both, truth, proposal = (int(c[k].sum()) for k in ("pairs_both", "pairs_truth", "pairs_proposal"))
    return {
        "rand_f": 2 * both / (truth + proposal),
        "rand_precision": both / proposal,
        "rand_recall": both / truth,
        **{"pairs_both": both, "pairs_truth": truth, "pairs_proposal": proposal},
    }


def _warping_row(c: dict[str, np.ndarray], size: int) -> dict[str, float]:
    mismatches, splits, mergers = (int(c[k].sum()) for k in ("mismatches", "splits", "mergers"))
    ratios = {"warping_all": mismatches / size, "warping_splits_mergers": (splits + mergers) / size}
    return {**ratios, "splits": splits, "mergers": mergers, "mismatches": mismatches}


# Per metric: a threshold's row from the slices' counts and the number of pixels.
_ROWS: dict[str, Callable] = {
    "warping_error": _warping_row,
    "rand_error": _rand_row,
    "pixel_error": _pixel_row,
    "v_rand": lambda counts, size: {"v_rand_thin": float(counts["v_rand"].mean())},
    "v_info": lambda counts, size: {"v_info_thin": float(counts["v_info"].mean())},
}


def _evaluate(labels, probability, thresholds, wanted: Sequence[str]) -> dict[str, Result]:
    """The wanted metrics; what they have in common at a slice and threshold is computed once."""
    labels, probability, thresholds = _checked(labels, probability, thresholds)
    if "rand_error" in wanted and not labels.any(axis=(1, 2)).all():
        empty = int(np.flatnonzero(~labels.any(axis=(1, 2)))[0])
        raise InputError(f"the Rand error is undefined: the labels of slice {empty} hold no cell.")
    counts = []  # per slice and threshold: dict of counts
    for cells, values in zip(labels, probability, strict=True):
        truth, values = _truth(cells), values.astype(np.float64)
        counts.append([_count(truth, values, threshold, wanted) for threshold in thresholds])
    return {name: _summary(name, counts, thresholds, labels[0].size) for name in wanted}


def _count(truth: _Truth, probability: np.ndarray, threshold: float, wanted: Sequence[str]) -> dict[str, float]:
    """Everything that the wanted metrics count in one slice at one threshold; probability is float64."""
    proposal = probability > threshold
    counts: dict[str, float] = {}
    if "pixel_error" in wanted:
        counts |= _count_pixels(truth, proposal)
    if "warping_error" in wanted:
        counts |= _count_warping(truth, probability, threshold)
    if not {"rand_error", "v_rand", "v_info"}.intersection(wanted):
        return counts
    components, number = ndimage.label(proposal)
    if "rand_error" in wanted:
        both, proposed = overlap(truth.pixels, truth.ends, components.ravel(), number)[:2]
        counts |= {"pairs_both": both, "pairs_truth": truth.squares, "pairs_proposal": proposed}
    if "v_rand" in wanted or "v_info" in wanted:
        counts |= _count_thinned(truth, _thin(proposal, components, number))
    return counts


def _summary(name: str, counts: list[list[dict]], thresholds: tuple[float, ...], size: int) -> Result:
    row, metric = _ROWS[name], METRICS[name]
    rows, per_slice = [], np.empty((len(thresholds), len(counts)))
    for n, threshold in enumerate(thresholds):
        table = {key: np.array([c[n][key] for c in counts]) for key in counts[0][0]}
        rows.append({"threshold": threshold, **row(table, size * len(counts))})
        for d in range(len(counts)):
            per_slice[n, d] = metric.figure(row({key: v[d : d + 1] for key, v in table.items()}, size))
    scores = [metric.figure(each) for each in rows]
    best = metric.best(scores)
    return Result(score=scores[best], threshold=thresholds[best], rows=tuple(rows), per_slice=per_slice)
