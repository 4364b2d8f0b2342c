"""The arms of a comparison beside each other: the scores of each choice of training images, and their table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from reprolib.claims import primary
from reprolib.evaluation.metric import ISBI2012, Metric
from reprolib.experiment import Experiment
from reprolib.printing import markdown
from reprolib.runs import records


def scores(arms: Mapping[str, Sequence[Experiment]], metric: Metric) -> dict[str, list[float]]:
    """By arm, the score of each choice as `primary.figure` has it: on EM of the paper's test slices.

    Raises:
        NotRecorded: if a run is not recorded.
    """
    return {name: [primary.figure(run, metric.key) for run in records.obtained(runs)] for name, runs in arms.items()}


def table(arms: Mapping[str, Sequence[Experiment]], fitted: Metric) -> str:
    """Arms on EM as Markdown: the mean over the choices and their range, on the test slices in all five scores.

    Args:
        fitted: the score of the training slices themselves that stands in the first column: were they learned?
    """
    rows = []
    for name, runs in arms.items():
        found = records.obtained(runs)
        seen = [run.scores.training[fitted.key].score for run in found]
        columns = [(fitted, seen)] + [(m, [primary.figure(run, m.key) for run in found]) for m in ISBI2012]
        rows.append(
            (
                name,
                *(
                    f"{m.print(np.mean(values))}<br>({m.print(min(values))} to {m.print(max(values))})"
                    for m, values in columns
                ),
            )
        )
    head = ("", f"{fitted.name}, training slices", *(metric.name for metric in ISBI2012))
    return markdown(head, rows, words=1)
