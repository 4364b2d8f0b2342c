"""The arms of a comparison: a marker for each choice, a bar at each mean."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pytest

from reprolib.evaluation.metric import V_RAND
from reprolib.plots import gains


def test_each_choice_has_its_marker_in_each_arm_and_the_bar_is_the_mean():
    figure, axis = plt.subplots()
    gains.arms(axis, {"none": [0.5, 0.7], "full": [0.9, 0.8]}, V_RAND)
    markers = [line.get_ydata() for line in axis.lines if line.get_marker() not in ("None", None)]
    assert [tuple(values) for values in markers] == [(0.5, 0.9), (0.7, 0.8)]
    bars = [line for line in axis.lines if line.get_linewidth() == 2]
    assert [bar.get_ydata()[0] for bar in bars] == pytest.approx([0.6, 0.85])
    assert [text.get_text() for text in axis.get_xticklabels()] == ["none", "full"]
    plt.close(figure)


def test_each_comparison_has_its_gains_their_mean_and_the_interval_the_first_on_top():
    figure, axis = plt.subplots()
    gains.intervals(axis, {"first": [2.0, 4.0, 6.0], "second": [-2.0, 1.0, 4.0]}, {"first": (3, 5), "second": (-1, 3)})
    assert [text.get_text() for text in axis.get_yticklabels()] == ["second", "first"]
    lines = {kind: [line for line in axis.lines if line.get_marker() == kind] for kind in "oD"}
    assert [(mean.get_xdata()[0], mean.get_ydata()[0]) for mean in lines["D"]] == [(1.0, 0), (4.0, 1)]
    assert [tuple(dots.get_xdata()) for dots in lines["o"]] == [(-2.0, 1.0, 4.0), (2.0, 4.0, 6.0)]
    ends = [tuple(line.get_xdata()) for line in axis.lines if line.get_linewidth() == 2]
    assert ends == [(-1, 3), (3, 5)]
    plt.close(figure)
