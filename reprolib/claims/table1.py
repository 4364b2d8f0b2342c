"""Table 1 (Sec. 4) on the paper's own test slices: the paper's rows, ours, and the sentence that the protocol gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reprolib.claims import verdict
from reprolib.evaluation.metric import ERRORS, ISBI2012, Metric
from reprolib.evaluation.paper import TABLE_1
from reprolib.evaluation.pooling import pool
from reprolib.plan import recipes
from reprolib.printing import markdown, number
from reprolib.runs import records
from reprolib.runs.records import Record

SEEDS = recipes.TEST_SEEDS  # planned; the sentence is given when all are there


def seeds(width: int = 32) -> list[Record]:
    """The recorded seeds of the headline recipe, in order."""
    return records.available(recipes.em_test(seed, width) for seed in SEEDS)


def folds() -> list[Record]:
    """The recorded networks of width 16 that leave one fold out, in order; none before all five are recorded."""
    found = records.available(recipes.em_fold(fold) for fold in recipes.CHOICES)
    return found if len(found) == len(recipes.CHOICES) else []


def figure(run: Record, metric: Metric, view: str = "rotated") -> float:
    """A run's score of the test slices at the challenge's threshold, the best of ten on these slices.

    view: "rotated" (the mean over 7 rotations, as the paper's) or "straight".
    """
    return getattr(run.scores.test, view).curves[metric.key].score


def printed(metric: Metric, score: float) -> str:
    """A score with as many digits as the paper's table has."""
    return number(score, metric.digits_of_paper)


def fixed_thresholds(runs: Sequence[Record]) -> dict[str, float]:
    """Per metric the threshold that is best for the held-out training slices of all folds together, rotated."""
    return {metric: one.threshold for metric, one in pool([run.scores for run in runs], rotated=True).items()}


def paper(metric: Metric) -> float:
    """The paper's own figure."""
    return getattr(next(row for row in TABLE_1 if row.group == "u-net"), metric.key)


def against(runs: Sequence[Record]) -> dict[Metric, verdict.AgainstPaper]:
    """Each figure of Table 1 against the paper's, by the protocol's rule; at least two seeds."""
    return {metric: verdict.against_paper([figure(run, metric) for run in runs], paper(metric)) for metric in ERRORS}


def mean_and_span(found: verdict.AgainstPaper, runs: Sequence[Record], metric: Metric) -> str:
    """Our mean and, in brackets, its interval; before all seeds are recorded, their range: too few for an interval."""
    span, scores = found.interval, [figure(run, metric) for run in runs]
    low, high = (span.low, span.high) if len(runs) == len(SEEDS) else (min(scores), max(scores))
    return f"{printed(metric, span.mean)} ({printed(metric, low)} to {printed(metric, high)})"


def sentences(runs: Sequence[Record]) -> str:
    """The comparison as Markdown: the paper's figure, our mean and its spread, the ratio, the sentence."""
    whole = len(runs) == len(SEEDS)
    rows = [
        (
            metric.name,
            printed(metric, found.paper),
            mean_and_span(found, runs, metric),
            f"{found.ratio:.2f}",
            found.text if whole else f"{len(runs)} of {len(SEEDS)} seeds: none yet",
        )
        for metric, found in against(runs).items()
    ]
    brackets = "95 % interval" if whole else "range"
    head = ("figure", "paper", f"ours, mean of {len(runs)} seeds ({brackets})", "ours / paper", "sentence")
    return markdown(head, rows, words=1)


def table(groups: Mapping[str, Sequence[Record]], fixed: Mapping[str, float] | None = None) -> str:
    """Table 1 as Markdown: the paper's rows, then a row for each of our groups of runs: their mean figures.

    Args:
        groups: by the name of the row; an empty group has none.
        fixed: thresholds fixed elsewhere, by metric; adds a row for each group at them.
    """
    rows = []
    for row in TABLE_1:
        name = f"**{row.group}** (the paper)" if row.group == "u-net" else row.group
        rows.append([name, *(printed(metric, getattr(row, metric.key)) for metric in ERRORS), "", ""])
    for name, runs in groups.items():
        if runs:
            rows.append([name, *(_mean_and_range(m, [figure(run, m) for run in runs]) for m in ISBI2012)])
        if runs and fixed:
            at = [[m.figure(run.scores.test.rotated.curves[m.key].row(fixed[m.key])) for run in runs] for m in ISBI2012]
            scores = (_mean_and_range(m, values) for m, values in zip(ISBI2012, at, strict=True))
            rows.append([f"{name}, fixed thresholds", *scores])
    return markdown(("", *(metric.name for metric in ISBI2012)), rows, words=1)


def by_run(runs: Sequence[Record], names: Sequence[str]) -> str:
    """Each run's own figures with and without rotations, as Markdown."""
    rows = []
    for run, name in zip(runs, names, strict=True):
        for view, how in (("rotated", "7 rotations"), ("straight", "none")):
            rows.append([name, how, *(printed(metric, figure(run, metric, view)) for metric in ISBI2012)])
    return markdown(("", "rotations", *(metric.name for metric in ISBI2012)), rows, words=2)


def _mean_and_range(metric: Metric, values: Sequence[float]) -> str:
    mean = printed(metric, sum(values) / len(values))
    if len(values) == 1:
        return mean
    return f"{mean} ({printed(metric, min(values))} to {printed(metric, max(values))})"
