"""What images look like, in a few numbers: does an image resemble those that a network was trained on? Ours.

A network answers for any image. What it says of one that is brighter, noisier or at another scale than all that it has
learned of is worth little, and nothing in its answer tells so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
from scipy import ndimage

from reprolib.augment import limits
from reprolib.data.pages import brightness

LARGEST = 1024  # px, side of the middle part of an image that is looked at
LAPLACIAN = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]]) / 6  # unit noise stays unit noise, flat and sloped parts go
FACTOR, APART = 2.0, 0.5  # outside of the range by more than that is unlike: lengths and noise, levels


@dataclass(frozen=True)
class Appearance:
    """An image in numbers, of its brightness between its percentiles (see `augment.limits`), from 0 to 1."""

    level: float  # the median: bright objects on a dark ground have a low one
    noise: float  # standard deviation of what differs from pixel to pixel
    length: float  # px: structures are that wide; at this distance two pixels' correlation is a half


@dataclass(frozen=True)
class Seen:
    """What the training images looked like."""

    least: Appearance  # of each number
    most: Appearance
    areas: tuple[float, float]  # px: 5 % of the objects are smaller than the first, 5 % larger than the second


def appearance(image: np.ndarray) -> Appearance:
    """Of an image (H, W) or (H, W, C); of a large one its middle part counts."""
    rows, columns = (slice(max(0, (side - LARGEST) // 2), (side + LARGEST) // 2) for side in image.shape[:2])
    values = np.asarray(brightness(image[rows, columns]), np.float64)
    low, high = limits(values)
    values = np.clip((values - low) / (high - low), 0, 1)
    rough = ndimage.convolve(values, LAPLACIAN, mode="reflect")
    noise = 1.4826 * float(np.median(np.abs(rough)))  # a normal distribution's deviation; edges hardly move it
    return Appearance(float(np.median(values)), noise, _length(values))


def seen(images: Sequence[np.ndarray], instances: Sequence[np.ndarray]) -> Seen:
    """What training images and their objects look like; of classes there are no objects."""
    table = np.array([astuple(appearance(image)) for image in images])
    areas = np.concatenate([np.zeros(0, int), *(np.bincount(labels.ravel())[1:] for labels in instances)])
    low, high = np.quantile(areas[areas > 0], (0.05, 0.95)) if (areas > 0).any() else (0.0, 0.0)
    return Seen(
        Appearance(*table.min(axis=0).tolist()), Appearance(*table.max(axis=0).tolist()), (float(low), float(high))
    )


def unlike(known: Seen, image: np.ndarray, labels: np.ndarray | None = None) -> list[str]:
    """In what an image, and the objects (H, W) found in it, is unlike the training images: a phrase each."""
    here, phrases = appearance(image), []
    names = {"level": "median brightness", "noise": "noise", "length": "width of structures in px"}
    for field in fields(Appearance):
        value, low, high = (getattr(one, field.name) for one in (here, known.least, known.most))
        if field.name == "level":
            outside = not low - APART < value < high + APART
        else:
            outside = not low / FACTOR <= value <= high * FACTOR
        if outside:
            phrases.append(f"{names[field.name]} {value:.3g}, there {low:.3g} to {high:.3g}")
    if labels is not None and labels.any():
        area = float(np.median(np.bincount(labels.ravel())[1:]))
        if not known.areas[0] / FACTOR <= area <= known.areas[1] * FACTOR:
            phrases.append(f"objects of {area:.0f} px, there {known.areas[0]:.0f} to {known.areas[1]:.0f}")
    return phrases


def _length(values: np.ndarray) -> float:
    """The shift in px, along rows and columns, at which the autocorrelation has fallen to a half."""
    centred = values - values.mean()
    spectrum = np.abs(np.fft.rfft2(centred, [2 * side for side in values.shape])) ** 2
    whole = np.fft.irfft2(spectrum, [2 * side for side in values.shape])
    lengths = []
    for axis, side in enumerate(values.shape):
        lags = np.arange(max(2, side // 2))
        along = (whole[: len(lags), 0] if axis == 0 else whole[0, : len(lags)]) / (1 - lags / side)  # fewer pairs
        below = np.flatnonzero(along < 0.5 * along[0])
        if not len(below):
            lengths.append(float(len(lags)))
            continue
        k = int(below[0])
        lengths.append(k - 1 + float((along[k - 1] - 0.5 * along[0]) / (along[k - 1] - along[k])))
    return float(np.mean(lengths))
