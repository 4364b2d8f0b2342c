"""Bright discs on a noisy ground, as images and as labels: what one's own folders hold, small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image


def discs(count: int = 8, side: int = 64) -> np.ndarray:
    """(side, side) uint16: discs that do not touch, numbered from 1."""
    row, column = np.indices((side, side))
    labels = np.zeros((side, side), np.uint16)
    for number in range(count):
        top, left = 11 + 20 * (number // 3), 11 + 20 * (number % 3)
        labels[(row - top) ** 2 + (column - left) ** 2 < (5 + number % 3) ** 2] = number + 1
    return labels


def picture(labels: np.ndarray, seed: int = 0, noise: float = 12.0) -> np.ndarray:
    """Grey values (H, W) uint8 of labels."""
    noise = np.random.default_rng(seed).normal(0, noise, labels.shape)
    return (np.where(labels > 0, 170, 60) + noise).clip(0, 255).astype(np.uint8)


def save(path: Path, array: np.ndarray, **options) -> Path:
    """Write an image file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".tif", ".tiff"):
        tifffile.imwrite(path, array, **({"photometric": "minisblack"} | options))
    else:
        Image.fromarray(array).save(path, **options)
    return path
