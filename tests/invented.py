"""Records that exist only in a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reprolib.evaluation.metric import Row
from reprolib.evaluation.scores import AtThreshold, Curve, Scores, TestScores, TestView
from reprolib.experiment import Experiment
from reprolib.runs.records import Environment, Record, Weights

ENVIRONMENT = Environment("0" * 40, "3.11", {"torch": "2.0"}, "a processor", "AVX2", 1, "cpu", "float32")


def curve(score: float, threshold: float = 0.5, rows: Sequence[Row] = ()) -> Curve:
    """A metric over the thresholds; without rows where a test reads none."""
    return Curve(score, threshold, tuple(rows))


def held_out(scores: Mapping[str, float], fixed: Mapping[str, float] | None = None) -> Scores:
    """Scores of the held-out images at the best threshold, and at that of the training images."""
    return Scores(
        training={metric: AtThreshold(1.0, 0.5) for metric in scores},
        held_out={metric: curve(score) for metric, score in scores.items()},
        at_training_threshold=dict(fixed or scores),
    )


def test_slices(straight: Mapping[str, Curve], rotated: Mapping[str, Curve] | None = None) -> TestScores:
    """The figures of the paper's own test slices, without rotations and with."""
    views = [None if curves is None else TestView(dict(curves), ()) for curves in (straight, rotated)]
    return TestScores((66, 512), "0" * 64, *views)


def record(experiment: Experiment, scores: Scores) -> Record:
    """A record of an experiment with these scores."""
    return Record(
        experiment=experiment,
        data={},
        environment=ENVIRONMENT,
        date="2026-01-01",
        training_seconds=60.0,
        scoring_seconds=1.0,
        peak_memory_bytes=2**30,
        weights=Weights("0" * 64, 1, kept=False),
        loss=(0.7,) * experiment.steps,
        scores=scores,
    )
