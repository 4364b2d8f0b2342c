"""The scores that a record keeps, as values; and how those that JSON holds flat become values and JSON again.

A threshold's row of counts stays a dict: which counts there are depends on the metric (``metric.METRICS``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cattrs import Converter

from reprolib.errors import NotRecorded
from reprolib.evaluation.appearance import Seen
from reprolib.evaluation.classes import ClassScores
from reprolib.evaluation.detection import Detection
from reprolib.evaluation.metric import METRICS, Row


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
        """The counts at a threshold; ``Metric.figure`` makes the score of them. At 0.5 lies two classes' argmax."""
        return next(row for row in self.rows if row["threshold"] == threshold)


@dataclass(frozen=True)
class ImageScore:
    """One image's own figures by metric, at the threshold that is best for all images together."""

    name: str
    figures: dict[str, float]
    edge: bool | None = None  # next to a training image


@dataclass(frozen=True)
class Part:
    """Figures of some of the held-out images."""

    images: tuple[str, ...]
    score: dict[str, float]  # by metric, at the best threshold
    at_training_threshold: dict[str, float]


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
    held_out: dict[str, Curve]
    at_training_threshold: dict[str, float]
    images: tuple[ImageScore, ...]


@dataclass(frozen=True)
class TestView:
    """The test slices' figures: a curve by metric, and each slice's own."""

    curves: dict[str, Curve]
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

    curves: dict[str, Curve]
    watershed: tuple[WatershedScore, ...]


@dataclass(frozen=True)
class Scores:
    """All scores of a trained network. What does not apply to its data or split is None or empty."""

    training: dict[str, AtThreshold]  # of the training images, by metric
    held_out: dict[str, Curve] | None = None
    at_training_threshold: dict[str, float] | None = None
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

converter = Converter(omit_if_default=True, detailed_validation=False)


def flat(cls: type, to_json, from_json) -> None:
    """A class whose JSON mixes two of its fields on one level."""
    converter.register_unstructure_hook(cls, to_json)
    converter.register_structure_hook(cls, lambda body, _: from_json(body))


def _curves(body: Mapping) -> dict[str, Curve]:
    return {metric: converter.structure(body[metric], Curve) for metric in body if metric in METRICS}


flat(
    ImageScore,
    lambda one: {"name": one.name, **one.figures} | ({} if one.edge is None else {"edge": one.edge}),
    lambda row: ImageScore(row["name"], {k: v for k, v in row.items() if k in METRICS}, row.get("edge")),
)
flat(
    WatershedScore,
    lambda one: (
        {"seed": one.seed, "threshold": one.threshold, "seg": one.seg}
        | {f"seg {video}": value for video, value in one.videos.items()}
    ),
    lambda row: WatershedScore(
        *(row[name] for name in ("seed", "threshold", "seg")),
        {name.removeprefix("seg "): value for name, value in row.items() if name.startswith("seg ")},
    ),
)
flat(
    TestView,
    lambda view: converter.unstructure({**view.curves, "images": view.images}),
    lambda body: TestView(_curves(body), converter.structure(body["images"], tuple[ImageScore, ...])),
)
flat(
    SilverScores,
    lambda one: converter.unstructure({**one.curves, "watershed": one.watershed}),
    lambda body: SilverScores(_curves(body), converter.structure(body["watershed"], tuple[WatershedScore, ...])),
)
