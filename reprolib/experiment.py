"""One experiment, described by how it departs from the paper: ``Experiment()`` is the paper's own setting."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from reprolib.errors import InputError, check_choice
from reprolib.geometry import ANCESTORS, INITIALISATIONS, PADDINGS, SAME, VALID, VARIANTS
from reprolib.parsing import parse

OPTIMISERS = ("sgd", "adam")
SCHEDULES = ("constant", "cosine")
WEIGHTS = ("none", "balanced", "borders", "full")
NORMALISATIONS = ("standard", "percentiles")
SPLITS = ("fold", "inner", "blocks", "all", "thirds", "inner-thirds", "parts")
PARTS = 5  # of each video, for the split "parts"; also how many choices of a few training images there are
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
    channels: str = "grey"  # of the image: "grey", colours as their luminance; "rgb"; or by number, such as "1,3"
    normalisation: str = "standard"  # "standard": mean 0, deviation 1; "percentiles": see `augment.normalise`
    classes: int = (
        0  # 0: objects against background; K of 2 or more: each pixel is one of K classes, background among them
    )
    test: bool = False  # score the set's second test too: ISBI 2012's test slices, or a video's silver truth
    # network
    variant: str = "paper"  # of the U-Net: "paper", "release"; or an ancestor: "n4", "n4-65", "fcn8"
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
    zoom: float = 1.0  # structures are enlarged or reduced by up to this factor, at random
    # optimisation
    optimiser: str = "sgd"
    momentum: float = 0.99  # of SGD
    learning_rate: float = 1e-3  # of the mean over pixels
    schedule: str = "constant"  # "cosine" falls to 0 along half a cosine
    steps: int = 3000
    batch: int = 1  # tiles a step, each of a random image; the loss is the mean of theirs
    tile: int = 572  # px, side of the input tile
    seed: int = 0
    fused: bool = False  # Adam's update in one kernel: faster, other rounding
    start: str = ""  # the weights to start from, by 16 digits of their SHA-256; "": drawn from the seed
    # prediction
    mean_of_flips: bool = False  # the mean over the image, its two mirror images and both (the release)
    connectivity: int = 4  # of the pixels of a cell: 4, or 8 as in the release

    def __post_init__(self):
        for field in fields(self):
            value, wanted = getattr(self, field.name), type(field.default)
            if wanted is float and type(value) is int and abs(value) < 2**63:
                object.__setattr__(self, field.name, float(value))
            elif type(value) is not wanted:
                raise InputError(f"{field.name} must be {wanted.__name__}, not {type(value).__name__} {value!r}")
        for name, allowed in (
            ("split", SPLITS),
            ("normalisation", NORMALISATIONS),
            ("variant", (*VARIANTS, *ANCESTORS)),
            ("padding", PADDINGS),
            ("initialisation", INITIALISATIONS),
            ("weights", WEIGHTS),
            ("optimiser", OPTIMISERS),
            ("schedule", SCHEDULES),
        ):
            check_choice(name, getattr(self, name), allowed)
        if self.connectivity not in CONNECTIVITIES:
            raise InputError(f"connectivity must be 4 or 8, not {self.connectivity}")
        for name, low, high in (
            ("fold", 1, None),
            ("images", 0, None),
            ("choice", 0, PARTS),
            ("scale", 0.05, 4),
            ("width", 1, 1024),
            ("dropout", 0, 0.99),
            ("w0", 0, 1e6),
            ("sigma", 0.1, 1e3),
            ("elastic", 0, 1e3),
            ("grey", 0, 0.99),
            ("zoom", 1, 4),
            ("momentum", 0, 0.9999),
            ("learning_rate", 1e-9, 10),
            ("steps", 1, None),
            ("batch", 1, 4096),
            ("classes", 0, 255),
            ("seed", 0, 2**31 - 1),
        ):
            value = getattr(self, name)
            if not (value >= low and (high is None or value <= high)):
                raise InputError(f"{name} must be {low} or more{f', at most {high}' if high else ''}, not {value}")
        if not re.fullmatch(r"grey|rgb|[1-9]\d?(,[1-9]\d?)*", self.channels):
            raise InputError(f"channels are grey, rgb, or numbers from 1 such as 1,3: not {self.channels!r}")
        if self.channels != "grey" and self.variant in ANCESTORS:
            raise InputError(f"{self.variant!r} takes grey images: leave channels out")
        if self.classes == 1:
            raise InputError("classes must be 2 or more, the background among them, or 0 for objects")
        if self.classes and (self.weights in ("borders", "full") or self.variant in ANCESTORS):
            raise InputError("classes have no separation borders and are the U-Net's: set weights=none or balanced")
        if self.start and not re.fullmatch("[0-9a-f]{16}", self.start):
            raise InputError(f"start must be 16 digits of a SHA-256, not {self.start!r}: see reprolib train --from")
        if self.split == "all" and self.fold != type(self).fold:
            raise InputError("split=all holds no fold out: leave fold out")
        if self.choice and not self.images:
            raise InputError("choice says which few images train: give their number too, such as images=2")
        if self.fused and self.optimiser != "adam":
            raise InputError(f"fused is Adam's: leave it out with optimiser={self.optimiser}")
        if self.variant in ANCESTORS and (self.padding, self.skips, self.initialisation) != ("valid", True, "paper"):
            raise InputError(f"padding, skips and initialisation are the U-Net's: leave them out with {self.variant!r}")
        ANCESTORS.get(self.variant, VALID if self.padding == "valid" else SAME).output(self.tile)

    @property
    def planes(self) -> int:
        """How many planes of the image the network takes: 1 of grey values, 3 of colours, or one a channel."""
        return {"grey": 1, "rgb": 3}.get(self.channels, self.channels.count(",") + 1)

    def departures(self) -> dict:
        """The fields that differ from the defaults, in the order of their declaration."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}

    @property
    def key(self) -> str:
        """SHA-256 (16 hexadecimal digits) of the departures: the name under which the run is recorded."""
        text = json.dumps(self.departures(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        """Of its record's file, without ending: data, split, fold (if one is held out) and key."""
        fold = "" if self.split == "all" else self.fold
        return f"{self.data}-{self.split}{fold}-{self.key}"

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


def check_names(values: Mapping[str, object]) -> None:
    """Raise InputError on a name that is no field of Experiment, with the nearest one."""
    for name in values:
        check_choice("experiment field", name, [f.name for f in fields(Experiment)])


def parse_fields(words: Sequence[str]) -> dict[str, object]:
    """The fields of an experiment that NAME=VALUE words set, such as "steps=500".

    Raises:
        InputError: on a word without "=", an unknown field, or a value of another type than the field's.
    """
    defaults, values = Experiment().to_dict(), {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise InputError(f"{word!r} is not of the form NAME=VALUE, such as steps=500")
        check_names({name: text})
        kind = type(defaults[name])
        try:
            values[name] = parse(text, kind)
        except ValueError:
            wanted = "true or false" if kind is bool else f"of type {kind.__name__}"
            raise InputError(f"{name} must be {wanted}, not {text!r}") from None
    return values
