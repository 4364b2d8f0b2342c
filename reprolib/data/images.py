"""Image files as arrays: one reader for training, prediction, checking and scoring.

TIFF (tifffile, imagecodecs), PNG, JPEG, BMP and GIF (Pillow), Zarr and OME-Zarr (zarr). What a file says of itself is
heeded: WhiteIsZero is inverted, palettes are looked up, orientation tags are followed, transparency is dropped. Labels
and probabilities are numbers, not brightness: they are read ``raw``, as they are stored.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from reprolib.data.limits import (
    cut_short,
    judge_kind,
    judge_pages,
    judge_size,
    judge_tiff,
    judge_tiff_pages,
    judge_zarr,
)
from reprolib.data.pages import Page, grey
from reprolib.data.volumes import open_volume
from reprolib.errors import InputError

TIFF = (".tif", ".tiff", ".btf", ".lsm", ".stk", ".tf8")
ENDINGS = (*TIFF, ".png", ".jpg", ".jpeg", ".bmp", ".gif", ".zarr")
MICROMETRES = {"µm": 1.0, "um": 1.0, "micron": 1.0, "micrometer": 1.0, "nm": 1e-3, "nanometer": 1e-3, "mm": 1e3}
OTHER_COLOURS = ("SEPARATED", "CIELAB", "ICCLAB", "ITULAB", "CFA")  # of print, of perception, of a camera's mosaic
PILLOW_BYTES = {"1": 1, "L": 1, "I;16": 2}  # of a pixel in Pillow's memory; of other modes 4
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")  # that Pillow reads for us, whatever a file's name ends with
# What Pillow makes of the modes that are neither grey nor red, green and blue; of a palette not in raw numbers.
AS_COLOURS = {"LA": "L", "RGBA": "RGB", "PA": "RGB", **dict.fromkeys(("CMYK", "YCbCr", "LAB", "HSV"), "RGB")}
PIXELS_AT_ONCE = 2**20
PART = "one of the files of an image: its own pages alone"
# What a viewer does with each orientation tag: transpose first, then reverse these axes.
ORIENTATION = {
    1: (False, ()),
    2: (False, (1,)),
    3: (False, (0, 1)),
    4: (False, (0,)),
    5: (True, ()),
    6: (True, (1,)),
    7: (True, (0, 1)),
    8: (True, (0,)),
}


def read_pages(path: Path, raw: bool = False) -> list[Page]:
    """The images of a file, in order: one for each slice, time or page; channels stay together.

    Args:
        raw: take the numbers as stored, for labels and probabilities: no WhiteIsZero, no palette.

    Raises:
        InputError: if it is no image, damaged, of a kind that is not read, or claims what `limits` refuses.
        FileNotFoundError: if there is no such file.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    judge_kind(path)
    try:
        if path.suffix.lower() == ".zarr":
            pages = list(_zarr(path))
        elif path.suffix.lower() in TIFF:
            pages = list(_tiff(path, raw))
        else:
            pages = list(_pillow(path, raw))
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(f"{path} needs more memory than there is: it is damaged, or must be cut") from error
    except Exception as error:  # the libraries raise a dozen kinds on damaged files
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"{path} cannot be read as an image ({reason})") from error
    if not pages:
        raise InputError(f"{path} holds no image")
    for page in pages:
        if page.pixels.dtype.kind not in "buif" or page.pixels.size == 0:
            raise InputError(f"{path} holds {page.pixels.dtype} pixels {page.pixels.shape}: that is no image")
    return pages


def read_stack(path: Path) -> np.ndarray:
    """All pages of a file as one array (pages, H, W), or with colours (pages, H, W, colours), raw; channels are pages.

    Raises:
        InputError: as `read_pages`, and if pages differ in size or type.
    """
    pixels: list[np.ndarray] = []
    for page in read_pages(path, raw=True):
        several = page.channels and page.pixels.ndim == 3
        pixels.extend(np.moveaxis(page.pixels, -1, 0) if several else [page.pixels])
    if len({(one.shape, one.dtype) for one in pixels}) > 1:
        raise InputError(f"{path} cannot be read as one stack: its pages differ in size or type")
    return np.stack(pixels)


def open_grey(path: Path) -> np.ndarray:
    """The grey values (H, W) of a file with one image: mapped where it is a plain uncompressed TIFF, else read.

    Raises:
        InputError: as `read_pages` and `grey`, and if the file has several images.
    """
    plain = open_plain(path)
    if plain is not None:
        return plain
    pages = read_pages(path)
    if len(pages) != 1:
        raise InputError(f"{path} must be one image, and holds {len(pages)} pages: save each as a file of its own")
    return grey(pages[0], path)[0]


def open_plain(path: Path) -> np.ndarray | None:
    """The grey values (H, W) of a plain uncompressed TIFF of one page, mapped; None for every other file."""
    if Path(path).suffix.lower() in TIFF and Path(path).is_file():  # a pipe would be waited for
        logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is wrong is told in one sentence
        with contextlib.suppress(Exception), tifffile.TiffFile(path) as file:  # `read_pages` tells what is wrong
            judge_tiff_pages(path, file)
            page = file.pages[0]
            if page.dtype.kind not in "uif" or cut_short(file):
                return None
            grey_values = page.photometric == tifffile.PHOTOMETRIC.MINISBLACK and page.samplesperpixel == 1
            if len(file.pages) == 1 and grey_values and _orientation(page) == 1 and _tiff_pixel_size(file) is None:
                mapped = tifffile.memmap(path, mode="r")
                return mapped.reshape(mapped.shape[:2])  # (H, W, 1) is (H, W)
    return None


def _tiff(path: Path, raw: bool) -> Iterator[Page]:
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is wrong is told in one sentence
    with contextlib.ExitStack() as opened:
        file = opened.enter_context(tifffile.TiffFile(path))
        judge_tiff_pages(path, file)
        if cut_short(file):
            raise InputError(f"{path} is cut short: it ends before its next page")
        size, apart = _tiff_pixel_size(file), _is_part_of_several_files(file, path)
        if apart:  # tifffile would read the other files too, and each image once for each file
            file = opened.enter_context(tifffile.TiffFile(path, is_ome=False))
        judge_tiff(path, file)
        for series in file.series:
            first = series.keyframe
            if not raw and first.photometric.name in OTHER_COLOURS:
                raise InputError(f"{path} has {first.photometric.name} colours: save it as grey or RGB")
            if first.is_reduced and series is not file.series[0]:
                continue  # a smaller copy of the image before
            array, axes, notes = series.asarray(), series.axes, [PART] if apart else []
            if not raw and first.photometric == tifffile.PHOTOMETRIC.PALETTE:
                array, axes = _looked_up((first.colormap >> 8).astype(np.uint8).T, array), axes + "S"
                notes.append("a palette was looked up")
            if not raw and first.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
                if array.dtype.kind not in "bu":
                    raise InputError(
                        f"{path} says that white is zero, of {array.dtype} pixels: save it as black is zero"
                    )
                array = ~array if array.dtype.kind == "b" else (2**first.bitspersample - 1) - array
                notes.append("white was zero: inverted")
            colour = "S" in axes and first.photometric != tifffile.PHOTOMETRIC.MINISBLACK
            alpha = colour or tifffile.EXTRASAMPLE.UNSPECIFIED not in first.extrasamples
            if alpha and first.extrasamples and "S" in axes:
                array = np.take(array, range(array.shape[axes.index("S")] - len(first.extrasamples)), axes.index("S"))
                notes.append("transparency was dropped")
            transposed, reversed_axes = ORIENTATION[_orientation(first)]
            for pixels in _planes(array, axes):
                turned = np.swapaxes(pixels, 0, 1) if transposed else pixels
                turned = np.flip(turned, reversed_axes) if reversed_axes else turned
                told = ["turned as its orientation tag says"] if transposed or reversed_axes else []
                yield Page(np.ascontiguousarray(turned), size, (*notes, *told), channels=not colour)


def _looked_up(palette: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The colours (..., 3) of a palette (colours, 3), uint8, that numbers stand for, some at a time to save memory."""
    colours, flat = np.empty((numbers.size, 3), np.uint8), numbers.ravel()
    for start in range(0, flat.size, PIXELS_AT_ONCE):
        some = flat[start : start + PIXELS_AT_ONCE]
        colours[start : start + some.size] = palette[some.astype(np.uint16)]
    return colours.reshape(*numbers.shape, 3)


def _is_part_of_several_files(file: tifffile.TiffFile, path: Path) -> bool:
    """Whether an OME-TIFF says that its image is spread over several files.

    Raises:
        InputError: if channels are: one file then holds no whole image.
    """
    if not file.is_ome or len(set(re.findall(r'FileName="([^"]+)"', file.ome_metadata))) < 2:
        return False
    if any(int(count) > 1 for count in re.findall(r'\bSizeC="(\d+)"', file.ome_metadata)):
        raise InputError(f"{path} is one of several files of one image with channels: save the image as one file")
    return True


def _orientation(page) -> int:
    tag = page.tags.get("Orientation")
    return int(tag.value) if tag is not None and int(tag.value) in ORIENTATION else 1


def _tiff_pixel_size(file: tifffile.TiffFile) -> float | None:
    """Micrometres per pixel from OME or ImageJ metadata; a resolution alone is a printer's, not a microscope's."""
    if file.is_ome:
        pixels = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]
        pixels = (pixels[0] if isinstance(pixels, list) else pixels)["Pixels"]
        size, unit = pixels.get("PhysicalSizeX"), pixels.get("PhysicalSizeXUnit", "µm")
        if size and unit in MICROMETRES and 0 < float(size) < math.inf:
            return float(size) * MICROMETRES[unit]
    if file.is_imagej:
        unit, tag = file.imagej_metadata.get("unit", ""), file.pages[0].tags.get("XResolution")
        unit = unit.replace("\\u00B5", "µ")
        if tag is not None and all(tag.value) and unit in MICROMETRES:
            return tag.value[1] / tag.value[0] * MICROMETRES[unit]
    return None


def _pillow(path: Path, raw: bool) -> Iterator[Page]:
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # large images are no attack here
    try:
        with Image.open(path, formats=FORMATS) as file:
            if file.format == "PNG" and file.mode in ("RGB", "RGBA") and str(file.tile[0].args).endswith("16B"):
                raise InputError(f"{path} is a PNG of 16-bit colours: save it as a grey PNG, or as a TIFF")  # or 8 bits
            frames = getattr(file, "n_frames", 1)
            judge_pages(path, frames)
            size = frames * file.width * file.height * PILLOW_BYTES.get(file.mode, 4)
            judge_size(path, size, path.stat().st_size, copies=2)
            for index in range(frames):
                file.seek(index)
                file.load()  # of some files it settles the mode
                notes, wanted = [], AS_COLOURS.get(file.mode)
                transposed, reversed_axes = ORIENTATION.get(file.getexif().get(0x0112, 1), ORIENTATION[1])
                if transposed or reversed_axes:
                    notes.append("turned as its orientation tag says")
                if file.mode == "P":
                    wanted = None if raw else "RGB"
                    notes += [] if raw else ["a palette was looked up"]
                if file.mode in ("LA", "RGBA", "PA"):
                    notes.append("transparency was dropped")
                yield Page(_pixels(file, wanted, transposed, reversed_axes), None, tuple(notes))
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _pixels(image: Image.Image, mode: str | None, transposed: bool, reversed_axes: tuple[int, ...]) -> np.ndarray:
    """The pixels of a Pillow image in another mode, or its own, and turned: rows at a time, for memory's sake."""
    rows = max(1, PIXELS_AT_ONCE // image.width)
    for top in range(0, image.height, rows):
        part = image.crop((0, top, image.width, min(top + rows, image.height)))
        values = np.asarray(part.convert(mode) if mode else part)
        if top == 0:
            sides = (image.width, image.height) if transposed else (image.height, image.width)
            pixels = np.empty((*sides, *values.shape[2:]), values.dtype.newbyteorder("="))
            laid = np.flip(pixels, reversed_axes)
            laid = np.swapaxes(laid, 0, 1) if transposed else laid
        laid[top : top + rows] = values
    return pixels


def _zarr(path: Path) -> Iterator[Page]:
    volume, size = open_volume(path), None
    judge_zarr(path, volume.array)
    if volume.scale:
        unit = volume.named[volume.axes.index("X")].get("unit", "")
        size = volume.scale[volume.axes.index("X")] * MICROMETRES[unit] if unit in MICROMETRES else None
    array = np.asarray(volume.array)
    for pixels in _planes(array.astype(array.dtype.newbyteorder("="), copy=False), volume.axes):
        yield Page(np.ascontiguousarray(pixels), size, channels=True)


def _planes(array: np.ndarray, axes: str) -> Iterator[np.ndarray]:
    """The images (H, W), or (H, W, channels), of an array with named axes; other axes are counted through."""
    wanted = [axes.index(axis) for axis in ("Y", "X")]
    channels = [k for k, axis in enumerate(axes) if axis in "SC" and array.shape[k] > 1]
    if len(channels) > 1:
        raise ValueError(f"two axes of channels, {axes}")
    others = [k for k in range(array.ndim) if k not in (*wanted, *channels)]
    array = np.transpose(array, (*others, *wanted, *channels))
    for place in itertools.product(*(range(side) for side in array.shape[: len(others)])):
        yield array[place]
