"""An image with the outlines of its objects, to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from skimage.segmentation import find_boundaries

from reprolib.data.pages import brightness
from reprolib.files import replacing

YELLOW, BLUE, VERMILLION = (240, 228, 66), (86, 180, 233), (213, 94, 0)  # of Okabe and Ito's colours
PERCENTILES = (0.5, 99.5)  # of the grey values: black and white


def overlay(image: np.ndarray, instances: np.ndarray, colour: tuple[int, int, int] = YELLOW) -> np.ndarray:
    """(H, W, 3) uint8: an image between its percentiles, integer labels (H, W) outlined in a colour.

    Args:
        image: (H, W), (H, W, 3) as red, green and blue, or other channels (H, W, C) by their mean.
    """
    colours = image.ndim == 3 and image.shape[-1] == 3
    image = (image if colours else brightness(image)).astype(np.float64)
    low, high = np.percentile(image, PERCENTILES)
    shown = np.clip((image - low) / max(high - low, 1e-12), 0, 1)
    drawn = np.round(255 * shown).astype(np.uint8)
    drawn = drawn if colours else np.repeat(drawn[..., None], 3, axis=-1)
    drawn[outlines(instances)] = colour
    return drawn


def outlines(instances: np.ndarray) -> np.ndarray:
    """Where the pixels of integer labels (H, W) meet another object or the background: (H, W) bool."""
    return find_boundaries(instances, mode="inner", connectivity=1)


def save_overlay(path: Path, image: np.ndarray, instances: np.ndarray) -> None:
    """Write an overlay as PNG, whole or not at all."""
    with replacing(path) as aside:
        Image.fromarray(overlay(image, instances)).save(aside, "PNG")
