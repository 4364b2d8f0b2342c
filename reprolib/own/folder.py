"""A folder of one's own images and labels as a data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from reprolib.data.dataset import Dataset, blocks
from reprolib.data.images import read_image
from reprolib.errors import InputError
from reprolib.files import pixel_hash


def load_folder(path: str | Path, folds: int = 5) -> Dataset:
    """Your own images: `images/` and `labels/` hold files of equal names (.tif or .png) and one size.

    Images are 8-bit grey. Labels are whole numbers: 0 = background, 1.. = one number per cell. Folds are
    contiguous blocks in name order, so neighbouring frames of a video or stack stay together.

    Raises:
        FileNotFoundError: if a folder is missing or holds no images.
        ValueError: names that do not pair up, other shapes or dtypes, colour, stacks, labels without a cell,
            labels with one number for all cells, or more folds than images.
    """
    path = Path(path)
    images, labels = _listed(path / "images"), _listed(path / "labels")
    alone = sorted(images.keys() ^ labels.keys())
    if alone:
        where = path / ("labels" if alone[0] in images else "images")
        raise InputError(f"{where} has no file named {alone[0]}: every image needs labels of the same name.")
    if not 2 <= folds <= len(images):
        raise InputError(f"folds must be 2 to {len(images)}, the number of images, not {folds}.")
    grey, cells = [], []
    for stem in images:
        grey.append(_single(images[stem], "image"))
        cells.append(_single(labels[stem], "labels"))
        for file, array in ((images[stem], grey[-1]), (labels[stem], cells[-1])):
            if array.shape != grey[0].shape:
                raise InputError(f"{file} is {array.shape} px, not {grey[0].shape} as the first image.")
        if grey[-1].dtype != np.uint8:
            raise InputError(f"{images[stem]} has {grey[-1].dtype} pixels: convert it to 8-bit grey (uint8) first.")
        if cells[-1].dtype.kind not in "ui" or cells[-1].min() < 0 or cells[-1].max() >= 2**31:
            raise InputError(f"{labels[stem]} must hold whole numbers from 0, not {cells[-1].dtype} pixels.")
        if not cells[-1].any():
            raise InputError(f"{labels[stem]} has no cell: all its pixels are 0.")
    pixels, instances = np.stack(grey), np.stack(cells).astype(np.int32)
    if all(len(np.unique(one)) <= 2 for one in cells) and any(ndimage.label(one)[1] > 1 for one in cells):
        raise InputError(f"{path / 'labels'} has one number for all cells of an image: number them from 1.")
    return Dataset(
        name=f"own-{path.resolve().name}",
        images=pixels,
        instances=instances,
        ignore=np.zeros(pixels.shape, dtype=bool),
        names=tuple(images),
        folds=blocks(len(images), folds),
        hashes={"images": pixel_hash(pixels), "labels": pixel_hash(instances)},
        phantom=False,
    )


def _listed(folder: Path) -> dict[str, Path]:
    """Image files of a folder by name without ending, in order."""
    files = sorted(folder.glob("[!.]*")) if folder.is_dir() else []
    files = [file for file in files if file.suffix.lower() in {".tif", ".tiff", ".png"}]
    if not files:
        raise FileNotFoundError(f"{folder} must hold .tif or .png files, and there are none.")
    named = {file.stem: file for file in files}
    if len(named) < len(files):
        raise InputError(f"{folder} holds one name with two endings: keep one of the two.")
    return named


def _single(file: Path, kind: str) -> np.ndarray:
    """The (H, W) pixels of a one-page grey image."""
    array = read_image(file)
    with Image.open(file) as opened:
        if opened.mode == "P" and kind == "image":
            raise InputError(f"{file} has a colour table: convert it to 8-bit grey first.")
    if array.ndim != 3:
        raise InputError(f"{file} is a colour image ({array.shape[-1]} channels): convert it to grey first.")
    if len(array) != 1:
        raise InputError(f"{file} is a stack of {len(array)} pages: save each page as a file of its own.")
    return array[0]
