"""Images larger than the memory (Sec. 2): read window by window, predicted tile by tile, written as they come.

"This strategy is important to apply the network to large images, since otherwise the resolution would be limited by the
GPU memory." Here nothing but one tile and its features is in memory, if the file can be mapped: an uncompressed TIFF
is, other files are unpacked into memory first, at a byte or two for each pixel.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from torch import nn

from reprolib.augment import limits
from reprolib.data.images import open_grey
from reprolib.errors import InputError
from reprolib.files import replacing, reserve
from reprolib.geometry import VALID
from reprolib.progress import Progress, Report
from reprolib.resample import scaled_sides
from reprolib.tiling import (
    FLIPS,
    GIBIBYTE,
    evaluating,
    fitting_tile,
    origins,
    predict,
    probabilities,
    tile_geometry,
    window,
)

ROWS = 256  # of an image that are read at a time


def predict_file(model: nn.Module, source: Path, target: Path, **options) -> tuple[int, int]:
    """As `predict_image`, of an image file of any size (see `images.open_grey`); gives its height and width in px."""
    image = open_grey(source)
    predict_image(model, image, target, **options)
    return image.shape


def predict_image(
    model: nn.Module,
    image: np.ndarray,
    target: Path,
    tile: int | None = None,
    memory: float = GIBIBYTE,
    report: Report | None = None,
    reduced: bool = False,
    flips: bool = False,
    scale: float = 1.0,
    normalisation: str = "standard",
) -> None:
    """Segment an image of any size: the probability of class 1 as an 8-bit TIFF, 255 = certain, written as it comes.

    Args:
        model: a network with a ``geometry``; put on its device already.
        image: (H, W) grey values, or (H, W, C) channels, in memory or mapped.
        target: .tif; written aside, then renamed.
        tile: side of the input tile in px; None chooses it by ``memory`` (see ``fitting_tile``).
        memory: bytes for the features of one tile.
        report: called with a line of progress and the time left now and then.
        reduced, flips, scale, normalisation: see ``tiling.predict``. With flips, 4 bytes a pixel lie on disk meanwhile;
            at another scale, the image and its probabilities are held in memory.

    Raises:
        InputError: if the image is constant or not finite, or the target has another ending; or as ``fitting_tile``.
    """
    if Path(target).suffix.lower() not in (".tif", ".tiff"):
        raise InputError(f"{target} must end in .tif: probabilities are written tile by tile, without loss")
    tile = tile or fitting_tile(model, max(scaled_sides(image.shape[:2], scale)), memory)
    with replacing(Path(target)) as aside:
        output = tifffile.memmap(aside, shape=image.shape[:2], dtype=np.uint8, photometric="minisblack")
        with open(aside, "rb+") as file:
            reserve(file, aside.stat().st_size)
        if scale != 1:
            options = {"reduced": reduced, "flips": flips, "scale": scale, "normalisation": normalisation}
            output[...] = np.round(255 * predict(model, image, tile, **options)[1])
        elif flips:
            with tempfile.TemporaryFile(dir=aside.parent) as file:
                reserve(file, 4 * output.size)
                total = np.memmap(file, np.float32, "w+", shape=image.shape[:2])
                fill_flipped(model, image, total, tile, report, reduced, normalisation)
                for top in range(0, len(total), ROWS):
                    output[top : top + ROWS] = np.round(255 * total[top : top + ROWS])
        else:
            for place, probability in predicted_tiles(model, image, tile, report, reduced, normalisation):
                output[place] = np.round(255 * probability)
        output.flush()


def fill_flipped(
    model: nn.Module,
    image: np.ndarray,
    total: np.ndarray,
    tile: int,
    report: Report | None = None,
    reduced: bool = False,
    normalisation: str = "standard",
) -> None:
    """Add the mean probability of class 1 over an image and its three mirror images to ``total`` (H, W) float32."""
    for flip in FLIPS:
        axes = tuple(axis + 2 for axis in flip)  # of (H, W, ...)
        mirrored = np.flip(total, axes)
        for place, probability in predicted_tiles(model, np.flip(image, axes), tile, report, reduced, normalisation):
            mirrored[place] += probability / len(FLIPS)


def predicted_tiles(
    model: nn.Module,
    image: np.ndarray,
    tile: int,
    report: Report | None = None,
    reduced: bool = False,
    normalisation: str = "standard",
) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
    """Predict an image, in memory or mapped, tile by tile on the lattice: each pixel once, as (rows and columns, P).

    Equal to ``tiling.predict`` but for the last digit: the grey values' mean and deviation are taken in double here.

    Raises:
        ValueError: if the image is constant or not finite, or the tile does not fit the network.
    """
    side, step, halo = tile_geometry(tile, True, getattr(model, "geometry", VALID))
    height, width = image.shape[:2]
    mean, spread = grey_values(image)
    if normalisation == "percentiles":
        low, high = limits(image)
        mean, spread = (low + high) / 2, (high - low) / 2
    tops, lefts = origins(height, side, step), origins(width, side, step)
    count = len(tops) * len(lefts)
    with evaluating(model, reduced), Progress(count, "tile", report if count > 1 else None) as progress:
        for top in tops:
            for left in lefts:
                values = (window(image, top - halo, left - halo, tile) - mean) / spread
                probability = probabilities(model, values.astype(np.float32), reduced)[1].numpy()
                bottom = height if top == tops[-1] else top + step  # what overlaps is the next tile's
                right = width if left == lefts[-1] else left + step
                yield (slice(top, bottom), slice(left, right)), probability[: bottom - top, : right - left]
                progress.update()


def grey_values(image: np.ndarray, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of an image's values, of each channel, in double, a few rows at a time.

    Returns:
        Two scalars of an image (H, W), or two (C,) of (H, W, C); an empty channel's deviation is 1.

    Raises:
        ValueError: if it is constant, or not finite.
    """
    count, parts = image.shape[0] * image.shape[1], range(0, image.shape[0], rows)
    mean = sum(image[top : top + rows].sum((0, 1), dtype=np.float64) for top in parts) / count
    squares = sum(((image[top : top + rows].astype(np.float64) - mean) ** 2).sum((0, 1)) for top in parts)
    if not np.isfinite(squares).all():
        raise InputError("the image holds NaN or infinite values: all grey values must be finite")
    if not np.any(squares):
        raise InputError("the image is constant: there is nothing to segment")
    return mean, np.where(squares > 0, np.sqrt(squares / count), 1.0)
