"""Table 2 (Sec. 4): SEG of the cell sets, in the protocol's two views and in those of the first edition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from reprolib.evaluation.metric import METRICS
from reprolib.evaluation.paper import PAPER_SEG
from reprolib.evaluation.pooling import pool
from reprolib.evaluation.scores import Scores
from reprolib.experiment import Experiment
from reprolib.plan import catalogue, recipes
from reprolib.printing import markdown
from reprolib.runs import records
from reprolib.runs.records import Record

PAPER = {  # IOU, Table 2: group -> data set -> figure
    "IMCB-SG (2014)": {"phc-u373": "0.2669", "dic-hela": "0.2935"},
    "KTH-SE (2014)": {"phc-u373": "0.7953", "dic-hela": "0.4607"},
    "HOUS-US (2014)": {"phc-u373": "0.5323", "dic-hela": "-"},
    "second best 2015": {"phc-u373": "0.83", "dic-hela": "0.46"},
    "**u-net (2015)**": {data: f"{seg:.4f}" for data, seg in PAPER_SEG.items()},
}
OTHER_VIDEO = {1: 2, 2: 1}


# --- the protocol's two views ----------


def trial_scores(named: Mapping[str, Experiment]) -> dict[str, float]:
    """SEG of those trials on the inner split that are recorded, at argmax, by name."""
    found = {name: records.available([experiment]) for name, experiment in named.items()}
    return {name: at_half(runs[0].scores) for name, runs in found.items() if runs}


def trials_table(data: str) -> str:
    """The trials on the inner split as Markdown: the candidates, the chosen one in bold, then those for the reader."""
    rows = []
    for named, role in ((recipes.cells_trials(data), "candidate"), (recipes.cells_shown(data), "for the reader")):
        for name, experiment in named.items():
            for run in records.available([experiment]):
                scores, chosen = run.scores, role == "candidate" and name == recipes.CHOSEN[data]
                seg = f"{at_half(scores):.3f}"
                rows.append(
                    (
                        name,
                        role,
                        f"**{seg}**" if chosen else seg,
                        f"{scores.held_out['seg'].score:.3f}",
                        f"{max(one.seg for one in scores.watershed):.3f}",
                        f"{scores.training['seg'].score:.3f}",
                    )
                )
    head = ("trial", "role", "SEG", "best threshold", "best watershed", "training frames, best threshold")
    return markdown(head, rows, words=2)


def watershed_levels(data: str) -> tuple[float, float]:
    """The watershed's levels (seeds, foreground): the best of the chosen trial on the inner split."""
    (run,) = records.obtained([recipes.cells_trials(data)[recipes.CHOSEN[data]]])
    best = max(run.scores.watershed, key=lambda one: one.seg)
    return best.seed, best.threshold


def at_half(scores: Scores, metric: str = "seg") -> float:
    """A held-out score at argmax, that is at the threshold 0.5."""
    return METRICS[metric].figure(scores.held_out[metric].row(0.5))


def at_levels(scores: Scores, levels: tuple[float, float]) -> float:
    """SEG of the watershed at its levels."""
    return next(one.seg for one in scores.watershed if (one.seed, one.threshold) == levels)


def views(data: str) -> dict[str, list[list[Record]]]:
    """The recorded runs of both views: per held-out third, or video, one of each seed that is recorded for all of them.

    A view of which no seed is complete has those runs that are there.
    """
    found = {}
    for view, split, parts in (("thirds", "thirds", recipes.THIRDS), ("across", "fold", recipes.VIDEOS)):
        seeds = [
            [records.available([recipes.cells(data, split, part, seed)]) for part in parts] for seed in recipes.SEEDS
        ]
        seeds = [runs for runs in seeds if all(runs)] or seeds
        found[view] = [[run for runs in part for run in runs] for part in zip(*seeds, strict=True)]
    return found


def mean_seg(groups: Sequence[Sequence[Record]], levels: tuple[float, float] | None = None) -> float:
    """Mean over the held-out parts of the mean over their seeds: SEG at argmax, or of the watershed at ``levels``."""

    def seg(run: Record) -> float:
        return at_levels(run.scores, levels) if levels else at_half(run.scores)

    return float(np.mean([np.mean([seg(run) for run in runs]) for runs in groups]))


def views_table(data: str) -> str:
    """Both views as Markdown: a row for each held-out part, the mean over its seeds and their range; then the mean."""
    levels, rows = watershed_levels(data), []
    names = {
        "thirds": [f"{which} third of both videos" for which in ("first", "second", "last")],
        "across": [f"video 0{video}, trained on 0{OTHER_VIDEO[video]}" for video in recipes.VIDEOS],
    }
    means = {"thirds": "**mean, thirds**", "across": "**mean, across videos**"}
    for view, groups in views(data).items():
        shown = [(name, [runs]) for name, runs in zip(names[view], groups, strict=True) if runs]
        if all(groups):
            shown.append((means[view], groups))
        rows += [_view_row(name, [[run.scores for run in runs] for runs in chosen], levels) for name, chosen in shown]
    head = ("held out", "frames", "gold cells", "SEG", "best threshold", "watershed (ours)", "foreground IoU")
    return markdown(head, rows)


def _view_row(name: str, scores: Sequence[Sequence[Scores]], levels: tuple[float, float]) -> tuple[str, ...]:
    """A row of `views_table` for some held-out parts, each with the scores of its seeds."""
    first = [seeds[0] for seeds in scores]
    return (
        name,
        str(sum(len(one.images) for one in first)),
        str(sum(len(one.cells) for one in first)),
        _mean_and_range(scores, at_half),
        _mean_and_range(scores, lambda one: one.held_out["seg"].score),
        _mean_and_range(scores, lambda one: at_levels(one, levels)),
        _mean_and_range(scores, lambda one: at_half(one, "foreground_iou")),
    )


def _mean_and_range(scores: Sequence[Sequence[Scores]], figure: Callable[[Scores], float]) -> str:
    """The mean over the parts, and the range of the seeds' means where there are several seeds of each part."""
    by_part = [[figure(one) for one in seeds] for seeds in scores]
    mean = f"{np.mean([np.mean(values) for values in by_part]):.3f}"
    counts = {len(values) for values in by_part}
    if counts == {1} or len(counts) > 1:
        return mean
    each = [np.mean(values) for values in zip(*by_part, strict=True)]
    return f"{mean} ({min(each):.3f} to {max(each):.3f})"


def ranked_frames(runs: Sequence[Record]) -> list[tuple[float, str, Record]]:
    """The held-out frames of some runs from the lowest SEG at argmax to the highest: SEG, name, run."""
    ranked = []
    for run in runs:
        frames: dict[str, list[float]] = {}
        for cell in run.scores.cells:
            frames.setdefault(cell.image, []).append(cell.iou)
        ranked += [(float(np.mean(ious)), name, run) for name, ious in frames.items()]
    return sorted(ranked, key=lambda one: one[:2])


def losses(groups: Sequence[Sequence[Record]]) -> str:
    """What became of the gold cells at argmax, as Markdown: found (IoU above 0.5), poorly, merged, split, missed."""
    rows = []
    for runs in groups:
        for run in runs:
            fates = Counter(cell.lost or ("found" if cell.iou > 0.5 else "poorly") for cell in run.scores.cells)
            part = "third" if run.experiment.split == "thirds" else "video"
            seed = f", seed {run.experiment.seed}" if len(runs) > 1 else ""
            counts = (str(fates[name]) for name in ("found", "poorly", "merged", "split", "missed"))
            rows.append((f"{part} {run.experiment.fold}{seed}", *counts))
    return markdown(("held out", "found", "IoU up to 0.5", "merged", "split", "missed"), rows)


# --- the first edition's views ----------


def trials(data: str) -> str:
    """The trials that a recipe was chosen from, as Markdown: SEG on the inner split of each video; chosen in bold."""
    rows = []
    for name in catalogue.cell_trials(data, catalogue.VIDEOS[0]):
        row = [name]
        for fold in catalogue.VIDEOS:
            (run,) = records.obtained([catalogue.cell_trials(data, fold)[name]])
            fixed, best = (run.scores.figure("seg", oracle) for oracle in (False, True))
            shown = f"{fixed:.3f} ({best:.3f})"
            row.append(f"**{shown}**" if catalogue.CHOSEN[data, fold] == name else shown)
        rows.append(row)
    inner = (f"video 0{OTHER_VIDEO[fold]} alone, its last third scored" for fold in catalogue.VIDEOS)
    return markdown(("trial", *inner), rows)


def scores_table(runs: Sequence[Record], more: Mapping[str, Sequence[Record]]) -> str:
    """Our half of Table 2 as Markdown: a row for each network, one for their mean, and more groups of runs by name."""
    groups = {
        f"trained on 0{OTHER_VIDEO[run.experiment.fold]}, scored on 0{run.experiment.fold}": [run] for run in runs
    }
    groups |= {"**mean of the two videos**": runs, **more}
    rows = [_scores_row(name, [run.scores for run in group]) for name, group in groups.items() if group]
    head = ("", "frames", "gold cells", "SEG", "SEG, all cells pooled", "SEG, oracle threshold", "foreground IoU")
    return markdown(head, rows)


def _scores_row(name: str, scores: Sequence[Scores]) -> tuple[str, ...]:
    cells = [int(one.held_out["seg"].rows[0]["cells"]) for one in scores]
    values = (
        pool(scores)["seg"].at_training_threshold,
        np.average([one.in_training_row("seg")["seg_pooled"] for one in scores], weights=cells),
        np.mean([one.held_out["seg"].score for one in scores]),
        foreground_iou(scores),
    )
    return (name, str(sum(len(one.images) for one in scores)), str(sum(cells)), *(f"{value:.3f}" for value in values))


def foreground_iou(scores: Sequence[Scores]) -> float:
    """The foreground IoU of the very masks that SEG is of, at SEG's training threshold; the mean over the runs."""
    return float(np.mean([one.in_training_row("seg")["foreground_iou"] for one in scores]))
