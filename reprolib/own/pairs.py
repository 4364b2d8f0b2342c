"""Which image belongs to which labels: the layouts that annotation programs leave behind.

* ``images/`` and ``labels/`` (or ``masks/``), files of equal names;
* side by side: ``cell1.tif`` and ``cell1_mask.tif`` (or another of SUFFIXES);
* a folder for each image, with ``images/`` and ``masks/``, one mask file an object (Data Science Bowl 2018).

Endings may differ. Every file must find its partner; all that do not are named at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from reprolib.data.images import ENDINGS
from reprolib.errors import InputError

SUFFIXES = ("_cp_masks", "_masks", "_mask", "_labels", "_label", "_seg", "-labels", "-mask")
LABELS = ("labels", "masks", "label", "mask")


@dataclass(frozen=True)
class Pair:
    """An image and the file of its labels, or the files of its objects."""

    name: str
    image: Path
    labels: tuple[Path, ...]  # several: one mask file an object


def natural(name: str) -> list[tuple[int, int | str]]:
    """A key that sorts numbers in names by their size: frame2 before frame10."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", name.lower()) if part]


def find_pairs(folder: Path) -> list[Pair]:
    """The pairs of a folder in natural order.

    Raises:
        FileNotFoundError: if the folder is not there or holds no image.
        InputError: if files lack their partner, or two have one name.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder: give one with images/ and labels/")
    if (folder / "images").is_dir():
        truth = next((folder / name for name in LABELS if (folder / name).is_dir()), None)
        if truth is None:
            raise InputError(f"{folder} has images/ but no labels/: put the label images there, under the same names")
        return _paired(_named(image_files(folder / "images")), _named(image_files(truth)), folder)
    if inside := [one for one in sorted(folder.iterdir()) if (one / "images").is_dir() and (one / "masks").is_dir()]:
        return [_one_folder(one) for one in sorted(inside, key=lambda one: natural(one.name))]
    files = image_files(folder)
    if not files:
        raise FileNotFoundError(f"{folder} holds no image ({', '.join(ENDINGS)}) and no images/ and labels/")
    labelled = [file for file in files if _stem(file) != stem(file)]
    return _paired(_named([file for file in files if file not in labelled]), _named(labelled), folder)


def image_files(folder: Path) -> list[Path]:
    """The image files of a folder in natural order; hidden ones are none.

    Raises:
        InputError: if one is a pipe, socket or device, whose reading might never end.
    """
    files = [file for file in folder.iterdir() if file.suffix.lower() in ENDINGS and not file.name.startswith(".")]
    if special := [file for file in files if file.exists() and not (file.is_file() or file.is_dir())]:
        raise InputError(f"{special[0]} is a pipe, socket or device, no image: move it out of the folder")
    return sorted(files, key=lambda file: natural(file.name))


def stem(file: Path) -> str:
    """A file's name without its ending: "cell1" of cell1.tif and of cell1.ome.tif."""
    return file.name[: -len(file.suffix)].removesuffix(".ome")


def _stem(file: Path) -> str:
    """The name of the image that a file belongs to: without a suffix of labels."""
    name = stem(file)
    suffix = next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)] if suffix else name


def _named(files: Iterable[Path]) -> dict[str, Path]:
    """Files by the name of their image."""
    named: dict[str, Path] = {}
    for file in files:
        other = named.setdefault(_stem(file), file)
        if other is not file:
            raise InputError(f"{other.name} and {file.name} in {file.parent} have one name: keep one of the two")
    return named


def _paired(images: dict[str, Path], labels: dict[str, Path], folder: Path) -> list[Pair]:
    alone = sorted(images.keys() ^ labels.keys(), key=natural)
    if alone:
        of = [
            f"{images[name].name} has no labels" if name in images else f"{labels[name].name} has no image"
            for name in alone
        ]
        more = f", and {len(of) - 10} more" if len(of) > 10 else ""
        raise InputError(f"in {folder} files lack their partner of the same name: {'; '.join(of[:10])}{more}")
    if not images:
        raise FileNotFoundError(f"{folder} holds no image ({', '.join(ENDINGS)})")
    return [Pair(name, images[name], (labels[name],)) for name in sorted(images, key=natural)]


def _one_folder(folder: Path) -> Pair:
    images, masks = image_files(folder / "images"), image_files(folder / "masks")
    if len(images) != 1:
        raise InputError(f"{folder / 'images'} holds {len(images)} images: a folder for each image holds one")
    return Pair(folder.name, images[0], tuple(masks))
