"""Segment images of one's own with a recorded network: probabilities, cells, outlines and measurements in a folder."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import tifffile
from skimage.measure import regionprops_table

from reprolib import train
from reprolib.data.images import ENDINGS, open_plain, read_pages
from reprolib.data.pages import select
from reprolib.errors import InputError
from reprolib.evaluation.appearance import unlike
from reprolib.evaluation.cells import SMALLEST
from reprolib.evaluation.detection import Settings
from reprolib.evaluation.prediction import predict_as_trained, predict_classes
from reprolib.files import check_room, check_target, pixel_hash, replacing, write_text
from reprolib.own.classes import measure_classes, save_coloured
from reprolib.own.export import cells_threshold
from reprolib.own.large import predict_image, scratch_bytes
from reprolib.own.overlay import save_overlay
from reprolib.own.pairs import image_files, stem
from reprolib.own.rois import save_rois
from reprolib.own.tables import write_all, write_table
from reprolib.progress import Report
from reprolib.runs import records
from reprolib.runs.machine import choose_device, number_format, set_threads
from reprolib.runs.records import Record
from reprolib.tiling import GIBIBYTE

DONE = "predicted.json"  # in the folder of results: by which network and settings, and of which pixels
RESULTS = (DONE, "cells.csv", "classes.csv", ".rois.zip", ".outlines.png", ".classes.png")  # endings of their names
RESULTS += (".probability.tif", ".cells.tif", ".classes.tif")
LARGEST_OVERLAY = 2**24  # px
# scikit-image's names of what is measured, with the power of the pixel size that turns px into micrometres
MEASURED = {
    "area": 2,
    "centroid": 1,
    "intensity_mean": 0,
    "axis_major_length": 1,
    "axis_minor_length": 1,
    "eccentricity": 0,
    "orientation": 0,
}


def predict(
    record: Path,
    inputs: Sequence[Path],
    folder: Path,
    tile: int | None = None,
    memory: float = 1.0,
    fast: bool = False,
    threshold: float | None = None,
    smallest: int | None = None,
    cells: bool = True,
    report: Report = print,
    device: str = "auto",
    threads: int = 0,
    rois: bool = False,
) -> Iterator[str]:
    """Segment images; yields a line an image. What is in the folder already is not done again.

    For each image NAME, or NAME-003 of a stack: NAME.probability.tif (8-bit, 255 = certainly cell), NAME.cells.tif (a
    number an object), NAME.outlines.png and NAME.cells.csv, what is measured of each object; for all of them cells.csv.
    An image that is unlike those the network was trained on is done all the same, and its line says in what.
    A network for several classes gives NAME.classes.tif (class numbers), NAME.classes.png and NAME.classes.csv instead.

    Args:
        record: of a run, with its weights beside it.
        inputs: image files, or folders of them.
        folder: for the results; it must hold none of the inputs.
        tile: side of the input tile in px; None: as large as ``memory`` (GiB for one tile's features) allows.
        fast: compute in bfloat16 where the processor does.
        threshold: of the cells, which are then connected components; None: see `cell_settings`.
        smallest: px; smaller cells are dropped.
        cells: False writes the probabilities alone, as large images may need.
        device: see `machine.choose_device`.
        threads: of the processor; 0 leaves the choice to PyTorch.
        rois: write NAME.rois.zip too, the objects as ImageJ's regions.

    Raises:
        InputError: if a value is out of range, an input is no image, two have one name or lie in the folder of results,
            or the folder holds results of another network, other settings, or another image of that name.
    """
    run = records.read(record)
    of_classes = run.experiment.classes > 0
    if of_classes and (threshold is not None or smallest is not None or rois or fast or tile):
        raise InputError("this network tells classes apart: threshold, smallest, rois, fast and tile are for objects")
    settings = Settings(0.5, None, 0) if of_classes else cell_settings(run, threshold, smallest)
    if not 0 < memory < math.inf:
        raise InputError(f"memory must be above 0 GiB and finite, not {memory}")
    files, folder = list_inputs(inputs), Path(folder)
    _check_folder(folder, files)
    set_threads(threads)
    chosen_device = choose_device(device)
    model = train.network(run).to(chosen_device)
    reduced = fast and number_format(chosen_device) == "bfloat16"
    if fast and not reduced:
        report("this processor does not compute in bfloat16: --fast changes nothing")
    about = {
        "record": run.experiment.key,
        "weights": run.weights.sha256,
        "bfloat16": reduced,
        "cells": cells,
        "rois": rois,
        **asdict(settings),
    }
    done, named = _done_before(folder, about), set()
    for file in files:
        for name, image, pixel_size, note in _images(file, run.experiment.channels):
            if name in named:
                raise InputError(f"two images would have the name {name}, one of them in {file}: rename a file")
            named.add(name)
            target, pixels = folder / f"{name}.probability.tif", pixel_hash(image)
            if done["images"].get(name, pixels) != pixels:
                raise InputError(f"{folder} holds results of another image {name}: give another folder")
            if name in done["images"]:
                yield f"{name}: done before"
                continue
            scratch = scratch_bytes(image.shape, run.experiment.mean_of_flips, run.experiment.scale)
            check_room(folder, scratch + (1 + 4 * cells) * image.shape[0] * image.shape[1])
            if of_classes:
                numbers = predict_classes(run.experiment, model, image)
                save_labels(folder / f"{name}.classes.tif", numbers, pixel_size)
                save_coloured(folder / f"{name}.classes.png", image, numbers)
                names = run.scores.classes.names
                write_table(folder / f"{name}.classes.csv", measure_classes(numbers, names, pixel_size))
                told, labels = f"{len(np.unique(numbers))} of {len(names)} classes", None
            else:
                predict_image(
                    model,
                    image,
                    target,
                    tile=tile,
                    memory=memory * GIBIBYTE,
                    report=report,
                    reduced=reduced,
                    flips=run.experiment.mean_of_flips,
                    scale=run.experiment.scale,
                    normalisation=run.experiment.normalisation,
                )
                told, labels = f"{image.shape[0]} x {image.shape[1]} px", None
            if cells and not of_classes:
                labels = settings.objects(open_plain(target))
                save_labels(folder / f"{name}.cells.tif", labels, pixel_size)
                if labels.size <= LARGEST_OVERLAY:
                    save_overlay(folder / f"{name}.outlines.png", image, labels)
                if rois:
                    save_rois(folder / f"{name}.rois.zip", labels)
                write_table(folder / f"{name}.cells.csv", measure(labels, image, pixel_size))
                told = f"{labels.max()} cells"
            done["images"][name] = pixels  # last: it tells that all is there
            write_text(folder / DONE, json.dumps(done, indent=1) + "\n")
            other = unlike(run.scores.seen, image, labels) if run.scores.seen else []
            warning = f"; UNLIKE THE TRAINING IMAGES: {'; '.join(other)}" if other else ""
            yield f"{name}: {told}{note and f'; {note}'}{warning}"
    if cells:
        kind = "classes" if of_classes else "cells"
        yield f"{write_all(folder, kind)}: the measurements of all images"


def _check_folder(folder: Path, files: Sequence[Path]) -> None:
    """Before any work: the folder can be written to, holds no input, and nothing but files where results will be.

    Raises:
        InputError: if not so.
    """
    check_room(folder)
    place, held = folder.resolve(), list(folder.iterdir()) if folder.is_dir() else []
    here = [one.stat() for one in held if one.exists()]
    for file in files:  # by number of device and file: a link is the file that it leads to
        if file.resolve() in (place, *place.parents) or any(os.path.samestat(file.stat(), one) for one in here):
            raise InputError(f"{file} lies in the folder for the results: give --to a folder of its own")
    for one in held:
        if one.name.endswith(RESULTS):
            check_target(one)


def cell_settings(run: Record, threshold: float | None = None, smallest: int | None = None) -> Settings:
    """How a run's probabilities become cells: as it has chosen on its held-out images, or as it is told.

    Args:
        threshold: of connected components; None: the chosen settings, of the book's networks components at
            `export.cells_threshold`, no smaller than the book scores (`cells.SMALLEST`).
        smallest: px; smaller cells are dropped. None: as chosen.

    Raises:
        InputError: if a value is out of range.
    """
    if run.scores.detection:
        settings = run.scores.detection.settings
    else:
        smallest_cell = SMALLEST.get(run.experiment.data, 0)
        settings = Settings(cells_threshold(run), None, smallest_cell, connectivity=run.experiment.connectivity)
    if threshold is not None:
        settings = replace(settings, threshold=threshold, seed=None)
    if smallest is not None:
        settings = replace(settings, smallest=smallest)
    if not 0 <= settings.threshold <= 1 or settings.smallest < 0:
        given = f"{settings.threshold} and {settings.smallest}"
        raise InputError(f"threshold is in [0, 1], smallest 0 px or more: not {given}")
    return settings


def find_cells(run: Record, image: np.ndarray, settings: Settings | None = None) -> tuple[np.ndarray, np.ndarray]:
    """An image in memory, segmented by a recorded network as it was trained, on the CPU.

    Args:
        run: a record that was read from a file, its weights beside it.
        image: (H, W) grey values, or (H, W, C), as the network takes them.
        settings: of the cells; None: `cell_settings`.

    Returns:
        Probability (H, W) float32, and cells (H, W) int32, 0 = background.

    Raises:
        FileNotFoundError, InputError: if the weights are not there, or the image is not what the network takes.
    """
    if run.experiment.classes:
        raise InputError("this network tells classes apart: see reprolib.evaluation.prediction.predict_classes")
    probability = predict_as_trained(run.experiment, train.network(run), [image])[0]
    return probability, (settings or cell_settings(run)).objects(probability)


def list_inputs(inputs: Sequence[Path]) -> list[Path]:
    """The image files that are meant, folders opened, in natural order.

    Raises:
        FileNotFoundError: if one is not there, or a folder holds no image.
        InputError: if two have one name, or one is neither file nor folder.
    """
    files: list[Path] = []
    for one in map(Path, inputs):
        if one.is_dir() and one.suffix.lower() != ".zarr":
            if not (within := image_files(one)):
                raise FileNotFoundError(f"{one} holds no image ({', '.join(ENDINGS)})")
            files += within
        elif one.is_file() or one.is_dir():
            files.append(one)
        elif one.exists():
            raise InputError(f"{one} is a pipe, socket or device: give image files or folders of them")
        else:
            raise FileNotFoundError(f"{one} does not exist: give image files or folders of them")
    names: dict[str, Path] = {}
    for file in files:
        if (other := names.setdefault(stem(file), file)) is not file:
            raise InputError(f"{other} and {file} have one name: their results would be too")
    return files


def measure(labels: np.ndarray, image: np.ndarray, pixel_size: float | None = None) -> dict[str, np.ndarray]:
    """What scikit-image measures of each object, by column, in px; and in micrometres where the pixel size is known.

    Args:
        labels: (H, W) object numbers.
        image: (H, W) grey values, or (H, W, C) channels, whose intensities become a column each.
        pixel_size: in micrometres.
    """
    table = regionprops_table(labels, intensity_image=np.asarray(image), properties=("label", *MEASURED))
    if pixel_size is None:
        return table
    scaled = {}
    for column, values in table.items():
        power = MEASURED.get(column.split("-")[0], 0)
        if power:
            scaled[f"{column} ({'um2' if power == 2 else 'um'})"] = values * pixel_size**power
    return table | scaled


def save_labels(path: Path, labels: np.ndarray, pixel_size: float | None = None) -> None:
    """Object numbers (H, W) as compressed TIFF, 16-bit while they fit; the pixel size (micrometres) as OME has it."""
    numbers = labels.astype(np.uint16 if labels.max(initial=0) < 2**16 else np.uint32)
    size = {"PhysicalSizeX": pixel_size, "PhysicalSizeY": pixel_size} if pixel_size else {}
    with replacing(path) as aside:
        tifffile.imwrite(aside, numbers, compression="zlib", ome=bool(size), metadata={"axes": "YX", **size})


def _images(file: Path, channels: str) -> Iterator[tuple[str, np.ndarray, float | None, str]]:
    """Name, values, pixel size, and what was made of its colours, of each image of a file; mapped if it is plain."""
    plain = open_plain(file) if channels in ("grey", "1") else None
    if plain is not None:
        yield stem(file), plain, None, ""
        return
    pages = read_pages(file)
    for number, page in enumerate(pages):
        name = stem(file) if len(pages) == 1 else f"{stem(file)}-{number:03d}"
        image, note = select(page, file, channels)
        yield name, image, page.pixel_size, note


def _done_before(folder: Path, settings: dict) -> dict:
    """What the folder holds by these settings: {"settings": ..., "images": pixels' hash by name}."""
    path = folder / DONE
    if not path.exists():
        return {"settings": settings, "images": {}}
    check_target(path)
    try:
        done = json.loads(path.read_text(encoding="utf-8"))
        whole = isinstance(done["images"], dict) and isinstance(done["settings"], dict)
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise InputError(f"{path} does not tell which results are there, it is damaged: give another folder")
    if done["settings"] != settings:
        raise InputError(f"{folder} holds results of another network or other settings: give another folder")
    return done
