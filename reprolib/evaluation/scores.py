"""The scores that a record keeps, as values; and the one reader and writer of their JSON.

A threshold's row of counts stays a dict: which counts there are depends on the metric (``metric.METRICS``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from reprolib.errors import NotRecorded
from reprolib.evaluation.metric import METRICS, Row


@dataclass(frozen=True)
class AtThreshold:
    """A metric's best score over the thresholds on some images, and the threshold that gave it."""

    score: float
    threshold: float


@dataclass(frozen=True)
class Curve:
    """A metric over the thresholds: the best score, its threshold, and the row of counts at each threshold."""

    metric: str
    score: float
    threshold: float
    rows: tuple[Row, ...]

    def at(self, threshold: float) -> float:
        """The score at another threshold; 0.5 is where the two classes' argmax lies."""
        return METRICS[self.metric].figure(self.row(threshold))

    def row(self, threshold: float) -> Row:
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


# --- JSON ----------


def scores_to_json(scores: Scores) -> dict:
    """As a record keeps them."""
    body: dict = {"training": {metric: asdict(one) for metric, one in scores.training.items()}}
    if scores.held_out is not None:
        body |= {"held_out": curves_to_json(scores.held_out), "at_training_threshold": scores.at_training_threshold}
    for name in ("edge", "interior"):
        if part := getattr(scores, name):
            body[name] = asdict(part) | {"images": list(part.images)}
    if scores.images:
        body["images"] = _images_to_json(scores.images)
    if scores.cells:
        body["cells"] = [{k: v for k, v in asdict(cell).items() if v is not None} for cell in scores.cells]
    if scores.watershed:
        body["watershed"] = _watershed_to_json(scores.watershed)
    if rotated := scores.rotated:
        body["rotated"] = {
            "angles": list(rotated.angles),
            "held_out": curves_to_json(rotated.held_out),
            "at_training_threshold": rotated.at_training_threshold,
            "images": _images_to_json(rotated.images),
        }
    if test := scores.test:
        body["test"] = {"rows": list(test.rows), "labels": test.labels}
        for name in ("straight", "rotated"):
            if view := getattr(test, name):
                body["test"][name] = curves_to_json(view.curves) | {"images": _images_to_json(view.images)}
    if silver := scores.silver:
        body["silver"] = curves_to_json(silver.curves) | {"watershed": _watershed_to_json(silver.watershed)}
    return body


def scores_from_json(body: Mapping) -> Scores:
    """The scores of a record's JSON.

    Raises:
        KeyError, TypeError: if it is none.
    """
    parts = {
        name: Part(tuple(part["images"]), part["score"], part["at_training_threshold"])
        for name in ("edge", "interior")
        if (part := body.get(name))
    }
    rotated, test, silver = body.get("rotated"), body.get("test"), body.get("silver")
    return Scores(
        training={metric: AtThreshold(**one) for metric, one in body["training"].items()},
        held_out=_curves_from_json(body["held_out"]) if "held_out" in body else None,
        at_training_threshold=body.get("at_training_threshold"),
        images=_images_from_json(body.get("images", ())),
        cells=tuple(GoldCell(**cell) for cell in body.get("cells", ())),
        watershed=_watershed_from_json(body.get("watershed", ())),
        rotated=Rotated(
            tuple(rotated["angles"]),
            _curves_from_json(rotated["held_out"]),
            rotated["at_training_threshold"],
            _images_from_json(rotated["images"]),
        )
        if rotated
        else None,
        test=TestScores(
            tuple(test["rows"]),
            test["labels"],
            _view_from_json(test["straight"]),
            _view_from_json(test["rotated"]) if "rotated" in test else None,
        )
        if test
        else None,
        silver=SilverScores(_curves_from_json(silver), _watershed_from_json(silver["watershed"])) if silver else None,
        **parts,
    )


def curves_to_json(curves: Mapping[str, Curve]) -> dict:
    """By metric."""
    return {
        metric: {"score": curve.score, "threshold": curve.threshold, "rows": list(curve.rows)}
        for metric, curve in curves.items()
    }


def _curves_from_json(body: Mapping) -> dict[str, Curve]:
    """The curves by metric; other entries are passed over."""
    return {
        metric: Curve(metric, curve["score"], curve["threshold"], tuple(curve["rows"]))
        for metric, curve in body.items()
        if metric in METRICS
    }


def _view_from_json(body: Mapping) -> TestView:
    return TestView(_curves_from_json(body), _images_from_json(body["images"]))


def _images_to_json(images: Sequence[ImageScore]) -> list[dict]:
    return [{"name": one.name, **one.figures} | ({} if one.edge is None else {"edge": one.edge}) for one in images]


def _images_from_json(rows: Sequence[Mapping]) -> tuple[ImageScore, ...]:
    return tuple(
        ImageScore(row["name"], {k: v for k, v in row.items() if k in METRICS}, row.get("edge")) for row in rows
    )


def _watershed_to_json(rows: Sequence[WatershedScore]) -> list[dict]:
    return [
        {"seed": row.seed, "threshold": row.threshold, "seg": row.seg}
        | {f"seg {video}": value for video, value in row.videos.items()}
        for row in rows
    ]


def _watershed_from_json(rows: Sequence[Mapping]) -> tuple[WatershedScore, ...]:
    return tuple(
        WatershedScore(
            row["seed"],
            row["threshold"],
            row["seg"],
            {name.removeprefix("seg "): value for name, value in row.items() if name.startswith("seg ")},
        )
        for row in rows
    )
