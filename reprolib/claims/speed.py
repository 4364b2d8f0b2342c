"""The claims about time (Sec. 1, 3, 4): of the stored benchmarks, and of a recorded training."""

from __future__ import annotations

import json

from reprolib.claims.claim import ARGUED, Claim, Verdict, not_run_yet
from reprolib.evaluation.metric import WARPING_ERROR
from reprolib.files import PROJECT
from reprolib.plan import catalogue
from reprolib.runs import records

MEASURED = PROJECT / "benchmarks" / "measured.json"  # written by python -m benchmarks --write


def measured(part: str) -> dict | None:
    """The stored figures of one benchmark by its name, with the machine they hold for; None if it was not run."""
    return json.loads(MEASURED.read_text(encoding="utf-8")).get(part) if MEASURED.exists() else None


def claims() -> list[Claim]:
    """In the order of the chapters."""
    return [*prediction(), training()]


def prediction() -> list[Claim]:
    """Sec. 4: 512 x 512 px in less than a second; Sec. 1: the sliding window is slow."""
    second = ("seconds", "A 512 x 512 image takes less than a second on a GPU of 2015", "below 1 s")
    slow = ("window, slow", "The sliding window repeats work: it is slow", ARGUED)
    found = measured("prediction")
    if found is None:
        return [not_run_yet(*head, "10_ancestors") for head in (second, slow)]
    seconds, on = found["seconds"], f"{found['machine']['processor']}, {found['machine']['threads']} threads"
    net, fast = seconds["U-Net, width 64"], seconds["U-Net, width 64, bfloat16"]
    windows, dense = (seconds[f"sliding window, {form}"] for form in ("window by window", "fully convolutional"))
    return [
        Claim(
            *second,
            (f"{net:.1f} s", f"{fast:.1f} s in bfloat16"),
            f"the paper's network (31 million weights), {on}; another kind of processor, ten years later: no GPU "
            "was measured",
            Verdict.NOT_COMPARABLE,
            "10_ancestors",
        ),
        Claim(
            *slow,
            (
                f"{windows:.0f} s for a 512 x 512 image window by window, {dense:.1f} s fully convolutional, "
                f"U-Net {net:.1f} s",
            ),
            f"float32, {on}, U-Net at the paper's width 64; reproduced if window by window takes 10 times the U-Net's",
            Verdict.REPRODUCED if windows > 10 * net else Verdict.NOT_REPRODUCED,
            "10_ancestors",
        ),
    ]


def training() -> Claim:
    """Sec. 3: ten hours of training; the paper's width where it was run, else ours."""
    head = ("hours", "Training takes 10 hours on a Titan GPU", "10 h")
    runs = records.available([catalogue.full_width(), catalogue.em(5)])
    if not runs:
        return not_run_yet(*head, "11_ablations")
    run, where = runs[0], runs[0].environment
    error = WARPING_ERROR.print(run.scores.figure(WARPING_ERROR.key, True))
    return Claim(
        *head,
        (
            f"{run.training_seconds / 3600:.1f} h for {len(run.loss)} steps at width {run.experiment.width}",
            f"warping error {error}",
        ),
        f"EM fold 5, tile {run.experiment.tile}, oracle threshold, {where.processor}, {where.threads} thread, "
        f"{where.number_format}; the paper does not say how many steps its hours were",
        Verdict.NOT_COMPARABLE,
        "11_ablations",
    )
