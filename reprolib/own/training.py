"""Train from the command line: a published set, or images of one's own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from reprolib.errors import InputError
from reprolib.experiment import Experiment
from reprolib.own.folder import load_folder
from reprolib.runs import records
from reprolib.runs.records import Record
from reprolib.train import add_rotations
from reprolib.train import train as train_experiment


def train(
    experiment: Experiment,
    images: Path | None = None,
    device: str = "auto",
    threads: int = 0,
    again: bool = False,
    rotations: bool = False,
    keep_weights: bool = True,
    folder: Path | None = None,
) -> Record | None:
    """Train and record an experiment unless it is recorded already; then that record is returned.

    Args:
        images: a folder of images of one's own, see `load_folder`; the experiment is then about these.
        threads: of the processor; 0 leaves the choice to PyTorch.
        again: train even if it is recorded.
        device, rotations, keep_weights, folder: as for `reprolib.train.train`. Rotations are added to a record.

    Raises:
        InputError: if a value is out of range, or as `load_folder` and `reprolib.train.train`.
    """
    if threads < 0:
        raise InputError(f"threads must be 1 or more, not {threads}")
    if threads:
        torch.set_num_threads(threads)
    dataset = None
    if images:
        dataset = load_folder(images)
        # The name holds the pixels' hash: other images under the same folder name are another experiment.
        name = f"{dataset.name}-{dataset.hashes['images'][:8]}{dataset.hashes['labels'][:8]}"
        dataset = dataclasses.replace(dataset, name=name)
        experiment = experiment.replace(data=name)
    record = records.find(experiment, (folder,) if folder else None)
    if record and not again:
        test = record.scores.test  # all there is to rotate where no image is held out
        if rotations and not (record.scores.rotated or (test and test.rotated)):
            record = add_rotations(record, print, dataset)
        return record
    train_experiment(experiment, device, print, folder, dataset, keep_weights, rotations)
    return None
