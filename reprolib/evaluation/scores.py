"""The scores that a record keeps, as values; and how those that JSON holds flat become values and JSON again.

A threshold's row of counts stays a dict: which counts there are depends on the metric (``metric.METRICS``).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NewType

from cattrs import Converter
from cattrs.cols import mapping_structure_factory

from reprolib.errors import InputError, NotRecorded, check_choice
from reprolib.evaluation.appearance import Seen
from reprolib.evaluation.classes import ClassScores
from reprolib.evaluation.detection import Detection
from reprolib.evaluation.metric import METRICS, Row
from reprolib.strict import an_object, strict_converter

MetricKey = NewType("MetricKey", str)  # of METRICS
Figures = dict[MetricKey, float]


@dataclass(frozen=True)
class AtThreshold:
    """A metric's best score over the thresholds on some images, and the threshold that gave it."""

    score: float
    threshold: float


@dataclass(frozen=True)
class Curve:
    """A metric over the thresholds: the best score, its threshold, and the row of counts at each threshold."""

    score: float
    threshold: float
    rows: tuple[Row, ...]

    def row(self, threshold: float) -> Row:
        """The counts at a threshold; ``Metric.figure`` makes the score of them. At 0.5 lies two classes' argmax.

        Raises:
            NotRecorded: if there is none.
        """
        for row in self.rows:
            if row["threshold"] == threshold:
                return row
        raise NotRecorded(f"there are no counts at the threshold {threshold:g}")


Curves = dict[MetricKey, Curve]


@dataclass(frozen=True)
class ImageScore:
    """One image's own figures by metric, at the threshold that is best for all images together."""

    name: str
    figures: Figures
    edge: bool | None = None  # next to a training image


@dataclass(frozen=True)
class Part:
    """Figures of some of the held-out images."""

    images: tuple[str, ...]
    score: Figures  # by metric, at the best threshold
    at_training_threshold: Figures


@dataclass(frozen=True)
class GoldCell:
    """What became of a gold cell at the threshold 0.5, see `cells.gold_cells`."""

    image: str
    gold: int  # its label
    iou: float  # Jaccard index with its match
    size: int  # px
    lost: str | None = None  # "merged", "split" or "missed"


@dataclass(frozen=True)
class WatershedScore:
    """SEG of a seeded watershed at one pair of its levels: over the videos, and of each."""

    seed: float
    threshold: float
    seg: float
    videos: dict[str, float]


@dataclass(frozen=True)
class Rotated:
    """The held-out images once more, by the mean over rotated versions (Table 1)."""

    angles: tuple[float, ...]  # degrees
    held_out: Curves
    at_training_threshold: Figures
    images: tuple[ImageScore, ...]


@dataclass(frozen=True)
class TestView:
    """The test slices' figures: a curve by metric, and each slice's own."""

    curves: Curves
    images: tuple[ImageScore, ...]


@dataclass(frozen=True)
class TestScores:
    """The paper's own test slices (Table 1), without rotations and, if asked for, with."""

    rows: tuple[int, int]  # scored of each slice: first, last + 1
    labels: str  # SHA-256
    straight: TestView
    rotated: TestView | None = None


@dataclass(frozen=True)
class SilverScores:
    """All frames of a held-out video against its silver truth."""

    curves: Curves
    watershed: tuple[WatershedScore, ...]


@dataclass(frozen=True)
class Scores:
    """All scores of a trained network. What does not apply to its data or split is None or empty."""

    training: dict[MetricKey, AtThreshold]  # of the training images, by metric
    held_out: Curves | None = None
    at_training_threshold: Figures | None = None
    edge: Part | None = None  # EM: images next to a training image
    interior: Part | None = None  # EM: the others
    images: tuple[ImageScore, ...] = ()
    cells: tuple[GoldCell, ...] = ()
    watershed: tuple[WatershedScore, ...] = ()
    rotated: Rotated | None = None
    test: TestScores | None = None
    silver: SilverScores | None = None
    detection: Detection | None = None  # of images of one's own
    classes: ClassScores | None = None  # of held-out images whose pixels are of several classes; then there is no more
    training_classes: ClassScores | None = None
    seen: Seen | None = None  # what training images of one's own look like

    def figure(self, metric: str, oracle: bool) -> float:
        """A held-out figure at the threshold that is best there, as ISBI 2012 takes it; else at the training images'.

        Raises:
            NotRecorded: if no image is held out.
        """
        if self.held_out is None or self.at_training_threshold is None:
            raise NotRecorded("the run holds no image out: it has no held-out score")
        return self.held_out[metric].score if oracle else self.at_training_threshold[metric]

    def in_training_row(self, metric: str) -> Row:
        """The held-out row of a metric at the threshold that was fixed on the training images."""
        return self.held_out[metric].row(self.training[metric].threshold)


# --- JSON: what a field is there, but for the hooks ----------

converter = strict_converter()


@converter.register_structure_hook
def _metric(value, _) -> MetricKey:
    return check_choice("metric", value, METRICS)


@converter.register_structure_hook_factory(lambda kind: kind == Curves)
def _curves(kind, converter: Converter):
    """Curves whose rows hold all that the figure of their metric, and its pool over folds, are made from."""
    plain = mapping_structure_factory(kind, converter)

    def structure(body, _) -> Curves:
        curves = plain(body, kind)
        for metric, curve in curves.items():
            for row in curve.rows:
                if lacking := {"threshold", *METRICS[metric].counts} - row.keys():
                    raise InputError(f"a row of {metric} lacks {', '.join(sorted(lacking))}")
        return curves

    return structure


def flat(cls: type, mixed: str, prefix: str = "") -> None:
    """A class whose JSON holds its field ``mixed``, a dict, on one level with its other fields.

    Args:
        prefix: of the dict's names in JSON.
    """
    to_json, from_json = converter.gen_unstructure_attrs_fromdict(cls), converter.gen_structure_attrs_fromdict(cls)
    others = {field.name for field in fields(cls)} - {mixed}

    def unstructure(value) -> dict:
        body: dict = {}
        for name, item in to_json(value).items():
            body |= {f"{prefix}{key}": one for key, one in item.items()} if name == mixed else {name: item}
        return body

    def structure(body, kind):
        items = {name: item for name, item in an_object(body).items() if name not in others and name.startswith(prefix)}
        rest = {name: item for name, item in body.items() if name not in items}
        return from_json(rest | {mixed: {name.removeprefix(prefix): item for name, item in items.items()}}, kind)

    converter.register_unstructure_hook(cls, unstructure)
    converter.register_structure_hook(cls, structure)


flat(ImageScore, "figures")
flat(WatershedScore, "videos", "seg ")
flat(TestView, "curves")
flat(SilverScores, "curves")
