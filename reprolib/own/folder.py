"""A folder of one's own images and labels: read, checked, and as a data set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reprolib.data.dataset import OWN, Dataset, blocks, padded
from reprolib.data.images import Page, grey, read_pages
from reprolib.errors import InputError
from reprolib.files import pixel_hash
from reprolib.own.labels import Labels, consecutive, instances
from reprolib.own.overlay import save_overlay
from reprolib.own.pairs import Pair, find_pairs
from reprolib.printing import text_table


@dataclass(frozen=True, eq=False)
class Annotated:
    """One image with its labels; or what is wrong with the files."""

    name: str
    image: np.ndarray | None  # (H, W) grey values, as stored
    labels: Labels | None
    pixel_size: float | None  # micrometres
    notes: tuple[str, ...]  # what was made of the files
    problem: str = ""  # one sentence; image and labels are None then


def read_folder(folder: Path) -> list[Annotated]:
    """Every image of a folder with its labels, in natural order; a stack gives one for each of its slices.

    Layouts: see `reprolib.own.pairs`. What is wrong with one pair is told in its place, so that all is told at once.

    Raises:
        InputError, FileNotFoundError: as `pairs.find_pairs`.
    """
    return [one for pair in find_pairs(folder) for one in _read_pair(pair)]


def load_folder(path: str | Path, folds: int = 5) -> Dataset:
    """Your own images as a data set. Folds are contiguous blocks in natural order: neighbours of a stack stay together;
    of fewer images there are as many folds as images. Sizes may differ.

    Raises:
        FileNotFoundError: if there is no image.
        InputError: if a pair cannot be read, or is no image with labels (all are named), or if none has an object.
    """
    path = Path(path)
    if folds < 2:
        raise InputError(f"folds must be 2 or more, not {folds}")
    images = read_folder(path)
    if problems := _problems(images, path):
        more = f" And {len(problems) - 5} more: see reprolib check {path}." if len(problems) > 5 else ""
        raise InputError("; ".join(problems[:5]) + more)
    folds = min(folds, len(images))
    kind = np.result_type(*{one.image.dtype for one in images})  # holds all images' values
    pixels = padded([one.image.astype(kind, copy=False) for one in images])
    labels = padded([one.labels.instances for one in images])
    sizes = tuple(one.image.shape for one in images)
    hashes = {"images": pixel_hash(pixels), "labels": pixel_hash(labels)}
    if len(set(sizes)) > 1:  # padding is not to pass for pixels
        hashes["sizes"] = pixel_hash(np.array(sizes))
    return Dataset(
        name=f"{OWN}{path.resolve().name[:60]}",  # it becomes part of file names
        images=pixels,
        instances=labels,
        ignore=padded([np.zeros(size, bool) for size in sizes], True),
        names=tuple(one.name for one in images),
        folds=blocks(len(images), folds),
        hashes=hashes,
        phantom=False,
        sizes=sizes if len(set(sizes)) > 1 else (),
    )


def check(folder: Path, overlays: Path | None = None) -> tuple[list[str], list[str]]:
    """What a folder holds, as lines of text: a row an image, then a summary; and all that is wrong, a sentence each.

    Args:
        overlays: a folder to write each image to, with the outlines of its objects.
    """
    rows, objects = [("image", "size, px", "type", "values", "objects", "what was made of it")], []
    images = read_folder(folder)
    for one in images:
        if one.problem:
            continue
        low, high = float(one.image.min()), float(one.image.max())
        size, values = " x ".join(map(str, one.image.shape)), f"{low:g} to {high:g}"
        rows.append((one.name, size, str(one.image.dtype), values, str(one.labels.objects), "; ".join(one.notes)))
        objects.append(one.labels.objects)
        if overlays:
            save_overlay(overlays / f"{one.name.replace('/', '-')}.png", one.image, one.labels.instances)
    lines = text_table(rows)
    lines += ["", f"{len(objects)} of {len(images)} images can be used, with {sum(objects)} objects"]
    return lines, _problems(images, folder)


def _problems(images: list[Annotated], folder: Path) -> list[str]:
    """All that keeps a network from learning of these images, a sentence each."""
    if problems := [one.problem for one in images if one.problem]:
        return problems
    if not any(one.labels.objects for one in images):
        problems.append(f"no image of {folder} has an object: there is nothing to learn")
    if len(images) < 2:
        problems.append(f"{folder} holds one image: two or more are needed, so that one can be held out")
    return problems


def _read_pair(pair: Pair) -> Iterator[Annotated]:
    try:
        pages = read_pages(pair.image)
        if len(pair.labels) == 1:
            truth = [instances(page, pair.labels[0]) for page in read_pages(pair.labels[0], raw=True)]
        else:
            truth = [_objects(pair, pages[0])]
        if len(pages) != len(truth):
            raise InputError(f"{pair.image} holds {len(pages)} images, but its labels {len(truth)}")
        found = [
            _annotated(pair, k, page, labels, len(pages))
            for k, (page, labels) in enumerate(zip(pages, truth, strict=True))
        ]
    except (InputError, OSError) as error:
        found = [Annotated(pair.name, None, None, None, (), str(error))]
    yield from found


def _annotated(pair: Pair, number: int, page: Page, labels: Labels, pages: int) -> Annotated:
    image, note = grey(page, pair.image)
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise InputError(f"{pair.image} holds NaN or infinite values: all grey values must be finite")
    if image.shape != labels.instances.shape:
        raise InputError(
            f"{pair.image} is {image.shape[0]} x {image.shape[1]} px, but its labels are "
            f"{labels.instances.shape[0]} x {labels.instances.shape[1]}"
        )
    if image.min() == image.max():
        raise InputError(f"{pair.image} is constant: there is nothing to see")
    name = pair.name if pages == 1 else f"{pair.name}/{number:03d}"
    notes = [f"image: {one}" for one in (*page.notes, note) if one] + [f"labels: {one}" for one in labels.notes]
    return Annotated(name, image, labels, page.pixel_size, tuple(notes))


def _objects(pair: Pair, page: Page) -> Labels:
    """One mask file an object; where two overlap the later one wins."""
    numbers = np.zeros(page.pixels.shape[:2], np.int32)
    for number, path in enumerate(pair.labels, start=1):
        mask, *others = read_pages(path, raw=True)
        if others:
            raise InputError(f"{path} holds {1 + len(others)} images: a mask file holds one object")
        pixels = mask.pixels if mask.pixels.ndim == 2 else mask.pixels[..., 0]
        if pixels.shape != numbers.shape:
            raise InputError(f"{path} is {pixels.shape} px, but its image {numbers.shape}")
        numbers[pixels > 0] = number
    return Labels(consecutive(numbers), (f"{len(pair.labels)} mask files, one an object",))
