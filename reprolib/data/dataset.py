"""A data set as arrays: images, instance labels, regions that are not annotated, folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

OWN = "own-"  # begins the names of sets of one's own images


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images with instance labels, and how they are split into folds."""

    name: str
    images: np.ndarray  # (N, H, W) grey values, or (N, H, W, C) channels; the published sets' are uint8
    instances: np.ndarray  # (N, H, W) int32: 0 = background (EM: membrane), 1.. = cells, per image; or class numbers
    ignore: np.ndarray  # (N, H, W) bool: True = not annotated, so neither trained on nor scored
    names: tuple[str, ...]  # one per image: "slice 00", "01/t002"
    folds: tuple[tuple[int, ...], ...]  # folds[k - 1] = the images held out in fold k; all others train
    hashes: dict[str, str]  # file or folder -> SHA-256 of its pixels, as found
    phantom: bool  # True = synthetic
    border: int = 0  # px: cells so near to the edge may bear neither mask nor marker, see `untrained`
    sizes: tuple[
        tuple[int, int], ...
    ] = ()  # (H, W) of each image, where they differ: the arrays are padded, see `padded`
    classes: tuple[str, ...] = ()  # names of the classes that ``instances`` numbers from 0; (): they are objects
    channels: str = "grey"  # what the images hold, as `Experiment.channels`

    def own_part(self, array: np.ndarray, index: int) -> np.ndarray:
        """Of an array (H, W) or (H, W, C) for one image, the part that is no padding."""
        height, width = self.sizes[index] if self.sizes else array.shape[:2]
        return array[:height, :width]

    def image(self, index: int) -> np.ndarray:
        """One image (H, W) or (H, W, C), without padding."""
        return self.own_part(self.images[index], index)


def padded(arrays: Sequence[np.ndarray], value: float = 0) -> np.ndarray:
    """Arrays (H, W) or (H, W, C) as one with N in front: smaller ones are filled up below and to the right."""
    sides = np.max([array.shape for array in arrays], axis=0)
    missing = [[(0, side) for side in sides - array.shape] for array in arrays]
    return np.stack([np.pad(array, n, constant_values=value) for array, n in zip(arrays, missing, strict=True)])


def blocks(count: int, folds: int) -> tuple[tuple[int, ...], ...]:
    """Indices 0 to count - 1 in contiguous blocks of as equal length as can be."""
    return tuple(tuple(int(index) for index in block) for block in np.array_split(np.arange(count), folds))
