"""Image files as arrays: whole, page by page, or mapped."""

from __future__ import annotations

import contextlib
import logging
import warnings
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from reprolib.errors import InputError


def read_image(path: Path) -> np.ndarray:
    """(pages, H, W) pixels of a TIFF or PNG file (colour: and channels); ValueError if it is damaged."""
    try:
        with Image.open(path) as opened:
            pages = []
            for index in range(getattr(opened, "n_frames", 1)):
                opened.seek(index)
                pages.append(np.asarray(opened))
        array = np.stack(pages)
    except Exception as error:  # Pillow raises a dozen kinds on damaged files
        raise InputError(f"{path} cannot be read as an image ({type(error).__name__}: {error}).") from error
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def read_tiff(path: Path) -> np.ndarray:
    """(pages, H, W) pixels of an image file, with more axes if it has channels; ValueError if it is damaged."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}: give a TIFF file")
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is wrong is told in one sentence
    try:
        with tifffile.TiffFile(path) as file:
            several = len(file.series) > 1  # pages that were appended one by one
            array = np.stack([page.asarray() for page in file.pages]) if several else file.series[0].asarray()
    except Exception as error:  # a dozen kinds on damaged files; LZW without imagecodecs, which Pillow reads
        try:
            with warnings.catch_warnings(action="ignore"):
                array = read_image(path)
        except ValueError:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise InputError(f"{path} cannot be read as a TIFF file ({reason})") from error
    array = array.view(np.uint8) if array.dtype == bool else array
    sides = [side for side in array.shape[:-2] if side > 1] or [1]  # without axes of length 1
    return array.reshape(*sides, *array.shape[-2:])


def open_image(path: Path) -> np.ndarray:
    """A grey image file as an (H, W) array: mapped where it is an uncompressed TIFF, else read.

    Raises:
        ValueError: if it has several pages or colours, or is no image.
        OSError: if it cannot be read.
    """
    image, pages, mode = None, 1, ""
    if Path(path).suffix.lower() in (".tif", ".tiff"):
        with contextlib.suppress(ValueError, tifffile.TiffFileError):  # compressed, or scattered over the file
            image = tifffile.memmap(path, mode="r")
    if image is None:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # large images are what this is for
        try:
            with Image.open(path) as file:
                image, pages, mode = np.asarray(file), getattr(file, "n_frames", 1), file.mode
        except Image.UnidentifiedImageError:
            raise InputError(f"{path} is no image that can be read: give a grey TIFF or PNG") from None
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    if image.ndim != 2 or pages != 1 or mode == "P" or image.dtype.kind not in "buif" or image.size == 0:
        what = [f"{image.dtype} {image.shape}"]
        if pages > 1:
            what.append(f"{pages} pages")
        if mode == "P":
            what.append("a colour table")
        raise InputError(f"{path} must be one page of grey values (H, W), not {', '.join(what)}")
    return image
