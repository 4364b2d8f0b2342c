"""What the arms of a comparison score, choice by choice of the training images, and how far apart they are."""

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


def intervals(axis: Axes, gains: Mapping[str, Sequence[float]], ends: Mapping[str, tuple[float, float]]) -> None:
    """A line for each comparison, the first on top: its gains, their mean and an interval of the mean.

    A band covers gains from -1 to 1, which do not matter. The axis is linear up to 2, logarithmic beyond.

    Args:
        gains: by comparison, one per choice of training images, in units of the smallest effect that matters.
        ends: by comparison, of the interval, in the same unit.
    """
    axis.axvspan(-1, 1, color="0.92", zorder=0)
    axis.axvline(0, color="black", linewidth=0.8)
    names = list(gains)[::-1]
    for place, name in enumerate(names):
        axis.plot(gains[name], [place - 0.2] * len(gains[name]), "o", color=OKABE_ITO["sky blue"], markersize=4)
        axis.plot(ends[name], [place, place], color=OKABE_ITO["blue"], linewidth=2)
        axis.plot(sum(gains[name]) / len(gains[name]), place, "D", color=OKABE_ITO["vermillion"], markersize=6)
    axis.set_xscale("symlog", linthresh=2, linscale=1)
    axis.set_xticks([-10, -2, -1, 0, 1, 2, 10], labels=["−10", "−2", "−1", "0", "1", "2", "10"])
    axis.set_yticks(range(len(names)), names)
    axis.set(xlabel="gain / smallest effect that matters", ylim=(-0.6, len(names) - 0.4))
