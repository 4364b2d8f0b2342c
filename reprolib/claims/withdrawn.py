"""Verdicts of the first edition that rested on networks which were not done: withdrawn, until the protocol decides.

The first edition compared networks after some hundred to some thousand steps. They had not fitted their own training
images, so what regularises, or pays off late, could not show. Chapters 10 to 12 still show these runs. Their verdicts
no longer count: a primary claim of the protocol takes the place of a row once its runs are published.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from reprolib.claims import verdict
from reprolib.claims.claim import Claim, Verdict
from reprolib.evaluation.metric import METRICS
from reprolib.plan.recipes import Primary, primary_claims

# Key of the first edition's row: the primary claim that takes its place; None: no planned run decides it.
DECIDED_BY = {
    "window, warping_error": "Ahead of the sliding window",
    "window, rand_error": None,
    "window, pixel_error": None,
    "trade-off": None,
    "fcn": None,
    "augmentation": "Augmentation is essential with few images",
    "elastic": "Elastic deformation is the key concept of it",
    "dropout": "Dropout helps",
    "skips": "Skip connections localise",
    "weight map, em": "The weight map helps, on EM",
    "initialisation": "The initialisation matters",
    "weight map, hela": "The weight map separates touching cells",
    "border term": None,
    "border alone": None,
    "few images": None,
}


def current(row: Claim, judged: Mapping[str, verdict.Judgement]) -> Claim:
    """What counts now in place of a row of the first edition; a row that is not in ``DECIDED_BY`` counts as it is.

    Args:
        judged: `primary.published_verdicts`.
    """
    if row.key not in DECIDED_BY or row.verdict is Verdict.NOT_RUN_YET:
        return row
    name = DECIDED_BY[row.key]
    judgement = judged.get(name)
    if judgement:
        return decided(row, next(claim for claim in primary_claims() if claim.claim == name), judgement)
    waits = "its runs are not all recorded yet" if name else "no run of the protocol decides it"
    return dataclasses.replace(
        row,
        ours=("first edition's verdict withdrawn: networks not done",),
        protocol=f'the first edition said "{row.verdict}" of networks that were not trained until more steps change '
        f"nothing; the chapter shows these runs; {waits}",
        verdict=Verdict.NOT_DECIDED,
    )


def decided(row: Claim, claim: Primary, judgement: verdict.Judgement) -> Claim:
    """The row of a primary claim, by its verdict."""
    metric, one = METRICS[claim.metric], claim.having[0]
    if metric.key == "seg":
        trained = "a fifth of the frames of both HeLa videos"
        scored = "the other frames, argmax"
    else:
        trained = f"{one.images or 24} EM slices"
        scored = "the paper's own test slices, rows 66 to 511, best of ten thresholds, no rotations"
    delta = f"{claim.delta:.5f}".rstrip("0")
    return dataclasses.replace(
        row,
        ours=(f"{metric.name}, gain {verdict.sentence(judgement, metric.digits)}",),
        protocol=f"trained on {trained}, {len(claim.having)} choices of them, each with its own seed, width "
        f"{one.width}, {one.steps} steps; scored on {scored}; no effect if the 90 % interval lies within ±{delta}; "
        "reproduced or contradicted, by sign, if Holm's procedure over all primary claims rejects at 5 %; else "
        "inconclusive; not decided as long as primary claims that are to come may still make it reject",
        verdict=Verdict(judgement.verdict),
    )
