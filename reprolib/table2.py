"""Table 2 and Fig. 4 (Sec. 4): what the two chapters about cells have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from reprolib import catalogue, compare, ctc, evaluate, export, figures, train
from reprolib.compare import markdown
from reprolib.experiment import Experiment

PAPER = {  # IOU, Table 2: group -> data set -> figure
    "IMCB-SG (2014)": {"phc-u373": "0.2669", "dic-hela": "0.2935"},
    "KTH-SE (2014)": {"phc-u373": "0.7953", "dic-hela": "0.4607"},
    "HOUS-US (2014)": {"phc-u373": "0.5323", "dic-hela": "-"},
    "second best 2015": {"phc-u373": "0.83", "dic-hela": "0.46"},
    "**u-net (2015)**": {"phc-u373": "0.9203", "dic-hela": "0.7756"},
}


def trials(data: str) -> str:
    """The trials that a recipe was chosen from, as Markdown: SEG on the inner split of each video; chosen in bold."""
    rows = []
    for name in catalogue.cell_trials(data, catalogue.VIDEOS[0]):
        row = [name]
        for fold in catalogue.VIDEOS:
            (record,) = compare.obtained([catalogue.cell_trials(data, fold)[name]])
            fixed, best = (compare.figure(record, "seg", oracle) for oracle in (False, True))
            shown = f"{fixed:.3f} ({best:.3f})"
            row.append(f"**{shown}**" if catalogue.CHOSEN[data, fold] == name else shown)
        rows.append(row)
    inner = (f"video 0{3 - fold} alone, its last third scored" for fold in catalogue.VIDEOS)
    return markdown(("trial", *inner), rows)


def best_trial(data: str, fold: int) -> str:
    """The name of the trial that the rule chooses: highest SEG at the threshold of its training frames.

    Raises:
        LookupError: if a trial is not recorded.
    """
    named = catalogue.cell_trials(data, fold)
    found = compare.obtained(named.values())
    return max(zip(named, found, strict=True), key=lambda pair: compare.figure(pair[1], "seg", False))[0]


def scores(runs: Sequence[dict], more: Mapping[str, Sequence[dict]] | None = None) -> str:
    """Our half of Table 2 as Markdown: a row for each network, one for their mean, and more groups of runs by name."""

    def row(name: str, frames: int, cells: int, parts: Sequence[dict]) -> list[str]:
        pooled = evaluate.pool(parts)["seg"]["at_training_threshold"]
        oracle = np.mean([part["held_out"]["seg"]["score"] for part in parts])
        weights = [part["held_out"]["seg"]["rows"][0]["cells"] for part in parts]
        by_cell = np.average([_at_training(part)["seg_pooled"] for part in parts], weights=weights)
        return [
            name,
            str(frames),
            str(cells),
            *(f"{value:.3f}" for value in (pooled, by_cell, oracle, foreground_iou(parts))),
        ]

    def size(part: dict) -> tuple[int, int]:
        return len(part["images"]), part["held_out"]["seg"]["rows"][0]["cells"]

    rows = []
    for run in runs:
        fold = run["experiment"]["fold"]
        rows.append(row(f"trained on 0{3 - fold}, scored on 0{fold}", *size(run["scores"]), [run["scores"]]))
    for name, group in ({"**mean of the two videos**": runs} | dict(more or {})).items():
        if group:
            parts = [run["scores"] for run in group]
            frames, cells = (sum(numbers) for numbers in zip(*map(size, parts), strict=True))
            rows.append(row(name, frames, cells, parts))
    head = ("", "frames", "gold cells", "SEG", "SEG, all cells pooled", "SEG, oracle threshold", "foreground IoU")
    return markdown(head, rows)


def foreground_iou(parts: Sequence[dict]) -> float:
    """The foreground IoU of the very masks that SEG is of, at SEG's training threshold; the mean over the parts."""
    return float(np.mean([_at_training(part)["foreground_iou"] for part in parts]))


def _at_training(scores: dict) -> dict:
    """The row of SEG's table at the threshold that was fixed on the training frames."""
    wanted = scores["training"]["seg"]["threshold"]
    return next(row for row in scores["held_out"]["seg"]["rows"] if row["threshold"] == wanted)


def segment(run: dict, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(probability, instances) of frames (N, H, W) by a recorded network, at `export.cells_threshold`."""
    experiment = Experiment.from_dict(run["experiment"])
    probability = evaluate.predict_as_trained(experiment, train.network(run), images)
    smallest = evaluate.SMALLEST.get(experiment.data, 0)
    return probability, ctc.instances(probability, export.cells_threshold(run), smallest, experiment.connectivity)


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


def thresholds(axis: Axes, runs: Sequence[dict]) -> None:
    """SEG and foreground IoU of each run over the thresholds; the dots are at the threshold of the training frames."""
    for run, style, colour in zip(runs, ("-", "--"), ("blue", "vermillion"), strict=False):
        rows, video = run["scores"]["held_out"]["seg"]["rows"], f"video 0{run['experiment']['fold']}"
        x = [row["threshold"] for row in rows]
        for metric, width in (("seg", 1.8), ("foreground_iou", 0.9)):
            name = f"{evaluate.NAMES[metric]}, {video}"
            axis.plot(
                x, [row[metric] for row in rows], style, color=figures.OKABE_ITO[colour], linewidth=width, label=name
            )
        at = _at_training(run["scores"])
        axis.plot(at["threshold"], at["seg"], "o", color=figures.OKABE_ITO[colour])
    axis.set(xlabel="threshold on P(cell)", ylabel="score", ylim=(0, 1))
    axis.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, 1.32), ncols=2, columnspacing=0.8)
