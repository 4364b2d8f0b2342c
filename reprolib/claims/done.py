"""Is a training done? On an inner split, twice the steps change the mean of three seeds by less than delta."""

from __future__ import annotations

import statistics

from reprolib.claims import table2
from reprolib.evaluation.metric import METRICS
from reprolib.plan import recipes
from reprolib.plan.recipes import Doubled
from reprolib.printing import markdown
from reprolib.runs import records


def change(doubled: Doubled) -> tuple[float, float] | None:
    """Mean score with the steps and with twice as many; None unless all runs are recorded.

    SEG at argmax; else the held-out score at the best threshold.
    """
    means = []
    for experiments in (doubled.short, doubled.long):
        runs = records.available(experiments)
        if len(runs) < len(experiments):
            return None
        if doubled.metric == "seg":
            means.append(statistics.fmean(table2.at_half(run.scores) for run in runs))
        else:
            means.append(statistics.fmean(run.scores.figure(doubled.metric, oracle=True) for run in runs))
    return means[0], means[1]


def is_done(doubled: Doubled) -> bool | None:
    """Whether the change is smaller than the metric's delta; None where that is not known."""
    means = change(doubled)
    return None if means is None else abs(means[1] - means[0]) < recipes.DELTA[doubled.metric]


def table() -> str:
    """As Markdown: steps, score, score with twice the steps, delta, done or not."""
    rows = []
    for doubled in recipes.doubled():
        metric, means = METRICS[doubled.metric], change(doubled)
        scores = [metric.print(value) for value in means] if means else ["", ""]
        state = {True: "done", False: "**not done**", None: "not run yet"}[is_done(doubled)]
        delta = f"{recipes.DELTA[metric.key]:g}"
        rows.append((doubled.name, metric.name, f"{doubled.short[0].steps:,}", *scores, delta, state))
    head = ("recipe", "metric", "steps", "score", "with twice the steps", "delta", "state")
    return markdown(head, rows, words=2)
