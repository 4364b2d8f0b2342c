"""One experiment, described by how it departs from the paper: ``Experiment()`` is the paper's own setting."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from reprolib.ancestors import GEOMETRY
from reprolib.data import Dataset
from reprolib.model import INITIALISATIONS, PADDINGS, SAME, VALID, VARIANTS
from reprolib.sources import nearest

OPTIMISERS = ("sgd", "adam")
SCHEDULES = ("constant", "cosine")
WEIGHTS = ("none", "balanced", "borders", "full")
SPLITS = ("fold", "inner", "blocks", "all", "thirds", "inner-thirds", "parts")
BLOCKS = 3  # of each video, for the splits "blocks", "thirds" and "inner-thirds"
PARTS = 5  # of each video, for the split "parts"; also how many choices of a few training images there are
APART = 5  # frames: what is nearer to a scored frame of its video does not train ("thirds", "inner-thirds", "parts")
CONNECTIVITIES = (4, 8)


@dataclass(frozen=True)
class Experiment:
    """All that decides a training's outcome, except the machine. Immutable, hashable, validated.

    The defaults are the paper's, or where the paper is silent, ours; they never change, because ``key`` leaves them
    out: so a field added later leaves the keys of earlier records as they are.

    Raises:
        ValueError: for a value of the wrong type or out of range; one sentence with what is allowed.
    """

    # data
    data: str = "isbi2012"  # name of the data set
    fold: int = 5  # 1, 2, ...: the fold held out
    split: str = "fold"  # "fold": train on all other folds; "all": on all images; others: see `held_out_indices`
    images: int = 0  # use only n training images; 0 = all
    choice: int = 0  # which n: 0 = the first; 1 to 5 = spread evenly, no two choices share one: see `chosen`
    scale: float = 1.0  # images and labels are resampled to this share of their sides, probabilities back again
    test: bool = False  # score the set's second test too: ISBI 2012's test slices, or a video's silver truth
    # network
    variant: str = "paper"  # of the U-Net: "paper", "release"; or an ancestor: "n4", "n4-65", "fcn32", "fcn16", "fcn8"
    width: int = 64  # channels of the first level
    dropout: float = 0.5
    skips: bool = True
    padding: str = "valid"
    initialisation: str = "paper"
    # energy
    weights: str = "full"  # "none": w = 1; "balanced": w_c only; "borders": Eq. 2 with w_c = 1; "full": Eq. 2
    w0: float = 10.0
    sigma: float = 5.0  # px
    # augmentation
    elastic: float = 10.0  # px, standard deviation of the grid's displacement vectors
    rotate: bool = True
    grey: float = 0.1
    flip: bool = False
    # optimisation
    optimiser: str = "sgd"
    momentum: float = 0.99  # of SGD
    learning_rate: float = 1e-3  # of the mean over pixels
    schedule: str = "constant"  # "cosine" falls to 0 along half a cosine
    steps: int = 3000
    tile: int = 572  # px, side of the input tile
    seed: int = 0
    fused: bool = False  # Adam's update in one kernel: faster, other rounding
    # prediction
    mean_of_flips: bool = False  # the mean over the image, its two mirror images and both (the release)
    connectivity: int = 4  # of the pixels of a cell: 4, or 8 as in the release

    def __post_init__(self):
        for field in fields(self):
            value, wanted = getattr(self, field.name), type(field.default)
            if wanted is float and type(value) is int:
                object.__setattr__(self, field.name, float(value))
            elif type(value) is not wanted:
                raise ValueError(f"{field.name} must be {wanted.__name__}, not {type(value).__name__} {value!r}")
        for name, allowed in (
            ("split", SPLITS),
            ("variant", (*VARIANTS, *GEOMETRY)),
            ("padding", PADDINGS),
            ("initialisation", INITIALISATIONS),
            ("weights", WEIGHTS),
            ("optimiser", OPTIMISERS),
            ("schedule", SCHEDULES),
        ):
            choose(name, getattr(self, name), allowed)
        if self.connectivity not in CONNECTIVITIES:
            raise ValueError(f"connectivity must be 4 or 8, not {self.connectivity}")
        for name, low, high in (
            ("fold", 1, None),
            ("images", 0, None),
            ("choice", 0, PARTS),
            ("scale", 0.05, 1),
            ("width", 1, 1024),
            ("dropout", 0, 0.99),
            ("w0", 0, 1e6),
            ("sigma", 0.1, 1e3),
            ("elastic", 0, 1e3),
            ("grey", 0, 0.99),
            ("momentum", 0, 0.9999),
            ("learning_rate", 1e-9, 10),
            ("steps", 1, None),
            ("seed", 0, 2**31 - 1),
        ):
            value = getattr(self, name)
            if not (value >= low and (high is None or value <= high)):
                raise ValueError(f"{name} must be {low} or more{f', at most {high}' if high else ''}, not {value}")
        if self.split == "all" and self.fold != type(self).fold:
            raise ValueError("split=all holds no fold out: leave fold out")
        if self.choice and not self.images:
            raise ValueError("choice says which few images train: give their number too, such as images=2")
        if self.fused and self.optimiser != "adam":
            raise ValueError(f"fused is Adam's: leave it out with optimiser={self.optimiser}")
        if self.variant in GEOMETRY and (self.padding, self.skips, self.initialisation) != ("valid", True, "paper"):
            raise ValueError(f"padding, skips and initialisation are the U-Net's: leave them out with {self.variant!r}")
        GEOMETRY.get(self.variant, VALID if self.padding == "valid" else SAME).output(self.tile)

    def departures(self) -> dict:
        """The fields that differ from the defaults, in the order of their declaration."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}

    @property
    def key(self) -> str:
        """SHA-256 (16 hexadecimal digits) of the departures: the name under which the run is recorded."""
        text = json.dumps(self.departures(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def replace(self, **changes) -> Experiment:
        """A copy with other values; unknown names are refused with the nearest known one."""
        check_names(changes)
        return dataclasses.replace(self, **changes)

    @classmethod
    def from_dict(cls, values: dict) -> Experiment:
        """The experiment of a record; unknown names are refused."""
        check_names(values)
        return cls(**values)

    def to_dict(self) -> dict:
        """All fields, for a record."""
        return dataclasses.asdict(self)


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
        raise ValueError(f"{dataset.name} has no fold {experiment.fold}: choose 1 to {count}")
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
    before = dataset.folds[experiment.fold - 2]
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
        raise ValueError(f"{dataset.name} has no image left to train on when fold {experiment.fold} is held out")
    if experiment.images > len(left):
        raise ValueError(
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
        raise ValueError(f"{images} of {len(indices)} images leave no {PARTS} choices that share none: take fewer")
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


def check_names(values: dict) -> None:
    """Raise ValueError on a name that is no field of Experiment, with the nearest one."""
    for name in values:
        choose("experiment field", name, [f.name for f in fields(Experiment)])


def choose(what: str, value: str, allowed) -> str:
    """Return ``value`` if it is among ``allowed``, else raise ValueError with all of them and the nearest."""
    if value not in allowed:
        raise ValueError(f"{what} {value!r} is unknown: {nearest(value, allowed)}")
    return value
