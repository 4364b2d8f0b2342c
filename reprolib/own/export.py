"""Results in the challenges' own formats, so that their programs and servers can take them (Sec. 4)."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from reprolib import data, train
from reprolib.asides import folder_under_way
from reprolib.errors import InputError
from reprolib.evaluation import ctc
from reprolib.evaluation.cells import SMALLEST
from reprolib.evaluation.prediction import predict_as_trained
from reprolib.files import check_room, check_target, replacing
from reprolib.progress import Progress, Report
from reprolib.runs.records import Record
from reprolib.tiling import SEVEN_ROTATIONS

ROOM = 2**26  # bytes: of the largest of what is written


def export(
    runs: Sequence[Record],
    output: Path,
    rotations: bool = False,
    threshold: float | None = None,
    report: Report = print,
) -> Path:
    """Segment what a challenge asks for with the networks of recorded runs, and write it as the challenge wants it.

    ISBI 2012: the 30 test slices as one multi-page TIFF: (30, 512, 512) float32, the
    probability of *not* membrane in [0, 1], the mean of the runs' networks.

    Cell sets: every frame of the video that each run held out, as ``output``/SS_RES/maskTTT.tif: uint16 instance
    labels, 0 = background, the connected components of at least 501 px (see `ctc.instances`).

    Args:
        runs: records with kept weights, all of one data set; of a cell set at most one per video.
        output: the TIFF file, or the folder.
        rotations: take the mean over 7 rotated versions of each image.
        threshold: of the cells' probability; default: the one that was fixed on each run's training frames for SEG.
        report: called with a line of progress.

    Raises:
        ValueError: if the runs are of several data sets, of one that has no challenge, or of another split.
        FileNotFoundError: if a run's weights were not kept, or the data set is not here.
    """
    names = sorted({run.experiment.data for run in runs})
    if len(names) != 1 or names[0] not in data.REAL:
        raise InputError(f"export takes runs of one of {', '.join(data.REAL)}, not of {', '.join(names) or 'none'}")
    allowed = ("fold", "all") if names[0] == "isbi2012" else ("fold",)
    if any(run.experiment.split not in allowed for run in runs):
        raise InputError(
            f"export takes runs of {names[0]} with split={' or split='.join(allowed)}: see `reprolib plan`"
        )
    folds = [run.experiment.fold for run in runs]
    if names[0] != "isbi2012" and len(set(folds)) < len(folds):
        raise InputError("two runs hold out the same video, and each would write its masks: give one of them")
    if names[0] == "isbi2012":
        check_target(output)
    check_room(output.parent if names[0] == "isbi2012" else output, ROOM)
    angles = SEVEN_ROTATIONS if rotations else (0.0,)
    if names[0] == "isbi2012":
        return _slices(runs, output, angles, report)
    for run in runs:
        _refuse_foreign(_results(run, output))
    for run in runs:
        _video(run, output, angles, threshold, report)
    return output


def _results(run: Record, output: Path) -> Path:
    """The folder of a video's masks, named as the challenge wants it; fold 1 holds out video 01."""
    return output / f"{run.experiment.fold:02d}_RES"


def _refuse_foreign(folder: Path) -> None:
    """Raise InputError if a folder that is to be replaced holds anything but masks of an earlier export."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InputError(f"{folder} is no plain folder and would be replaced: move it away, or give another --to")
    others = sorted(p.name for p in folder.glob("*") if not re.fullmatch(r"mask\d{3,}\.tif", p.name))
    if others:
        raise InputError(f"{folder} would be replaced, and it holds {others[0]}: move that away, or give another --to")


def cells_threshold(run: Record) -> float:
    """The threshold of a run's cells: 0.5, argmax, if it follows the release (8-connected components).

    Else the one that was fixed on its training images: for SEG or, on EM, for the Rand error.
    """
    if run.experiment.connectivity == 8:
        return 0.5
    training = run.scores.training
    return training["seg" if "seg" in training else "rand_error"].threshold


def segment(run: Record, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(probability, instances) of frames (N, H, W) by a recorded network, at `cells_threshold`."""
    experiment = run.experiment
    probability = predict_as_trained(experiment, train.network(run), images)
    smallest = SMALLEST.get(experiment.data, 0)
    return probability, ctc.instances(probability, cells_threshold(run), smallest, experiment.connectivity)


def _slices(runs: Sequence[Record], output: Path, angles: Sequence[float], report: Report) -> Path:
    models = [(run.experiment, train.network(run)) for run in runs]
    images = data.frames("isbi2012", "test-volume.tif")
    pages = []
    with Progress(len(images), "slice", report) as progress:
        for image in images:
            planes = [predict_as_trained(*model, image[None], rotations=angles)[0] for model in models]
            pages.append(Image.fromarray(np.mean(planes, axis=0, dtype=np.float64).astype(np.float32)))
            progress.update()
    with replacing(output) as aside:
        pages[0].save(aside, format="TIFF", save_all=True, append_images=pages[1:], compression="tiff_adobe_deflate")
    return output


def _video(run: Record, output: Path, angles: Sequence[float], threshold: float | None, report: Report) -> None:
    experiment, model = run.experiment, train.network(run)
    video = f"{experiment.fold:02d}"
    level = cells_threshold(run) if threshold is None else threshold
    images = data.frames(experiment.data, video)
    output.mkdir(parents=True, exist_ok=True)
    folder = _results(run, output)
    with folder_under_way(folder) as part:
        with Progress(len(images), f"video {video}: frame", report) as progress:
            for number, image in enumerate(images):
                probability = predict_as_trained(experiment, model, image[None], rotations=angles)[0]
                labels = ctc.instances(probability, level, SMALLEST[experiment.data], experiment.connectivity)
                Image.fromarray(labels.astype(np.uint16)).save(part / f"mask{number:03d}.tif")
                progress.update()
        _refuse_foreign(folder)  # again: what came while the network worked is not deleted either
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
