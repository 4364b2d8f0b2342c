"""Images at another scale. The authors' release has an image scale among its settings; the paper does not mention it.

A network sees cells at the size that its receptive field (about 185 px) suits if images are resampled first. Labels are
resampled with the image, before separation borders are drawn; probabilities are brought back to full size.
"""

from __future__ import annotations

import numpy as np
from skimage.transform import resize

from reprolib.errors import InputError


def scaled_sides(sides: tuple[int, int], scale: float) -> tuple[int, int]:
    """Sides (px) of an image of these sides at a scale; at least 2 px each.

    Raises:
        ValueError: if the scale is not above 0 and at most 1.
    """
    if not 0 < scale <= 1:
        raise InputError(f"scale must be above 0 and at most 1, not {scale}")
    return tuple(max(2, round(side * scale)) for side in sides)


def resample_image(image: np.ndarray, scale: float) -> np.ndarray:
    """(H, W) or (H, W, C) values at a scale of at most 1: float32, smoothed first: nothing finer is folded in."""
    if scale == 1:
        return image
    sides = (*scaled_sides(image.shape[:2], scale), *image.shape[2:])
    return resize(image.astype(np.float32), sides, order=1, mode="reflect", anti_aliasing=True, preserve_range=True)


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
