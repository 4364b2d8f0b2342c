"""Orderings: is one kind of network better than another on the same images? Paired differences of recorded runs.

Absolute scores on other images than the paper's cannot confirm it or refute it. What can be tested is an ordering: two
networks that differ in one thing, trained and scored on the same images from the same seeds. The rule is fixed: better
in every pair is "reproduced", better on the average alone "partly", else "not reproduced".
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from reprolib.claims.claim import Verdict
from reprolib.errors import InputError
from reprolib.evaluation.metric import METRICS, Metric
from reprolib.experiment import Experiment
from reprolib.runs import records


@dataclass(frozen=True)
class Pairs:
    """The scores of two kinds of network, pair by pair: the same images and seed in each pair."""

    metric: Metric
    first: tuple[float, ...]
    second: tuple[float, ...]

    @property
    def gains(self) -> tuple[float, ...]:
        """By how much the first is better, whichever way is better."""
        return tuple(self.metric.gain(a, b) for a, b in zip(self.first, self.second, strict=True))

    @property
    def wins(self) -> int:
        return sum(gain > 0 for gain in self.gains)

    @property
    def within_spread(self) -> bool:
        """Whether the mean gain is smaller than the gains' standard deviation, so that it may be chance."""
        return len(self.gains) < 2 or abs(statistics.fmean(self.gains)) < statistics.stdev(self.gains)

    @property
    def verdict(self) -> Verdict:
        """By the rule at the head of this file."""
        if self.wins == len(self.gains):
            return Verdict.REPRODUCED
        return Verdict.PARTLY if statistics.fmean(self.gains) > 0 else Verdict.NOT_REPRODUCED


def pairs(first: Iterable[Experiment], second: Iterable[Experiment], metric: str, oracle: bool) -> Pairs:
    """Two kinds of network over the same folds and seeds, in the same order.

    Args:
        metric: a key of ``METRICS``.
        oracle: at each run's threshold that is best on its held-out images; else at that of its training images.

    Raises:
        NotRecorded: if a run is not recorded.
        InputError: if two that are to be paired differ in data, fold, split or seed.
    """
    first, second = list(first), list(second)
    for a, b in zip(first, second, strict=True):
        if (a.data, a.fold, a.split, a.seed) != (b.data, b.fold, b.split, b.seed):
            raise InputError(f"{a.name} and {b.name} are no pair: other images or seed")
    scores = (tuple(run.scores.figure(metric, oracle) for run in records.obtained(kind)) for kind in (first, second))
    return Pairs(METRICS[metric], *scores)
