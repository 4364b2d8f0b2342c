"""Damaged image files by the thousand: each must give an image or one sentence that names it, and nothing else.

File number k of a seed is always the same.
"""

from __future__ import annotations

import io
import re
import tempfile
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import tifffile
import zarr
from PIL import Image

from reprolib.data.images import open_grey, read_pages, read_stack
from reprolib.data.pages import grey, select, usual_channels
from reprolib.errors import InputError
from reprolib.own.labels import class_codes, instances

HEAD = 400  # bytes of a file that most of its tags are within
LARGE = 2**20  # px: larger pages are read, and not looked at further
TELLING = (0, 1, 7, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)  # numbers that counts and offsets break on

Files = dict[str, bytes]  # of an image, by their path within it; "" of an image that is one file


@cache
def originals() -> dict[str, Files]:
    """Small valid images of all kinds that are read, by file name."""
    rng = np.random.default_rng(5)
    values = rng.integers(0, 256, (24, 31), np.uint8)
    deep, stack = values.astype(np.uint16) * 257, rng.integers(0, 65536, (3, 24, 31), np.uint16)
    colour = rng.integers(0, 256, (24, 31, 3), np.uint8)
    found: dict[str, Files] = {}

    def tiff(name: str, array: np.ndarray, **options) -> None:
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, array, **options)
        found[f"{name}.tif"] = {"": re.sub(rb"urn:uuid:[0-9a-f-]{36}", b"urn:uuid:" + b"0" * 36, buffer.getvalue())}

    tiff("plain", values)
    tiff("big", values, bigtiff=True, byteorder=">")
    tiff("bilevel", values > 127)
    tiff("signed", values.astype(np.int16) - 9)
    tiff("half", values.astype(np.float16), compression="zlib", predictor=True)
    tiff("double", values / 7, rowsperstrip=5)
    tiff("white", values, photometric="miniswhite")
    tiff("palette", values, photometric="palette", colormap=rng.integers(0, 65536, (3, 256), np.uint16))
    tiff("alpha", np.dstack([colour, values]), photometric="rgb", extrasamples=["unassalpha"])
    tiff("planes", np.moveaxis(colour, -1, 0), photometric="rgb", planarconfig="separate")
    tiff("turned", values, extratags=[("Orientation", "H", 1, 6, True)])
    tiff("imagej", stack, imagej=True, metadata={"axes": "ZYX", "unit": "um"}, resolution=(4, 4))
    tiff("in.ome", stack, ome=True, metadata={"axes": "ZYX", "PhysicalSizeX": 0.5}, photometric="minisblack")
    tiff("pages", stack, photometric="minisblack", metadata=None, compression="zlib")
    for codec in ("zlib", "lzw", "zstd", "lzma", "packbits", "jpeg", "jpeg2000", "png", "webp", "lerc"):
        array = colour if codec == "webp" else values if codec in ("jpeg", "packbits") else deep
        tiff(codec, array, compression=codec, tile=(16, 16))
    for ending, options in {
        "png": {},
        "bmp": {},
        "gif": {"save_all": True, "append_images": [Image.fromarray(values // 2)]},
        "jpg": {"exif": Image.Exif()},
    }.items():
        for kind, array in {"grey": values, "colour": colour}.items():
            buffer = io.BytesIO()
            Image.fromarray(array).save(buffer, {"jpg": "JPEG"}.get(ending, ending), **options)
            found[f"{kind}.{ending}"] = {"": buffer.getvalue()}
    for version in (2, 3):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder)
            group = zarr.open_group(path, mode="w", zarr_format=version)
            group.create_array("0", shape=stack.shape, chunks=(1, 16, 16), dtype=stack.dtype)[:] = stack
            scales = {"axes": [{"name": axis} for axis in "zyx"], "datasets": [{"path": "0"}]}
            group.attrs["multiscales"] = [scales]
            files = {str(one.relative_to(path)): one.read_bytes() for one in path.rglob("*") if one.is_file()}
            found[f"group{version}.zarr"] = dict(sorted(files.items()))
    return found


def damaged(seed: int, number: int) -> tuple[str, Files]:
    """File ``number`` of a seed: name and damaged content."""
    rng = np.random.default_rng((seed, number))
    images = originals()
    name = str(rng.choice(list(images)))
    files = dict(images[name])
    for _ in range(1 + rng.integers(3)):
        within = str(rng.choice(list(files)))
        files[within] = _damage(bytearray(files[within]), rng)
    return name, files


def _damage(content: bytearray, rng: np.random.Generator) -> bytes:
    """Flip bits, cut the end off, put a part of another file in, or write a telling number over four bytes."""
    if not content:
        return b""
    end = min(HEAD, len(content)) if rng.integers(2) else len(content)
    place, how = int(rng.integers(end)), rng.integers(5)
    if how == 0:
        return bytes(content[: int(rng.integers(len(content)))])
    if how == 1:
        other = next(iter(originals()[str(rng.choice(list(originals())))].values()))
        start = int(rng.integers(len(other)))
        part = other[start : start + int(rng.integers(1, 300))]
        content[place : place + (len(part) if rng.integers(2) else 0)] = part
    elif how == 2:
        width = int(rng.choice([2, 4]))
        number = int(rng.choice(TELLING)) & (2 ** (8 * width) - 1)
        content[place : place + width] = number.to_bytes(width, "little" if rng.integers(4) else "big")
    else:
        for _ in range(int(rng.integers(1, 8))):
            content[int(rng.integers(end))] ^= 1 << int(rng.integers(8))
    return bytes(content)


def outcome(path: Path) -> str:
    """What every reader made of a file: "image", "sentence", or a fault: another exception, or a poor sentence."""
    results = set()
    for read in (_as_image, _as_labels, read_stack, open_grey):
        try:
            read(path)
            results.add("image")
        except InputError as error:
            told = str(error)
            good = path.name in told and "\n" not in told
            results.add("sentence" if good else f"poor sentence of {read.__name__}: {told}")
        except Exception as error:
            results.add(f"{type(error).__name__} of {read.__name__}: {error}")
    faults = sorted(results - {"image", "sentence"})
    return faults[0] if faults else min(results)


def _as_image(path: Path) -> None:
    pages = read_pages(path)
    channels = usual_channels(pages)
    for page in pages:
        select(page, path, channels)
        grey(page, path)


def _as_labels(path: Path) -> None:
    for page in read_pages(path, raw=True):
        if page.pixels.size < LARGE:
            for read in (instances, class_codes):
                read(page, path)


def write(folder: Path, name: str, files: Files) -> Path:
    """A damaged image in a folder; gives its path."""
    for within, content in files.items():
        path = folder / name / within if within else folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder / name


def judge(seed: int, number: int) -> tuple[str, str]:
    """Name and outcome of one damaged file."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, before it gives up
        name, files = damaged(seed, number)
        return name, outcome(write(Path(folder), name, files))
