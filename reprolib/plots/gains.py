"""What the arms of a comparison score, choice by choice of the training images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from reprolib.evaluation.metric import Metric
from reprolib.plots.figures import OKABE_ITO

MARKERS = "osv^D"


def arms(axis: Axes, scores: Mapping[str, Sequence[float]], metric: Metric) -> None:
    """A marker for each choice in each arm, the choices joined by lines; a bar at the mean of an arm."""
    places = range(len(scores))
    for choice, values in enumerate(zip(*scores.values(), strict=True)):
        axis.plot(places, values, color="0.8", linewidth=0.8, zorder=1)
        marker = MARKERS[choice % len(MARKERS)]
        axis.plot(places, values, marker, color=OKABE_ITO["blue"], markersize=4, label=f"choice {choice + 1}")
    for place, values in zip(places, scores.values(), strict=True):
        mean = sum(values) / len(values)
        axis.plot([place - 0.25, place + 0.25], [mean, mean], color=OKABE_ITO["vermillion"], linewidth=2, zorder=3)
    axis.set_xticks(places, list(scores))
    axis.set(ylabel=metric.name, xlim=(-0.5, len(scores) - 0.5))
