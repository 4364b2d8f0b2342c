"""Fig. 4 and SEG over the thresholds: the pictures show what they should."""

from __future__ import annotations

import invented
import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import LineCollection

from reprolib.evaluation.scores import AtThreshold, Scores
from reprolib.experiment import Experiment
from reprolib.plots import cells


def test_figure_4_shows_input_mask_with_border_and_instances():
    gold, result = np.zeros((2, 40, 40), np.int32)
    gold[4:20, 4:20], result[6:22, 6:22], result[30:36, 30:36] = 1, 1, 2
    figure, axes = plt.subplots(1, 3)
    cells.figure_4(axes, np.arange(1600.0).reshape(40, 40), gold, result, "input")
    assert [len(axis.images) for axis in axes] == [1, 2, 2]
    assert all(axis.images[0].get_array().shape == (20, 20) for axis in axes)  # real frames are shown reduced
    mask = axes[1].images[1].get_array()
    assert ((mask[..., 3] > 0) == (result > 0)).all()
    (border,) = (drawn for drawn in axes[1].collections if isinstance(drawn, LineCollection))
    path = border.get_paths()[0].vertices
    assert path.min() == 3.5 and path.max() == 19.5
    assert len(np.unique(axes[2].images[1].get_array().reshape(-1, 4), axis=0)) == 3
    plt.close(figure)


def test_a_curve_for_each_metric_and_run_has_its_dot_at_the_training_threshold():
    rows = [{"threshold": t, "seg": s, "foreground_iou": 0.9} for t, s in ((0.4, 0.3), (0.5, 0.7), (0.6, 0.6))]
    held_out = {metric: invented.curve(0.7, 0.5, rows) for metric in ("seg", "foreground_iou")}
    runs = [
        invented.record(Experiment(data="dic-hela", fold=fold), Scores({"seg": AtThreshold(1.0, fixed)}, held_out))
        for fold, fixed in ((2, 0.6), (1, 0.4))
    ]
    figure, axis = plt.subplots()
    cells.thresholds(axis, runs)
    dots = [line.get_xydata().tolist() for line in axis.lines if line.get_marker() == "o"]
    assert dots == [[[0.6, 0.6]], [[0.4, 0.3]]]
    names = [text.get_text() for text in axis.get_legend().get_texts()]
    assert names == ["SEG, video 02", "foreground IoU, video 02", "SEG, video 01", "foreground IoU, video 01"]
    plt.close(figure)
