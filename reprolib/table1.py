"""Table 1 (Sec. 4) on the paper's own test slices: the paper's rows, ours, and the sentence that the protocol gives."""

from __future__ import annotations

from collections.abc import Sequence

from reprolib import challenge, compare, evaluate, recipes, verdict
from reprolib.compare import markdown, number

TABLE_1 = ("warping_error", "rand_error", "pixel_error")
FIVE = (*TABLE_1, "v_rand", "v_info")
SEEDS = recipes.TEST_SEEDS  # planned; the sentence is given when all are there
DIGITS = {"warping_error": 6, "rand_error": 4, "pixel_error": 4, "v_rand": 4, "v_info": 4}  # the paper's


def seeds(width: int = 32) -> list[dict]:
    """The recorded seeds of the headline recipe, in order."""
    return compare.available(recipes.em_test(seed, width) for seed in SEEDS)


def folds() -> list[dict]:
    """The recorded networks of width 16 that leave one fold out, in order."""
    return compare.available(recipes.em_fold(fold) for fold in recipes.CHOICES)


def figure(run: dict, metric: str, view: str = "rotated") -> float:
    """A run's score of the test slices at the challenge's threshold, the best of ten on these slices.

    view: "rotated" (the mean over 7 rotations, as the paper's) or "straight".
    """
    return run["scores"]["test"][view][metric]["score"]


def figure_at(run: dict, metric: str, threshold: float, view: str = "rotated") -> float:
    """The same at a threshold that was fixed elsewhere."""
    return evaluate.figure_at(run["scores"]["test"][view][metric], metric, threshold)


def fixed_thresholds(runs: Sequence[dict]) -> dict[str, float]:
    """Per metric the threshold that is best for the held-out training slices of all folds together, rotated."""
    pooled = evaluate.pool([run["scores"] for run in runs], rotated=True)
    return {metric: pooled[metric]["threshold"] for metric in FIVE}


def paper(metric: str) -> float:
    """The paper's own figure."""
    return getattr(next(row for row in challenge.TABLE_1 if row.group == "u-net"), metric)


def against(runs: Sequence[dict]) -> dict[str, verdict.AgainstPaper]:
    """Each figure of Table 1 against the paper's, by the protocol's rule; at least two seeds."""
    return {metric: verdict.against_paper([figure(run, metric) for run in runs], paper(metric)) for metric in TABLE_1}


def spread(found: verdict.AgainstPaper, runs: Sequence[dict], metric: str) -> str:
    """Our mean and, in brackets, its interval; before all seeds are recorded, their range: too few for an interval."""
    digits, span = DIGITS[metric], found.interval
    scores = [figure(run, metric) for run in runs]
    low, high = (span.low, span.high) if len(runs) == len(SEEDS) else (min(scores), max(scores))
    return f"{number(span.mean, digits)} ({number(low, digits)} to {number(high, digits)})"


def sentences(runs: Sequence[dict]) -> str:
    """The comparison as Markdown: the paper's figure, our mean and its spread, the ratio, the sentence."""
    rows = []
    for metric, found in against(runs).items():
        rows.append(
            (
                evaluate.NAMES[metric],
                f"{found.paper:.{DIGITS[metric]}f}",
                spread(found, runs, metric),
                f"{found.ratio:.2f}",
                found.text if len(runs) == len(SEEDS) else f"{len(runs)} of {len(SEEDS)} seeds: none yet",
            )
        )
    brackets = "95 % interval" if len(runs) == len(SEEDS) else "range"
    head = ("figure", "paper", f"ours, mean of {len(runs)} seeds ({brackets})", "ours / paper", "sentence")
    return markdown(head, rows, words=1)


def table(groups: dict[str, Sequence[dict]], fixed: dict[str, float] | None = None) -> str:
    """Table 1 as Markdown: the paper's rows, then a row for each of our groups of runs: their mean figures.

    Args:
        groups: by the name of the row; an empty group has none.
        fixed: thresholds fixed elsewhere; adds a row for each group at them.
    """
    rows = []
    for row in challenge.TABLE_1:
        name = f"**{row.group}** (the paper)" if row.group == "u-net" else row.group
        rows.append([name, *(f"{getattr(row, metric):.{DIGITS[metric]}f}" for metric in TABLE_1), "", ""])
    for name, runs in groups.items():
        if runs:
            rows.append([name, *(_mean([figure(run, m) for run in runs], DIGITS[m]) for m in FIVE)])
            if fixed:
                at = (_mean([figure_at(run, m, fixed[m]) for run in runs], DIGITS[m]) for m in FIVE)
                rows.append([f"{name}, fixed thresholds", *at])
    return markdown(("", *(evaluate.NAMES[metric] for metric in FIVE)), rows, words=1)


def by_run(runs: Sequence[dict], names: Sequence[str]) -> str:
    """Each run's own figures with and without rotations, as Markdown."""
    rows = []
    for run, name in zip(runs, names, strict=True):
        for view, how in (("rotated", "7 rotations"), ("straight", "none")):
            rows.append([name, how, *(f"{figure(run, metric, view):.{DIGITS[metric]}f}" for metric in FIVE)])
    return markdown(("", "rotations", *(evaluate.NAMES[metric] for metric in FIVE)), rows, words=2)


def _mean(values: Sequence[float], digits: int) -> str:
    mean = f"{sum(values) / len(values):.{digits}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ({min(values):.{digits}f} to {max(values):.{digits}f})"
