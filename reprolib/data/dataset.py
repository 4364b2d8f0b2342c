"""A data set as arrays: images, instance labels, regions that are not annotated, folds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images with instance labels, and how they are split into folds."""

    name: str
    images: np.ndarray  # (N, H, W) uint8 grey values
    instances: np.ndarray  # (N, H, W) int32: 0 = background (EM: membrane), 1.. = cells, per image
    ignore: np.ndarray  # (N, H, W) bool: True = not annotated, so neither trained on nor scored
    names: tuple[str, ...]  # one per image: "slice 00", "01/t002"
    folds: tuple[tuple[int, ...], ...]  # folds[k - 1] = the images held out in fold k; all others train
    hashes: dict[str, str]  # file or folder -> SHA-256 of its pixels, as found
    phantom: bool  # True = synthetic
    border: int = 0  # px: cells so near to the edge may bear neither mask nor marker, see `untrained`


def blocks(count: int, folds: int) -> tuple[tuple[int, ...], ...]:
    """Indices 0 to count - 1 in contiguous blocks of as equal length as can be."""
    return tuple(tuple(int(index) for index in block) for block in np.array_split(np.arange(count), folds))
