"""A folder of one's own images and labels: read, checked, and as a data set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from reprolib.data.dataset import OWN, Dataset, blocks, padded
from reprolib.data.images import read_pages
from reprolib.data.pages import Page, select, usual_channels
from reprolib.data.published import data_folders
from reprolib.errors import InputError, check_choice
from reprolib.files import PROJECT, check_room, pixel_hash
from reprolib.own.labels import Labels, class_codes, consecutive, instances, number_classes
from reprolib.own.overlay import save_overlay
from reprolib.own.pairs import Pair, find_pairs
from reprolib.printing import text_table

TASKS = ("objects", "classes")
SHOWN = PROJECT / "book" / "own-images"  # nuclei under CC0, see the README there


@dataclass(frozen=True, eq=False)
class Annotated:
    """One image with its labels; or what is wrong with the files."""

    name: str
    file: Path
    page: Page | None
    labels: Labels | None
    problem: str = ""  # one sentence; page and labels are None then


@dataclass(frozen=True, eq=False)
class Usable:
    """One image that a network can learn of."""

    name: str
    image: np.ndarray  # (H, W) or (H, W, C), as stored
    labels: Labels
    notes: tuple[str, ...]  # what was made of the files


def read_folder(folder: Path, ignore: int | None = None, task: str = "objects") -> list[Annotated]:
    """Every image of a folder with its labels, in natural order; a stack gives one for each of its slices.

    Layouts: see `reprolib.own.pairs`. What is wrong with one pair is told in its place, so that all is told at once.

    Args:
        ignore: the number of labels where nobody has looked: such pixels neither train nor count.
        task: "objects": labels number objects, see `labels.instances`; "classes": see `labels.class_codes`.

    Raises:
        InputError, FileNotFoundError: as `pairs.find_pairs`; or if the task is another one.
    """
    check_choice("task", task, TASKS)
    return [one for pair in find_pairs(folder) for one in _read_pair(pair, ignore, task)]


def load_folder(
    path: str | Path, folds: int = 5, channels: str = "", ignore: int | None = None, task: str = "objects"
) -> Dataset:
    """Your own images as a data set. Folds are contiguous blocks in natural order: neighbours of a stack stay together;
    of fewer images there are as many folds as images. Sizes may differ.

    Args:
        channels: as `Experiment.channels`; "": all that the images have, see `pages.usual_channels`.
        ignore, task: as `read_folder`. Names of classes are the lines of classes.txt in the folder, if there is one.

    Raises:
        FileNotFoundError: if there is no image.
        InputError: if a pair cannot be read, or is no image with labels (all are named), or if none has an object.
    """
    path = Path(path)
    if folds < 2:
        raise InputError(f"folds must be 2 or more, not {folds}")
    found = read_folder(path, ignore, task)
    channels = channels or usual_channels(one.page for one in found if one.page)
    usable, problems = _usable(found, channels, path, task)
    if problems:
        more = f" And {len(problems) - 5} more: see reprolib check {path}." if len(problems) > 5 else ""
        raise InputError("; ".join(problems[:5]) + more)
    folds, images = min(folds, len(found)), [one.image for one in usable]
    kind = np.result_type(*{image.dtype for image in images})  # holds all images' values
    pixels = padded([image.astype(kind, copy=False) for image in images])
    numbers, classes = [one.labels.instances for one in usable], []
    if task == "classes":
        numbers, classes = number_classes([one.labels for one in usable], _names(path), path)
    labels = padded(numbers)
    ignored = padded([one.labels.ignored for one in usable], True)
    sizes = tuple(image.shape[:2] for image in images)
    hashes = {"images": pixel_hash(pixels), "labels": pixel_hash(labels)}
    if len(set(sizes)) > 1:  # padding is not to pass for pixels
        hashes["sizes"] = pixel_hash(np.array(sizes))
    if ignore is not None:
        hashes["labels"] = pixel_hash(np.where(ignored, -1, labels).astype(np.int32))
    return Dataset(
        name=f"{OWN}{path.resolve().name[:60]}",  # it becomes part of file names
        images=pixels,
        instances=labels,
        ignore=ignored,
        names=tuple(one.name for one in usable),
        folds=blocks(len(found), folds),
        hashes=hashes,
        phantom=False,
        sizes=sizes if len(set(sizes)) > 1 else (),
        classes=tuple(classes),
        channels=channels,
    )


def _names(path: Path) -> list[str]:
    """The lines of classes.txt, if there is one."""
    file = path / "classes.txt"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [line.strip() for line in lines if line.strip()]


def named_folder(path: Path, channels: str = "", ignore: int | None = None, task: str = "objects") -> Dataset:
    """`load_folder`, named by its pixels too: other images under the same folder name are another experiment."""
    dataset = load_folder(path, channels=channels, ignore=ignore, task=task)
    return replace(dataset, name=f"{dataset.name}-{dataset.hashes['images'][:8]}{dataset.hashes['labels'][:8]}")


def find_own(name: str) -> tuple[Path, Dataset] | None:
    """Folder and data set of this name: among the real images that the project holds (SHOWN), or in own-images of the
    folders of data; None if it is in neither."""
    for top in (SHOWN, *(folder / SHOWN.name for folder in data_folders())):
        for path in sorted(top.glob("*/images")):
            if name.startswith(f"{OWN}{path.parent.name}-") and (dataset := named_folder(path.parent)).name == name:
                return path.parent, dataset
    return None


def check(
    folder: Path, overlays: Path | None = None, ignore: int | None = None, task: str = "objects"
) -> tuple[list[str], list[str]]:
    """What a folder holds, as lines of text: a row an image, then a summary; and all that is wrong, a sentence each.

    Args:
        overlays: a folder to write each image to, with the outlines of its objects.
        ignore, task: as `read_folder`.
    """
    if overlays:
        check_room(overlays)
    rows, objects = [("image", "size, px", "type", "values", task, "what was made of it")], []
    found = read_folder(folder, ignore, task)
    channels = usual_channels(one.page for one in found if one.page)
    usable, problems = _usable(found, channels, folder, task)
    for one in usable:
        low, high = float(one.image.min()), float(one.image.max())
        size, values = " x ".join(map(str, one.image.shape)), f"{low:g} to {high:g}"
        count = one.labels.objects if task == "objects" else len(np.unique(one.labels.instances[~one.labels.ignored]))
        rows.append((one.name, size, str(one.image.dtype), values, str(count), "; ".join(one.notes)))
        objects.append(count)
        if overlays:
            save_overlay(overlays / f"{one.name.replace('/', '-')}.png", one.image, one.labels.instances)
    lines = text_table(rows)
    of = {"grey": "grey values", "rgb": "colours"}.get(channels, f"channels {channels}")
    held = f"with {sum(objects)} objects"
    if task == "classes" and usable:
        try:
            held = (
                f"with the classes {', '.join(number_classes([o.labels for o in usable], _names(folder), folder)[1])}"
            )
        except InputError as error:
            held, problems = "with labels that are no classes", [*problems, str(error)]
    lines += ["", f"{len(objects)} of {len(found)} images can be used, {held}; {of} train"]
    return lines, problems


def _usable(found: list[Annotated], channels: str, folder: Path, task: str) -> tuple[list[Usable], list[str]]:
    """The images that a network can learn of by such channels, and all that keeps it from learning, a sentence each."""
    usable, problems = [], []
    for one in found:
        try:
            if one.page is None or one.labels is None:
                raise InputError(one.problem)
            image, note = select(one.page, one.file, channels)
            if image.min() == image.max():
                raise InputError(f"{one.file} is constant: there is nothing to see")
        except InputError as error:
            problems.append(str(error))
            continue
        notes = [f"image: {text}" for text in (*one.page.notes, note) if text]
        notes += [f"labels: {text}" for text in one.labels.notes]
        usable.append(Usable(one.name, image, one.labels, tuple(notes)))
    if problems:
        return usable, problems
    if task == "objects" and not any(one.labels.objects for one in usable):
        problems.append(f"no image of {folder} has an object: there is nothing to learn")
    if len(usable) < 2:
        problems.append(f"{folder} holds one image: two or more are needed, so that one can be held out")
    return usable, problems


def _read_pair(pair: Pair, ignore: int | None, task: str) -> list[Annotated]:
    try:
        pages = read_pages(pair.image)
        if len(pair.labels) == 1:
            read = class_codes if task == "classes" else instances
            truth = [read(page, pair.labels[0], ignore) for page in read_pages(pair.labels[0], raw=True)]
        elif task == "classes":
            raise InputError(f"{pair.image} has one mask file an object: classes are one file of numbers an image")
        else:
            truth = [_objects(pair, pages[0])]
        if len(pages) != len(truth):
            raise InputError(f"{pair.image} holds {len(pages)} images, but its labels {len(truth)}")
        for page, labels in zip(pages, truth, strict=True):
            _check_pair(pair.image, page.pixels, labels)
    except (InputError, OSError) as error:
        return [Annotated(pair.name, pair.image, None, None, str(error))]
    names = [pair.name] if len(pages) == 1 else [f"{pair.name}/{number:03d}" for number in range(len(pages))]
    return [Annotated(*one) for one in zip(names, [pair.image] * len(pages), pages, truth, strict=True)]


def _check_pair(file: Path, pixels: np.ndarray, labels: Labels) -> None:
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise InputError(f"{file} holds NaN or infinite values: all grey values must be finite")
    sides, labelled = pixels.shape[:2], labels.instances.shape
    if sides != labelled:
        raise InputError(f"{file} is {sides[0]} x {sides[1]} px, but its labels are {labelled[0]} x {labelled[1]}")


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
    nowhere = np.zeros(numbers.shape, bool)
    return Labels(consecutive(numbers), nowhere, (f"{len(pair.labels)} mask files, one an object",))
