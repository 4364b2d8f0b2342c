"""Images at another scale. The authors' release has an image scale among its settings; the paper does not mention it.

A network sees cells at the size that its receptive field (about 185 px) suits if images are resampled first. Labels are
resampled with the image, before separation borders are drawn; probabilities are brought back to full size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import ndimage
from skimage.transform import resize

from reprolib.errors import InputError

LARGEST = 4  # scale


def scaled_sides(sides: tuple[int, int], scale: float) -> tuple[int, int]:
    """Sides (px) of an image of these sides at a scale; at least 2 px each.

    Raises:
        ValueError: if the scale is not above 0 and at most 4.
    """
    if not 0 < scale <= LARGEST:
        raise InputError(f"scale must be above 0 and at most {LARGEST}, not {scale}")
    return tuple(max(2, round(side * scale)) for side in sides)


def resample_image(image: np.ndarray, scale: float) -> np.ndarray:
    """(H, W) or (H, W, C) values at a scale, float32. Smoothed before they are reduced: nothing finer is folded in."""
    if scale == 1:
        return image
    sides = (*scaled_sides(image.shape[:2], scale), *image.shape[2:])
    beyond = "reflect" if scale < 1 else "edge"  # for the smoothing; what is enlarged needs values there
    return resize(image.astype(np.float32), sides, order=1, mode=beyond, anti_aliasing=True, preserve_range=True)


def resample_labels(labels: np.ndarray, scale: float) -> np.ndarray:
    """(H, W) whole numbers or bool at a scale, each pixel that of the nearest one: no number is mixed."""
    if scale == 1:
        return labels
    rows, columns = (
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1)
        for old, new in zip(labels.shape, scaled_sides(labels.shape, scale), strict=True)
    )
    return labels[np.ix_(rows, columns)]


def resize_planes(planes: np.ndarray, sides: tuple[int, int]) -> np.ndarray:
    """(K, h, w) probabilities at other sides, linear between pixel centres: (K, H, W), their sum unchanged."""
    if planes.shape[1:] == sides:
        return planes
    full = [resize(plane, sides, order=1, mode="edge", anti_aliasing=False, preserve_range=True) for plane in planes]
    return np.stack(full).astype(planes.dtype)


def resample_image_by_rows(image: np.ndarray, scale: float, rows: int = 256) -> Iterator[tuple[slice, np.ndarray]]:
    """`resample_image` a few rows at a time, from the top: (rows of the result, their values), equal but for rounding.

    Args:
        image: (H, W) or (H, W, C), in memory or mapped; about ``rows`` rows of it are read at once.
    """
    sides = (*scaled_sides(image.shape[:2], scale), *image.shape[2:])
    factors = [old / new for old, new in zip(image.shape, sides, strict=True)]
    spread = [max(0.0, (factor - 1) / 2) for factor in factors]  # of the Gaussian that scikit-image smooths with
    reach = math.ceil(4 * spread[0]) + 1  # rows that SciPy's Gaussian looks at, at most
    for part, start, stop in _parts(image.shape[0], sides[0], rows, reach):
        smooth = ndimage.gaussian_filter(np.asarray(image[start:stop], np.float32), spread, mode="mirror")
        yield part, _interpolated(smooth, factors, (part.stop - part.start, *sides[1:]), part.start, start)


def resize_plane_by_rows(
    plane: np.ndarray, sides: tuple[int, int], rows: int = 256
) -> Iterator[tuple[slice, np.ndarray]]:
    """`resize_planes` of one plane (h, w), about ``rows`` rows of the result (H, W) at a time, from the top."""
    factors = [old / new for old, new in zip(plane.shape, sides, strict=True)]
    for part, start, stop in _parts(plane.shape[0], sides[0], max(1, round(rows * factors[0])), 1):
        yield part, _interpolated(plane[start:stop], factors, (part.stop - part.start, sides[1]), part.start, start)


def _parts(old: int, new: int, rows: int, reach: int) -> Iterator[tuple[slice, int, int]]:
    """Parts of a resampled side: their pixels, and the first and behind the last pixel of the old side that they need.

    Args:
        old, new: the side before and after, px.
        rows: about so many old pixels belong to one part.
        reach: so many more are needed on each side.
    """
    step = max(1, round(rows * new / old))
    for first in range(0, new, step):
        last = min(first + step, new) - 1
        top, bottom = ((k + 0.5) * old / new - 0.5 for k in (first, last))
        yield slice(first, last + 1), max(0, math.floor(top) - reach), min(old, math.ceil(bottom) + reach + 1)


def _interpolated(
    values: np.ndarray, factors: Sequence[float], sides: Sequence[int], first: int, start: int
) -> np.ndarray:
    """Values linear between pixel centres at other sides, and beyond these the nearest.

    Args:
        factors: old side / new side, of each axis.
        sides: of the result.
        first, start: rows, of the whole result and of the whole image, that are the first ones here.
    """
    offsets = [(factor - 1) / 2 for factor in factors]
    offsets[0] += first * factors[0] - start
    return ndimage.affine_transform(values, factors, offsets, output_shape=tuple(sides), order=1, mode="nearest")
