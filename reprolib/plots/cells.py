"""Fig. 4 (Sec. 4), and SEG over the thresholds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from reprolib.evaluation.metric import CELLS
from reprolib.plots import figures
from reprolib.runs.records import Record


def figure_4(axes: Sequence[Axes], image: np.ndarray, gold: np.ndarray, result: np.ndarray, title: str = "") -> None:
    """Fig. 4: the input; the result as a mask with the manual border in yellow; the instances in random colours.

    Args:
        axes: three.
        image: (H, W) grey values, shown reduced by 2.
        gold, result: (H, W) integer instance labels.
    """
    for axis, name in zip(axes, (title, "result, manual border", "instances"), strict=True):
        figures.grey(axis, image, name, reduce=2)
    figures.overlay(axes[1], result > 0, {1: figures.RESULT}, alpha=0.45)
    figures.outline(axes[1], gold, width=1.2)
    axes[2].imshow(figures.instance_colours(result), alpha=0.6, interpolation="nearest")


def thresholds(axis: Axes, runs: Sequence[Record]) -> None:
    """SEG and foreground IoU of each run over the thresholds; the dots are at the threshold of the training frames."""
    for run, style, colour in zip(runs, ("-", "--"), ("blue", "vermillion"), strict=False):
        rows, video = run.scores.held_out["seg"].rows, f"video 0{run.experiment.fold}"
        x = [row["threshold"] for row in rows]
        for metric, width in zip(CELLS, (1.8, 0.9), strict=True):
            name, y = f"{metric.name}, {video}", [row[metric.key] for row in rows]
            axis.plot(x, y, style, color=figures.OKABE_ITO[colour], linewidth=width, label=name)
        fixed = run.scores.in_training_row("seg")
        axis.plot(fixed["threshold"], fixed["seg"], "o", color=figures.OKABE_ITO[colour])
    axis.set(xlabel="threshold on P(cell)", ylabel="score", ylim=(0, 1))
    axis.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, 1.32), ncols=2, columnspacing=0.8)
