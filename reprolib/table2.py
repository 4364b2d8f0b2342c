"""Table 2 and Fig. 4 (Sec. 4): what the two chapters about cells have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from reprolib import catalogue, challenge, compare, ctc, evaluate, export, figures, recipes, train
from reprolib.compare import markdown
from reprolib.experiment import Experiment

PAPER = {  # IOU, Table 2: group -> data set -> figure
    "IMCB-SG (2014)": {"phc-u373": "0.2669", "dic-hela": "0.2935"},
    "KTH-SE (2014)": {"phc-u373": "0.7953", "dic-hela": "0.4607"},
    "HOUS-US (2014)": {"phc-u373": "0.5323", "dic-hela": "-"},
    "second best 2015": {"phc-u373": "0.83", "dic-hela": "0.46"},
    "**u-net (2015)**": {data: f"{seg:.4f}" for data, seg in challenge.PAPER_SEG.items()},
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


# --- the protocol's two views ----------


def trial_scores(named: Mapping[str, Experiment]) -> dict[str, float]:
    """SEG of those trials on the inner split that are recorded, at argmax, by name."""
    found = {name: compare.available([run]) for name, run in named.items()}
    return {name: at_half(runs[0]["scores"]) for name, runs in found.items() if runs}


def trials_table(data: str) -> str:
    """The trials on the inner split as Markdown: the candidates, the chosen one in bold, then those for the reader."""
    rows = []
    for named, role in ((recipes.cells_trials(data), "candidate"), (recipes.cells_shown(data), "for the reader")):
        for name, experiment in named.items():
            for run in compare.available([experiment]):
                scores = run["scores"]
                shown = f"{at_half(scores):.3f}"
                rows.append(
                    (
                        name,
                        role,
                        f"**{shown}**" if role == "candidate" and name == recipes.CHOSEN[data] else shown,
                        f"{scores['held_out']['seg']['score']:.3f}",
                        f"{max(row['seg'] for row in scores['watershed']):.3f}",
                        f"{scores['training']['seg']['score']:.3f}",
                    )
                )
    head = ("trial", "role", "SEG", "best threshold", "best watershed", "training frames, best threshold")
    return markdown(head, rows, words=2)


def watershed_levels(data: str) -> tuple[float, float]:
    """The watershed's levels (seeds, foreground): the best of the chosen trial on the inner split."""
    (run,) = compare.obtained([recipes.cells_trials(data)[recipes.CHOSEN[data]]])
    best = max(run["scores"]["watershed"], key=lambda row: row["seg"])
    return best["seed"], best["threshold"]


def at_half(scores: dict, metric: str = "seg") -> float:
    """A held-out score at argmax, that is at the threshold 0.5."""
    return evaluate.figure_at(scores["held_out"][metric], metric, 0.5)


def at_levels(scores: dict, levels: tuple[float, float]) -> float:
    """SEG of the watershed at its levels."""
    return next(row["seg"] for row in scores["watershed"] if (row["seed"], row["threshold"]) == levels)


def views(data: str) -> dict[str, list[list[dict]]]:
    """The recorded runs of both views: per held-out third, or video, one of each seed that is recorded for all of them.

    A view of which no seed is complete has those runs that are there.
    """
    found = {}
    for view, split, parts in (("thirds", "thirds", recipes.THIRDS), ("across", "fold", recipes.VIDEOS)):
        seeds = [
            [compare.available([recipes.cells(data, split, part, seed)]) for part in parts] for seed in recipes.SEEDS
        ]
        seeds = [runs for runs in seeds if all(runs)] or seeds
        found[view] = [[run for runs in part for run in runs] for part in zip(*seeds, strict=True)]
    return found


def mean_seg(groups: Sequence[Sequence[dict]], levels: tuple[float, float] | None = None) -> float:
    """Mean over the held-out parts of the mean over their seeds: SEG at argmax, or of the watershed at ``levels``."""
    figure = (lambda run: at_levels(run["scores"], levels)) if levels else (lambda run: at_half(run["scores"]))
    return float(np.mean([np.mean([figure(run) for run in runs]) for runs in groups]))


def views_table(data: str) -> str:
    """Both views as Markdown: a row for each held-out part, the mean over its seeds and their range; then the mean."""
    levels, rows = watershed_levels(data), []
    names = {
        "thirds": [f"{which} third of both videos" for which in ("first", "second", "last")],
        "across": [f"video 0{video}, trained on 0{3 - video}" for video in recipes.VIDEOS],
    }
    for view, groups in views(data).items():
        parts = [(name, runs) for name, runs in zip(names[view], groups, strict=True) if runs]
        for name, runs in [*parts, ("", [])]:
            if not name and len(parts) == len(groups):
                name, chosen = f"**mean, {view}**" if view == "thirds" else "**mean, across videos**", groups
            elif name:
                chosen = [runs]
            else:
                continue
            scores = [[run["scores"] for run in group] for group in chosen]
            first = [group[0] for group in scores]
            rows.append(
                (
                    name,
                    str(sum(len(one["images"]) for one in first)),
                    str(sum(len(one["cells"]) for one in first)),
                    _range(scores, at_half),
                    _range(scores, lambda one: one["held_out"]["seg"]["score"]),
                    _range(scores, lambda one: at_levels(one, levels)),
                    _range(scores, lambda one: at_half(one, "foreground_iou")),
                )
            )
    head = ("held out", "frames", "gold cells", "SEG", "best threshold", "watershed (ours)", "foreground IoU")
    return markdown(head, rows)


def _range(scores: Sequence[Sequence[dict]], figure) -> str:
    """The mean over the parts, and the range of the seeds' means where there are several seeds of each part."""
    by_part = [[figure(one) for one in group] for group in scores]
    mean = f"{np.mean([np.mean(values) for values in by_part]):.3f}"
    seeds = {len(values) for values in by_part}
    if seeds == {1} or len(seeds) > 1:
        return mean
    each = [np.mean(values) for values in zip(*by_part, strict=True)]
    return f"{mean} ({min(each):.3f} to {max(each):.3f})"


def ranked_frames(runs: Sequence[dict]) -> list[tuple[float, str, dict]]:
    """The held-out frames of some runs from the lowest SEG at argmax to the highest: SEG, name, run."""
    found = []
    for run in runs:
        frames: dict[str, list[float]] = {}
        for cell in run["scores"]["cells"]:
            frames.setdefault(cell["image"], []).append(cell["iou"])
        found += [(float(np.mean(ious)), name, run) for name, ious in frames.items()]
    return sorted(found, key=lambda one: one[:2])


def losses(groups: Sequence[Sequence[dict]]) -> str:
    """What became of the gold cells at argmax, as Markdown: found (IoU above 0.5), poorly, merged, split, missed."""
    rows = []
    for runs in groups:
        for run in runs:
            cells, experiment = run["scores"]["cells"], run["experiment"]
            lost = Counter(cell.get("lost", "found" if cell["iou"] > 0.5 else "poorly") for cell in cells)
            seed = f", seed {experiment['seed']}" if len(runs) > 1 else ""
            where = f"{'third' if experiment['split'] == 'thirds' else 'video'} {experiment['fold']}{seed}"
            rows.append((where, *(str(lost[name]) for name in ("found", "poorly", "merged", "split", "missed"))))
    return markdown(("held out", "found", "IoU up to 0.5", "merged", "split", "missed"), rows)
