"""Images larger than the memory (Sec. 2): read window by window, predicted tile by tile, written as they come.

"This strategy is important to apply the network to large images, since otherwise the resolution would be limited by the
GPU memory." Here nothing but one tile and its features is in memory, if the file can be mapped: an uncompressed TIFF
is, other files are unpacked into memory first, at a byte or two for each pixel. An image at another scale lies on disk
meanwhile, and so does what is not yet at full size, or not yet summed over mirror images.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile
from torch import nn

from reprolib.augment import limits
from reprolib.data.images import open_grey
from reprolib.errors import InputError
from reprolib.files import replacing, reserve
from reprolib.geometry import VALID
from reprolib.progress import Progress, Report
from reprolib.resample import resample_image_by_rows, resize_plane_by_rows, scaled_sides
from reprolib.tiling import (
    FLIPS,
    GIBIBYTE,
    evaluating,
    fitting_tile,
    mirrored,
    origins,
    picked,
    probabilities,
    tile_geometry,
    window,
)

ROWS = 256  # of an image that are written, or resampled, at a time
BLOCK = 1024  # px, of a side of what is read at a time for the mean


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
        reduced, flips, scale, normalisation: see ``tiling.predict``. What lies on disk meanwhile: `scratch_bytes`.

    Raises:
        InputError: if the image is constant or not finite, or the target has another ending; or as ``fitting_tile``.
    """
    if Path(target).suffix.lower() not in (".tif", ".tiff"):
        raise InputError(f"{target} must end in .tif: probabilities are written tile by tile, without loss")
    tile = tile or fitting_tile(model, max(scaled_sides(image.shape[:2], scale)), memory)
    with replacing(Path(target)) as aside, contextlib.ExitStack() as opened:
        output = tifffile.memmap(aside, shape=image.shape[:2], dtype=np.uint8, photometric="minisblack")
        with open(aside, "rb+") as file:
            reserve(file, aside.stat().st_size)

        def on_disk(shape: tuple[int, ...]) -> np.ndarray:
            file = opened.enter_context(tempfile.TemporaryFile(dir=aside.parent))
            reserve(file, 4 * math.prod(shape))
            return np.memmap(file, np.float32, "w+", shape=shape)

        sides = scaled_sides(image.shape[:2], scale) if scale != 1 else image.shape[:2]
        total = on_disk(sides) if flips or scale != 1 else None
        if scale != 1:
            whole, image = image, on_disk((*sides, *image.shape[2:]))
            for rows, values in resample_image_by_rows(whole, scale, ROWS):
                image[rows] = values
        levels = grey_levels(image, normalisation)
        if total is None:
            for place, probability in predicted_tiles(model, image, tile, levels, report, reduced):
                output[place] = np.round(255 * probability)
        else:
            add_predictions(model, image, total, tile, levels, report, reduced, FLIPS if flips else FLIPS[:1])
            for rows, probability in resize_plane_by_rows(total, output.shape, ROWS):
                output[rows] = np.round(255 * probability)
        output.flush()


def scratch_bytes(shape: tuple[int, ...], flips: bool, scale: float) -> int:
    """What `predict_image` keeps on disk besides its result, bytes, for an image of this shape, (H, W) or (H, W, C)."""
    height, width = scaled_sides(shape[:2], scale) if scale != 1 else shape[:2]
    planes = 1 + math.prod(shape[2:]) if scale != 1 else int(flips)
    return 4 * planes * height * width


def add_predictions(
    model: nn.Module,
    image: np.ndarray,
    total: np.ndarray,
    tile: int,
    levels: Levels,
    report: Report | None = None,
    reduced: bool = False,
    mirror_axes: Sequence[tuple[int, ...]] = FLIPS,
) -> None:
    """Add the mean probability of class 1 over an image and its mirror images to ``total`` (H, W) float32."""
    for flip in mirror_axes:
        axes = tuple(axis + 2 for axis in flip)  # of (H, W, ...)
        mirrored = np.flip(total, axes)
        for place, probability in predicted_tiles(model, np.flip(image, axes), tile, levels, report, reduced):
            mirrored[place] += probability / len(mirror_axes)


def predicted_tiles(
    model: nn.Module,
    image: np.ndarray,
    tile: int,
    levels: Levels,
    report: Report | None = None,
    reduced: bool = False,
) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
    """Predict an image, in memory or mapped, tile by tile on the lattice: each pixel once, as (rows and columns, P).

    Equal to ``tiling.predict`` but for the last digit: the grey values' mean and deviation are taken in double here.

    Raises:
        ValueError: if the tile does not fit the network.
    """
    side, step, halo = tile_geometry(tile, True, getattr(model, "geometry", VALID))
    height, width = image.shape[:2]
    tops, lefts = origins(height, side, step), origins(width, side, step)
    count = len(tops) * len(lefts)
    with evaluating(model, reduced), Progress(count, "tile", report if count > 1 else None) as progress:
        for top in tops:
            for left in lefts:
                probability = _tile(model, window(image, top - halo, left - halo, tile), levels, reduced)
                bottom = height if top == tops[-1] else top + step  # what overlaps is the next tile's
                right = width if left == lefts[-1] else left + step
                yield (slice(top, bottom), slice(left, right)), probability[: bottom - top, : right - left]
                progress.update()


def predicted_region(
    model: nn.Module,
    image: np.ndarray,
    place: tuple[slice, slice],
    tile: int,
    levels: Levels,
    reduced: bool = False,
    flips: bool = False,
) -> np.ndarray:
    """The probabilities of a part of an image, by the tiles of the whole image: to the bits of `predict_image`.

    Args:
        image: (H, W) or (H, W, C), or what has such a shape and gives boxes of it. All that the tiles see is taken at
            once; with flips, once for each mirror image.
        place: rows and columns, of any extent. From a tile's origin to another's, or to the image's end, no tile is
            computed for two parts (but for the mirror images').
        levels: `grey_levels` of the whole image.

    Returns:
        (h, w) float32.
    """
    output = tile_geometry(tile, True, getattr(model, "geometry", VALID))
    total = np.zeros([part.stop - part.start for part in place], np.float32)
    for flip in FLIPS if flips else FLIPS[:1]:
        rows, columns = (
            covering(part, side, tile, output, axis in flip)
            for axis, part, side in zip((-2, -1), place, image.shape[:2], strict=True)
        )
        seen = picked(image, rows.seen, columns.seen)
        probability = np.empty([len(axis.seen) - 2 * output[2] for axis in (rows, columns)], np.float32)
        with evaluating(model, reduced):
            for top in rows.origins:
                for left in columns.origins:  # what overlaps is the later tile's
                    here = slice(top, top + output[0]), slice(left, left + output[0])
                    probability[here] = _tile(model, seen[top : top + tile, left : left + tile], levels, reduced)
        turned = np.flip(probability[rows.wanted, columns.wanted], tuple(axis + 2 for axis in flip))
        total += turned / len(FLIPS) if flips else turned
    return total


class Covering(NamedTuple):
    """Along one side of an image: the tiles that cover a part of it."""

    origins: list[int]  # px, of the tiles, from the first one's on
    seen: np.ndarray  # the image's pixels that the tiles see, in order
    wanted: slice  # the part, in what the tiles give


def covering(part: slice, side: int, tile: int, geometry: tuple[int, int, int], flip: bool = False) -> Covering:
    """The tiles of the lattice that cover a part of an image side (px); with ``flip``, of the mirror image's.

    Args:
        geometry: of the tile, see ``tiling.tile_geometry``.
    """
    output, step, halo = geometry
    start, stop = (side - part.stop, side - part.start) if flip else (part.start, part.stop)
    tiles = origins(side, output, step)
    first, last = (tiles[min(place // step, len(tiles) - 1)] for place in (start, stop - 1))
    seen = mirrored(first - halo, last - first + tile, side)
    within = [place - first for place in tiles if first <= place <= last]
    return Covering(within, side - 1 - seen if flip else seen, slice(start - first, stop - first))


def _tile(model: nn.Module, values: np.ndarray, levels: Levels, reduced: bool) -> np.ndarray:
    """The probability of class 1 of an input tile's grey values."""
    return probabilities(model, ((values - levels.centre) / levels.half).astype(np.float32), reduced)[1].numpy()


class Levels(NamedTuple):
    """What grey values are normalised by, (values - centre) / half: scalars, or (C,) of channels."""

    centre: np.ndarray
    half: np.ndarray


def grey_levels(image: np.ndarray, normalisation: str = "standard") -> Levels:
    """The levels of an image (H, W) or (H, W, C), see ``augment.normalise``.

    Raises:
        InputError: if it is constant, or not finite.
    """
    mean, spread = grey_values(image)
    return Levels(mean, spread) if normalisation == "standard" else between(*limits(image))


def between(low: np.ndarray, high: np.ndarray) -> Levels:
    """The levels that take ``low`` to -1 and ``high`` to 1."""
    return Levels((low + high) / 2, (high - low) / 2)


def grey_values(image: np.ndarray, block: int = BLOCK) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of an image's values, of each channel, in double, a block at a time.

    Returns:
        Two scalars of an image (H, W), or two (C,) of (H, W, C); an empty channel's deviation is 1.

    Raises:
        InputError: if it is constant, or not finite.
    """
    places = itertools.product(*(range(0, side, block) for side in image.shape[:2]))
    mean, deviation = together([moments(image[top : top + block, left : left + block]) for top, left in places])
    if not np.isfinite(deviation).all():
        raise InputError("the image holds NaN or infinite values: all grey values must be finite")
    if not np.any(deviation):
        raise InputError("the image is constant: there is nothing to segment")
    return mean, np.where(deviation > 0, deviation, 1.0)


def moments(block: np.ndarray) -> np.ndarray:
    """Of the pixels (h, w) or (h, w, C) of a block: their number, mean, and sum of squares about it, (3,) or (3, C)."""
    values = np.ascontiguousarray(block, np.float64)
    mean = values.mean((0, 1))
    return np.stack([np.full_like(mean, values.shape[0] * values.shape[1]), mean, ((values - mean) ** 2).sum((0, 1))])


def together(blocks: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of all pixels of blocks, from their `moments`; the blocks' order does not matter."""
    count, mean, squares = np.moveaxis(np.asarray(blocks), 1, 0)
    overall = _sum(count * mean) / _sum(count)
    return overall, np.sqrt(_sum(squares + count * (mean - overall) ** 2) / _sum(count))


def _sum(values: np.ndarray) -> np.ndarray:
    """The sum along the first axis, rounded once."""
    if not np.isfinite(values).all():
        return values.sum(0)
    return np.array([math.fsum(column) for column in values.reshape(len(values), -1).T]).reshape(values.shape[1:])
