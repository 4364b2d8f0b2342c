"""The scores of a record as values: figures at thresholds, and JSON that loses nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest
from made_cells import NAMES, frames

from reprolib.errors import NotRecorded
from reprolib.evaluation import scores
from reprolib.evaluation.appearance import Appearance, Seen
from reprolib.evaluation.cells import evaluate_cells, gold_cells, watershed_scores
from reprolib.evaluation.classes import ClassScores
from reprolib.evaluation.detection import Counts, Detection, Settings
from reprolib.evaluation.isbi2012 import THRESHOLDS
from reprolib.evaluation.metric import METRICS
from reprolib.evaluation.score import curves
from reprolib.evaluation.scores import AtThreshold, Curve, GoldCell, ImageScore, Part, Rotated, Scores, SilverScores


def at(metric: str, curve: Curve, threshold: float) -> float:
    return METRICS[metric].figure(curve.row(threshold))


@pytest.fixture(scope="module")
def whole() -> Scores:
    """Scores with every part that there is."""
    gold, probability, ignore = frames()
    found = curves(evaluate_cells(NAMES, gold, probability, ignore))
    images = (ImageScore("a", {"seg": 0.5}, edge=True), ImageScore("b", {"seg": 0.25}, edge=False), ImageScore("c", {}))
    part, view = Part(("a", "b"), {"seg": 0.5}, {"seg": 0.4}), scores.TestView(found, images)
    watershed = watershed_scores(NAMES, gold, probability, ignore)
    return Scores(
        training={metric: AtThreshold(0.9, THRESHOLDS[6]) for metric in found},
        held_out=found,
        at_training_threshold={metric: at(metric, curve, THRESHOLDS[6]) for metric, curve in found.items()},
        edge=part,
        interior=part,
        images=images,
        cells=(*gold_cells(NAMES, gold, probability, ignore), GoldCell("a", 7, 0.0, 3, "missed")),
        watershed=watershed,
        rotated=Rotated((0.0, 90.0), found, {"seg": 0.5}, images),
        test=scores.TestScores((66, 512), "0" * 64, view, view),
        silver=SilverScores(found, watershed),
        detection=Detection(Settings(0.5, 0.9, 12, 3), Counts(5, 1, 2), Counts(1, 5, 0)),
        classes=ClassScores(("ground", "nucleus"), ((5, 1), (0, 9))),
        training_classes=ClassScores(("ground", "nucleus"), ((7, 1), (0, 9))),
        seen=Seen(Appearance(0.1, 0.01, 4.0), Appearance(0.2, 0.02, 9.5), (30.0, 400.5)),
    )


def test_json_and_back_is_the_same(whole):
    body = json.loads(json.dumps(scores.converter.unstructure(whole)))
    assert scores.converter.structure(body, Scores) == whole
    assert body.keys() == set(Scores.__dataclass_fields__)  # none is left out


def test_what_does_not_apply_is_left_out_of_the_json():
    least = Scores({"seg": AtThreshold(0.5, 0.3)})
    body = scores.converter.unstructure(least)
    assert body == {"training": {"seg": {"score": 0.5, "threshold": 0.3}}}
    assert scores.converter.structure(body, Scores) == least


def test_a_curve_tells_its_score_at_every_threshold(whole):
    for metric, curve in whole.held_out.items():
        values = [at(metric, curve, threshold) for threshold in THRESHOLDS]
        assert curve.score == max(values) == at(metric, curve, curve.threshold)
        assert [curve.row(threshold) for threshold in THRESHOLDS] == list(curve.rows)
    assert len(np.unique(values)) > 1


def test_a_figure_is_that_of_the_oracle_or_of_the_training_threshold(whole):
    for metric, curve in whole.held_out.items():
        assert whole.figure(metric, oracle=True) == curve.score
        assert whole.figure(metric, oracle=False) == at(metric, curve, THRESHOLDS[6]) < curve.score
        assert whole.in_training_row(metric) == curve.rows[6]


def test_without_a_held_out_image_there_is_no_figure():
    for oracle in (True, False):
        with pytest.raises(NotRecorded, match="no held-out score"):
            Scores({"seg": AtThreshold(0.5, 0.3)}).figure("seg", oracle)
