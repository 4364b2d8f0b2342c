"""What an image file claims, judged before it is decoded: bytes of pixels, pages, and what kind of file it is."""

from __future__ import annotations

import math
import os
import re
import struct
from pathlib import Path

import tifffile

from reprolib.errors import InputError

GIBIBYTE = 2**30
MOST_COMPRESSED = 500  # bytes of pixels, above 1 GiB, in one byte of a file; deflate's most is 1,032, of zeros alone
MOST_PAGES = 2**16  # of a file; as many pieces of a Zarr array


def judge_kind(path: Path) -> None:
    """Refuse what is there and no file or folder.

    Raises:
        InputError: of a pipe, socket or device, whose reading might never end.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(f"{path} is a pipe, socket or device, no image: give image files or folders of them")


def judge_size(path: Path, size: int, stored: int, copies: int = 1) -> None:
    """Refuse more bytes of pixels than a file can hold, or than this machine can.

    Args:
        size: bytes of pixels that the file claims.
        stored: bytes of the file.
        copies: how many times the pixels lie in memory while they are decoded.

    Raises:
        InputError: above 1 GiB, if a byte would hold over MOST_COMPRESSED, or half of the free memory is not enough.
    """
    if size <= GIBIBYTE:
        return
    import psutil  # late: on Linux it loads modules that only Unix has

    claimed, needed, free = size / GIBIBYTE, size * copies, psutil.virtual_memory().available
    if size > MOST_COMPRESSED * stored:
        raise InputError(
            f"{path} claims {claimed:.1f} GiB of pixels in {stored} bytes: it is damaged, or more than "
            f"{MOST_COMPRESSED} times compressed; save it uncompressed"
        )
    if needed > free / 2:
        raise InputError(
            f"{path} takes {needed / GIBIBYTE:.1f} GiB of memory, and half of the {free / GIBIBYTE:.1f} GiB that are "
            "free is allowed: cut it, or save one uncompressed grey TIFF, which is read piece by piece"
        )


def judge_pages(path: Path, count: int, what: str = "pages") -> None:
    """Refuse so many pages that they cannot be meant.

    Raises:
        InputError: above MOST_PAGES.
    """
    if count > MOST_PAGES:
        raise InputError(f"{path} claims {count} {what}, and {MOST_PAGES} are allowed: it is damaged, or must be split")


def judge_tiff_pages(path: Path, file: tifffile.TiffFile) -> None:
    """Judge the pages of a TIFF and the planes that OME-XML names: tifffile takes memory for each of them."""
    judge_pages(path, len(file.pages))
    if file.is_ome:
        images = re.findall(r"<Pixels\b[^>]*>", file.ome_metadata)
        planes = [math.prod(map(int, re.findall(r'\bSize[ZCT]="(\d+)"', image))) for image in images]
        judge_pages(path, sum(planes))
        judge_pages(path, sum(map(int, re.findall(r'\bPlaneCount="(\d+)"', file.ome_metadata))))


def cut_short(file: tifffile.TiffFile) -> bool:
    """Whether the last page that was found names a next one: tifffile leaves out pages that it does not find."""
    tiff, handle = file.tiff, file.filehandle
    handle.seek(file.pages[-1].offset)
    (tags,) = struct.unpack(tiff.tagnoformat, handle.read(tiff.tagnosize))
    handle.seek(tags * tiff.tagsize, 1)
    return handle.read(tiff.offsetsize) != bytes(tiff.offsetsize)


def judge_tiff(path: Path, file: tifffile.TiffFile) -> None:
    """Judge all pixels of a TIFF whose pages are judged, its largest strip or tile, and that it has all of them.

    Raises:
        InputError: as `judge_size`, or if a page has fewer strips or tiles than its size needs.
    """
    stored = path.stat().st_size
    judge_size(path, sum(one.nbytes for one in file.series), stored)
    for one in file.series:
        first = one.keyframe
        judge_size(path, math.prod(first.chunks) * first.dtype.itemsize, stored)
        needed, held = math.prod(first.chunked), min(len(page.dataoffsets) for page in one.pages if page is not None)
        if held < needed and not first.is_contiguous:
            raise InputError(f"{path} is damaged: a page of it needs {needed} strips or tiles, and holds {held}")


def judge_zarr(path: Path, array) -> None:
    """Judge a Zarr array: its files, pages, pieces, bytes, and the bytes of one piece."""
    stored = 0
    for folder, _, names in os.walk(path):
        for name in names:
            judge_kind(file := Path(folder, name))
            stored += file.stat().st_size
    judge_pages(path, math.prod(array.shape[:-2]))
    pieces = [-(-side // piece) for side, piece in zip(array.shape, array.chunks, strict=True)]
    judge_pages(path, math.prod(pieces), "pieces")
    judge_size(path, array.nbytes, stored, copies=2)
    judge_size(path, math.prod(array.chunks) * array.dtype.itemsize, stored)
