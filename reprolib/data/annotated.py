"""What is annotated: cells without a gold mask, and the pixels that therefore neither train nor score (Sec. 4)."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from reprolib.data.dataset import Dataset

RING = 10  # px round a gold cell that count as background in a frame where most cells are not annotated


def unmasked_markers(gold: np.ndarray, markers: np.ndarray) -> list[int]:
    """Numbers of the tracking markers whose cell has no gold mask: none covers more than half of the marker.

    The Cell Tracking Challenge matches results to markers by the same rule.

    Args:
        gold: (H, W) integer gold masks, 0 = background.
        markers: (H, W) integer tracking markers, 0 = none, numbered otherwise than the masks.
    """
    missing = []
    for number in np.unique(markers[markers > 0]):
        covered = np.bincount(gold[markers == number], minlength=2)
        if 2 * covered[1:].max() <= covered.sum():
            missing.append(int(number))
    return missing


def unannotated(gold: np.ndarray, markers: np.ndarray, ring: int = RING) -> np.ndarray:
    """Where a gold frame is not annotated: (H, W) bool. Masks read 0 there, which does not mean background.

    A cell with a tracking marker but no gold mask lies somewhere round its marker. Its region here is the
    marker's watershed region where the landscape is the distance to the nearest marker: all pixels nearer to
    it than to any other cell's marker, less the gold masks. The annotated cells flood from their *markers*
    too: flooding from their masks would put the divide half-way between a mask and a marker, inside the cell
    that is to be left out. Grey values give no better landscape: faint borders let a region leak, or stop it
    at the nucleus.

    Where fewer than half of the markers have a mask, all that is farther than `ring` px from a mask is left
    out too.
    """
    missing = unmasked_markers(gold, markers)
    if not missing:
        return np.zeros(gold.shape, dtype=bool)
    row, column = ndimage.distance_transform_edt(markers == 0, return_distances=False, return_indices=True)
    region = np.isin(markers[row, column], missing)
    masked = len(np.unique(markers[markers > 0])) - len(missing)
    if masked < len(missing):
        region |= ndimage.distance_transform_edt(gold == 0) > ring
    return region & (gold == 0)


def untrained(dataset: Dataset, index: int) -> np.ndarray:
    """Pixels of one image that teach nothing, (H, W) bool: `ignore`, and near the edge all that bears no mask.

    Cells at the edge of a frame often have neither gold mask nor marker: they lie outside the field of interest of
    the Cell Tracking Challenge. SEG is not changed by them, since a result cell without a gold one costs nothing. But
    a network must not learn that they are background. `Dataset.border` says how near is near (px; 0 = nowhere).
    """
    unlabelled = dataset.instances[index] == 0
    inside = np.zeros_like(unlabelled)
    inside[tuple(slice(dataset.border, side - dataset.border) for side in unlabelled.shape)] = True
    return dataset.ignore[index] | (unlabelled & ~inside)
