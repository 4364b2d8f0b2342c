"""Label images as instance numbers: what annotation programs write, and what of it is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from reprolib.data.pages import Page
from reprolib.errors import InputError

NEIGHBOURS = np.ones((3, 3), int)  # pixels that meet at a corner are of one object
FRAGMENTS = 1.5  # pieces an object, on the average: more than that are no instance numbers
CLASSES = 20  # so many different numbers may be classes; more are a mask's grey values


@dataclass(frozen=True, eq=False)
class Labels:
    """The objects, or the classes, of one image."""

    instances: np.ndarray  # (H, W) int32: 0 = background, 1.. = objects, without gaps; or codes of classes
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
        InputError: as `_numbers`; or if the numbers are not those of objects, since most of them lie in many pieces:
            classes, or a mask that went through JPEG or was resized.
    """
    pixels, ignored, notes = _numbers(page, path, ignore, "object")
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
        few = "classes, not objects (--task classes learns them)"
        what = few if objects <= CLASSES else "a mask that went through JPEG or was resized"
        raise InputError(
            f"{path} has {objects} numbers in {pieces} pieces, perhaps {what}: give each object a number of its own, "
            "or save a mask of 0 and 255"
        )
    if last > objects:
        notes.append(f"numbers up to {last} became 1 to {objects}")
    return Labels(numbers, ignored, tuple(notes))


def class_codes(page: Page, path: Path, ignore: int | None = None) -> Labels:
    """Class numbers as they are stored, of a colour image red * 65536 + green * 256 + blue; see `number_classes`.

    Raises:
        InputError: as `_numbers`, and if a number is 2**24 or more.
    """
    pixels, ignored, notes = _numbers(page, path, ignore, "class")
    if pixels.max() >= 2**24:
        raise InputError(f"{path} holds {pixels.max()}: classes are whole numbers below {2**24}")
    return Labels(pixels.astype(np.int32), ignored, tuple(notes))


def _numbers(page: Page, path: Path, ignore: int | None, what: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """What a label file holds: whole numbers from 0 (H, W) of any type, with 0 where nobody has looked; where that is,
    (H, W) bool; and what was made of the file.

    Args:
        what: "object" or "class": has a number of its own. Colours number classes, not objects.

    Raises:
        InputError: if the file holds fractions, numbers below 0 that are not ``ignore``, or channels that are no
            number.
    """
    pixels, notes = page.pixels, list(page.notes)
    if pixels.ndim == 3:
        alike = (pixels == pixels[..., :1]).all()
        colours = pixels.shape[-1] == 3 and pixels.dtype == np.uint8
        if not alike and not (colours and what == "class"):
            kind = "is a colour image" if colours else f"has {pixels.shape[-1]} channels of {pixels.dtype}"
            raise InputError(f"{path} {kind}: save the labels as one number for each {what}")
        pixels = pixels[..., 0] if alike else pixels.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
        notes.append("grey stored as colour" if alike else "each colour is a class")
    if pixels.dtype.kind == "f":
        if not (np.isfinite(pixels).all() and (pixels == np.round(pixels)).all()):
            raise InputError(f"{path} holds fractions, perhaps probabilities: labels are whole numbers from 0")
        notes.append(f"{pixels.dtype} numbers")
    ignored = np.zeros(pixels.shape, bool) if ignore is None else pixels == ignore
    if ignored.any():
        pixels = np.where(ignored, 0, pixels)
        notes.append(f"{ignored.mean():.1%} ignored")
    if pixels.dtype.kind != "b" and pixels.min() < 0:
        raise InputError(
            f"{path} holds {int(pixels.min())}: labels are whole numbers from 0 (--ignore takes one that means none)"
        )
    return pixels, ignored, notes


def number_classes(labels: Sequence[Labels], names: Sequence[str], place: Path) -> tuple[list[np.ndarray], list[str]]:
    """Class numbers from 0 without gaps for all images together, and the classes' names; ignored pixels become 0.

    Args:
        labels: of `class_codes`.
        names: one for each class in the order of their codes; none: the codes themselves.
        place: of the labels, for messages.

    Raises:
        InputError: if there is one class, if there are so many that they are none, or names for another number.
    """
    codes = np.unique(np.concatenate([np.unique(one.instances[~one.ignored]) for one in labels]))
    if not 2 <= len(codes) <= CLASSES:
        what = "one class alone" if len(codes) < 2 else f"{len(codes)} classes, perhaps a mask that went through JPEG"
        raise InputError(f"the labels of {place} hold {what}: 2 to {CLASSES} classes can be learned")
    if names and len(names) != len(codes):
        raise InputError(f"{place} / classes.txt names {len(names)} classes, and the labels have {len(codes)}")
    numbers = [np.where(one.ignored, 0, np.searchsorted(codes, one.instances)).astype(np.int32) for one in labels]
    return numbers, list(names) or [f"#{code:06x}" if code > 65535 else str(code) for code in codes.tolist()]


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
