"""Label images as instance numbers: what annotation programs write, and what of it is none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from reprolib.data.images import Page
from reprolib.errors import InputError

NEIGHBOURS = np.ones((3, 3), int)  # pixels that meet at a corner are of one object
FRAGMENTS = 1.5  # pieces an object, on the average: more than that are no instance numbers
CLASSES = 20  # so many different numbers may be classes; more are a mask's grey values


@dataclass(frozen=True, eq=False)
class Labels:
    """The objects of one image."""

    instances: np.ndarray  # (H, W) int32: 0 = background, 1.. = objects, without gaps
    ignored: np.ndarray  # (H, W) bool: where nobody has looked
    notes: tuple[str, ...]  # what was made of the file

    @property
    def objects(self) -> int:
        return int(self.instances.max(initial=0))


def instances(page: Page, path: Path, ignore: int | None = None) -> Labels:
    """Instance numbers from the raw page of a label file: numbers as they are, binary masks by components.

    Args:
        ignore: the number of pixels that are not annotated.

    Raises:
        InputError: if the file holds no labels: colours, fractions, numbers below 0; or if its numbers are not those of
            objects, since most of them lie in many pieces: classes, or a mask that went through JPEG or was resized.
    """
    pixels, notes = page.pixels, list(page.notes)
    if pixels.ndim == 3:
        if not (pixels == pixels[..., :1]).all():
            raise InputError(f"{path} is a colour image: save the labels as one number for each object")
        pixels = pixels[..., 0]
        notes.append("grey stored as colour")
    if pixels.dtype.kind == "f":
        if not (np.isfinite(pixels).all() and (pixels == np.round(pixels)).all()):
            raise InputError(f"{path} holds fractions, perhaps probabilities: labels are whole numbers from 0")
        notes.append(f"{pixels.dtype} numbers")
    if pixels.dtype.kind != "b" and pixels.min() < 0:
        raise InputError(f"{path} holds {int(pixels.min())}: labels are whole numbers from 0, which is the background")
    ignored = np.zeros(pixels.shape, bool) if ignore is None else pixels == ignore
    if ignored.any():
        pixels = np.where(ignored, 0, pixels)
        notes.append(f"{ignored.mean():.1%} ignored")
    numbers, last = consecutive(pixels), int(pixels.max())
    objects = int(numbers.max())
    if objects == 0:
        return Labels(numbers, ignored, (*notes, "no object: an image to learn from all the same"))
    if objects == 1:
        mask, count = ndimage.label(numbers, NEIGHBOURS)
        if count > 1:
            notes.append(f"a mask of 0 and {last}: numbered by its {count} connected parts")
        return Labels(mask.astype(np.int32), ignored, tuple(notes))
    pieces = _pieces(numbers)
    if pieces > FRAGMENTS * objects:
        what = "classes, not objects" if objects <= CLASSES else "a mask that went through JPEG or was resized"
        raise InputError(
            f"{path} has {objects} numbers in {pieces} pieces, perhaps {what}: give each object a number of its own, "
            "or save a mask of 0 and 255"
        )
    if last > objects:
        notes.append(f"numbers up to {last} became 1 to {objects}")
    return Labels(numbers, ignored, tuple(notes))


def consecutive(numbers: np.ndarray) -> np.ndarray:
    """Numbers from 0, however large, as int32 without gaps and in their order; 0 stays 0."""
    values, places = np.unique(numbers, return_inverse=True)
    return places.reshape(numbers.shape).astype(np.int32) + np.int32(values[0] > 0)


def _pieces(numbers: np.ndarray) -> int:
    """Connected parts of one number each, over all numbers."""
    count = 0
    for number, box in enumerate(ndimage.find_objects(numbers), start=1):
        if box is not None:
            count += ndimage.label(numbers[box] == number, NEIGHBOURS)[1]
    return count
