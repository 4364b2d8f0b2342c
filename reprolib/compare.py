"""Orderings: is one kind of network better than another on the same images? Paired differences of recorded runs.

Absolute scores on other images than the paper's cannot confirm it or refute it. What can be tested is an ordering: two
networks that differ in one thing, trained and scored on the same images from the same seeds. The rule is fixed: better
in every pair is "reproduced", better on the average alone "partly", else "not reproduced".
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reprolib import records
from reprolib.experiment import Experiment


@dataclass(frozen=True)
class Pairs:
    """The figures of two kinds of network, pair by pair: the same images and seed in each pair.

    gains: by how much the first is better, whatever the direction of the metric.
    """

    metric: str
    first: tuple[float, ...]
    second: tuple[float, ...]

    @property
    def gains(self) -> tuple[float, ...]:
        sign = -1 if self.metric.endswith("_error") else 1
        return tuple(sign * (a - b) for a, b in zip(self.first, self.second, strict=True))

    @property
    def wins(self) -> int:
        return sum(gain > 0 for gain in self.gains)

    @property
    def verdict(self) -> str:
        """By the rule at the head of this file."""
        if self.wins == len(self.gains):
            return "reproduced"
        return "partly" if statistics.fmean(self.gains) > 0 else "not reproduced"


def obtained(experiments: Iterable[Experiment]) -> list[dict]:
    """The published records of experiments, in their order.

    Raises:
        LookupError: if one is not recorded; names the first.
    """
    found = []
    for experiment in experiments:
        record = records.find(experiment, (records.PUBLISHED,))
        if record is None:
            raise LookupError(f"{records.record_name(experiment)} is not recorded: see reprolib plan")
        found.append(record)
    return found


def available(experiments: Iterable[Experiment]) -> list[dict]:
    """The published records of those experiments that have one, in their order."""
    found = (records.find(experiment, (records.PUBLISHED,)) for experiment in experiments)
    return [record for record in found if record]


def figure(record: dict, metric: str, oracle: bool) -> float:
    """One figure of a record's held-out images.

    Args:
        metric: a name in ``evaluate.NAMES``.
        oracle: at the threshold that is best on these images, as ISBI 2012 does; else at that of the training images.
    """
    scores = record["scores"]
    return scores["held_out"][metric]["score"] if oracle else scores["at_training_threshold"][metric]


def pairs(first: Iterable[Experiment], second: Iterable[Experiment], metric: str, oracle: bool) -> Pairs:
    """Two kinds of network over the same folds and seeds, in the same order.

    Raises:
        LookupError: if a run is not recorded.
        ValueError: if two that are to be paired differ in data, fold, split or seed.
    """
    first, second = list(first), list(second)
    for a, b in zip(first, second, strict=True):
        if (a.data, a.fold, a.split, a.seed) != (b.data, b.fold, b.split, b.seed):
            raise ValueError(f"{records.record_name(a)} and {records.record_name(b)} are no pair: other images or seed")
    found = [tuple(figure(record, metric, oracle) for record in obtained(kind)) for kind in (first, second)]
    return Pairs(metric, *found)


def number(value: float, digits: int, sign: str = "") -> str:
    """A number for print: a true minus, and none before a zero. ``sign`` as in a format: "+" shows the plus too."""
    text = f"{value:{sign}.{digits}f}"
    if float(text) == 0:
        text = f"{0:.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}")


def spread(values: Sequence[float], digits: int) -> str:
    """ "mean ± standard deviation", the latter of a sample; one value alone stands by itself."""
    if len(values) == 1:
        return number(values[0], digits)
    return f"{number(statistics.fmean(values), digits)} ± {number(statistics.stdev(values), digits)}"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """A table in Markdown; the first ``words`` columns are text, the others numbers, set to the right."""
    lines = [head, ["---"] * words + ["--:"] * (len(head) - words), *rows]
    text = "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
    return text.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")


def setting(name: str, value: object) -> str:
    """A field of an experiment as one says it: "fold 2", "all images", "no rotate"."""
    if name == "images" and value == 0:
        return "all images"
    if isinstance(value, bool):
        return name if value else f"no {name}"
    return f"{value} images" if name == "images" else f"{name} {value}"


def runs_table(runs: Iterable[dict]) -> str:
    """The records behind a page's numbers, as Markdown: file, what differs between them, time, memory, weights' hash.

    The machine stands below the table where it is the same for all, else in a column.
    """
    runs = list(runs)
    fields = runs[0]["experiment"] if runs else {}
    names = [name for name in fields if len({str(run["experiment"][name]) for run in runs}) > 1]
    machines = []
    for run in runs:
        where = run["environment"]
        threads = f"{where['threads']} thread{'s' * (where['threads'] > 1)}"
        torch = f"torch {where['libraries']['torch']}"
        machines.append(f"{where['processor']}, {threads}, {where['number_format']}, {torch}")
    alone = len(set(machines)) == 1
    head = ["record in `runs/`", "differs in", "training", "memory", "weights, SHA-256"] + ["on"] * (not alone)
    rows = []
    for run, machine in zip(runs, machines, strict=True):
        row = [
            f"`{run['path'].name}`",
            ", ".join(setting(name, run["experiment"][name]) for name in names) or "-",
            f"{run['training_seconds'] / 60:.1f}\N{NO-BREAK SPACE}min",
            f"{run['peak_memory_bytes'] / 2**30:.1f}\N{NO-BREAK SPACE}GiB",
            f"`{run['weights']['sha256'][:12]}`",
        ]
        rows.append(row + [machine] * (not alone))
    below = f"\n\nAll on {machines[0]}." if alone else ""
    return markdown(head, rows, words=len(head)) + below
