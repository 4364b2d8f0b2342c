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
