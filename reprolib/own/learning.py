"""Would more annotated images help? The same network trained on a quarter and on half of them as well."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reprolib.data.dataset import Dataset
from reprolib.experiment import Experiment
from reprolib.runs.records import Record
from reprolib.splits import training_indices

WORTH = 0.02  # of F1, from half of the images to all: more would go on to help


def fewer_images(experiment: Experiment, dataset: Dataset) -> list[Experiment]:
    """The experiment with a quarter and with half of its training images, the first ones; each step as before."""
    count = len(training_indices(experiment, dataset))
    numbers = sorted({max(1, round(count * share)) for share in (0.25, 0.5)} - {count})
    return [experiment.replace(images=number) for number in numbers]


def learning_curve(record: Record, dataset: Dataset, obtain: Callable[[Experiment], Record]) -> list[tuple[int, float]]:
    """Number of training images and F1 of the held-out ones, ascending; the last is the record's own.

    Args:
        obtain: trains an experiment, or gives its record.
    """
    runs = [obtain(one) for one in fewer_images(record.experiment, dataset)] + [record]
    return [(len(training_indices(run.experiment, dataset)), run.scores.detection.counts.f1) for run in runs]


def advice(curve: Sequence[tuple[int, float]]) -> str:
    """What the curve says, in a sentence."""
    if len(curve) < 2:
        return "There are too few training images to leave some out."
    (fewer, before), (count, now) = curve[-2:]
    told = f"F1 with {fewer} training images {before:.2f}, with {count} {now:.2f}: "
    if now - before > WORTH:
        return told + "still rising, more annotated images would pay."
    return told + "no longer rising, more images like these would hardly help."
