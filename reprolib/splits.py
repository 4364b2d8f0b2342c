"""Which images an experiment trains on, and which it is scored on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from reprolib.data.dataset import Dataset
from reprolib.errors import InputError
from reprolib.experiment import PARTS, Experiment

BLOCKS = 3  # of each video, for the splits "blocks", "thirds" and "inner-thirds"
APART = 5  # frames: what is nearer to a scored frame of its video does not train ("thirds", "inner-thirds", "parts")


def held_out_indices(experiment: Experiment, dataset: Dataset) -> tuple[int, ...]:
    """The images that the experiment is scored on: its fold, or what its split says.

    * "fold": fold k. "all": none; what is scored then is the set's own test (``Experiment.test``).
    * "inner": a part of the *other* images, so that choices made on it leave the held-out fold unseen: the fold before
      it (fold 1: the last); of two folds, such as the two videos of the cell sets, the last third of the other fold.
    * "blocks", "thirds": the first, second or last third (fold 1, 2, 3) of every fold, so that all videos train and
      all are scored. "thirds" keeps training frames apart from the scored ones, see `training_indices`.
    * "inner-thirds": of the frames that "thirds" trains on, the last third of every video, for choices.
    * "parts": all but the k-th fifth of every fold, which trains, and what is near to it.

    Raises:
        ValueError: if the data set has no such fold.
    """
    if experiment.split == "all":
        return ()
    counts = {"blocks": BLOCKS, "thirds": BLOCKS, "inner-thirds": BLOCKS, "parts": PARTS}
    count = counts.get(experiment.split, len(dataset.folds))
    if not 1 <= experiment.fold <= count:
        raise InputError(f"{dataset.name} has no fold {experiment.fold}: choose 1 to {count}")
    if experiment.split in ("blocks", "thirds"):
        return parts_of(dataset, BLOCKS, experiment.fold)
    if experiment.split == "inner-thirds":
        train = set(apart_from(dataset, parts_of(dataset, BLOCKS, experiment.fold)))
        videos = [[index for index in fold if index in train] for fold in dataset.folds]
        return tuple(index for video in videos for index in video[-math.ceil(len(video) / 3) :])
    if experiment.split == "parts":
        return apart_from(dataset, parts_of(dataset, PARTS, experiment.fold))
    if experiment.split == "fold":
        return dataset.folds[experiment.fold - 1]
    before = dataset.folds[(experiment.fold - 2) % count]  # of fold 1 the last
    return before if count > 2 else before[-math.ceil(len(before) / 3) :]


def training_indices(experiment: Experiment, dataset: Dataset) -> tuple[int, ...]:
    """The images that the experiment is trained on; an inner split never sees the fold either.

    "thirds", "inner-thirds": frames within 5 frames of a held-out one, in the same video, are left out.

    Raises:
        ValueError: if the data set has no such fold, or not as many training images as asked for.
    """
    out = set(held_out_indices(experiment, dataset))
    if experiment.split == "inner":
        out |= set(dataset.folds[experiment.fold - 1])
    if experiment.split == "inner-thirds":
        out |= set(parts_of(dataset, BLOCKS, experiment.fold))
    left = tuple(index for index in range(len(dataset.images)) if index not in out)
    if experiment.split == "parts":
        left = parts_of(dataset, PARTS, experiment.fold)
    elif experiment.split in ("thirds", "inner-thirds"):
        left = apart_from(dataset, out)
    if not left:
        raise InputError(f"{dataset.name} has no image left to train on when fold {experiment.fold} is held out")
    if experiment.images > len(left):
        raise InputError(
            f"fold {experiment.fold} of {dataset.name} has {len(left)} training images, not {experiment.images}"
        )
    return chosen(left, experiment.images, experiment.choice) if experiment.images else left


def chosen(indices: Sequence[int], images: int, choice: int) -> tuple[int, ...]:
    """A few of the training images: the first ones (choice 0), or one of five choices that share none.

    Choice k takes every s-th image from the (k - 1) (s // 5)-th on, s = N // images: far apart within a choice, so that
    it shows all of the stack, and spread between the choices.

    Raises:
        ValueError: if so many images leave no five choices without a common one.
    """
    if choice == 0:
        return tuple(indices[:images])
    apart = len(indices) // images
    if apart < PARTS:
        raise InputError(f"{images} of {len(indices)} images leave no {PARTS} choices that share none: take fewer")
    return tuple(indices[(choice - 1) * (apart // PARTS) :: apart][:images])


def parts_of(dataset: Dataset, parts: int, number: int) -> tuple[int, ...]:
    """The ``number``-th (from 1) of so many contiguous parts of every fold."""
    return tuple(int(index) for fold in dataset.folds for index in np.array_split(fold, parts)[number - 1])


def apart_from(dataset: Dataset, out: Iterable[int]) -> tuple[int, ...]:
    """All images that are not in ``out`` and not within 5 frames of one that is; names tell video and frame."""
    places = [_place(name, index) for index, name in enumerate(dataset.names)]
    far = []
    for index, (video, frame) in enumerate(places):
        if all(video != places[other][0] or abs(frame - places[other][1]) > APART for other in out):
            far.append(index)
    return tuple(far)


def _place(name: str, index: int) -> tuple[str, int]:
    """Video and frame of an image by its name ("01/t002"); of other names, its position in the set."""
    video, slash, frame = name.rpartition("/")
    digits = frame.lstrip("t")
    return (video, int(digits)) if slash and digits.isdigit() else ("", index)
