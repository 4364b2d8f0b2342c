"""Is a training done? On an inner split, twice the steps change the mean of three seeds by less than delta."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from reprolib import compare, recipes, table2
from reprolib.evaluate import DIGITS, NAMES
from reprolib.experiment import Experiment


@dataclass(frozen=True)
class Doubled:
    """A headline recipe on its inner split, with its steps and with twice as many, three seeds each."""

    name: str
    metric: str
    short: tuple[Experiment, ...]
    long: tuple[Experiment, ...]

    @property
    def change(self) -> tuple[float, float] | None:
        """Mean score with the steps and with twice as many; None unless all runs are recorded."""
        means = []
        for runs in (self.short, self.long):
            found = compare.available(runs)
            if len(found) < len(runs):
                return None
            means.append(statistics.fmean(figure(run, self.metric) for run in found))
        return means[0], means[1]

    @property
    def done(self) -> bool | None:
        """Whether the change is smaller than the metric's delta; None where that is not known."""
        found = self.change
        return None if found is None else abs(found[1] - found[0]) < recipes.DELTA[self.metric]


def figure(record: dict, metric: str) -> float:
    """SEG at argmax; else the held-out score at the best threshold."""
    return table2.at_half(record["scores"]) if metric == "seg" else record["scores"]["held_out"][metric]["score"]


def headlines() -> list[Doubled]:
    """The three headline recipes (EM at width 16), in the order of the chapters."""
    steps = recipes.em_fold(1).steps
    arms = (tuple(recipes.em_inner(seed, many) for seed in recipes.SEEDS) for many in (steps, 2 * steps))
    found = [Doubled("EM, width 16", "v_rand", *arms)]
    for data, name in (("phc-u373", "U373"), ("dic-hela", "HeLa")):
        steps = recipes.cells(data, "thirds", 1).steps
        arms = (
            tuple(recipes.cells(data, "inner-thirds", 1, seed, steps=many) for seed in recipes.SEEDS)
            for many in (steps, 2 * steps)
        )
        found.append(Doubled(name, "seg", *arms))
    return found


def table() -> str:
    """As Markdown: steps, score, score with twice the steps, delta, done or not."""
    rows = []
    for each in headlines():
        digits, found = DIGITS[each.metric], each.change
        scores = [f"{value:.{digits}f}" for value in found] if found else ["", ""]
        state = {True: "done", False: "**not done**", None: "not run yet"}[each.done]
        delta = f"{recipes.DELTA[each.metric]:g}"
        rows.append((each.name, NAMES[each.metric], f"{each.short[0].steps:,}", *scores, delta, state))
    head = ("recipe", "metric", "steps", "score", "with twice the steps", "delta", "state")
    return compare.markdown(head, rows, words=2)
