"""The primary claims of the protocol: their paired scores from records, and the verdicts on all of them together."""

from __future__ import annotations

from reprolib import compare, table2, verdict
from reprolib.evaluate import DIGITS, NAMES
from reprolib.recipes import Primary, primary_claims


def figure(record: dict, metric: str) -> float:
    """The score that a claim compares: SEG of the held-out frames at argmax; else of the test slices, not rotated."""
    if metric == "seg":
        return table2.at_half(record["scores"])
    return record["scores"]["test"]["straight"][metric]["score"]


def comparison(claim: Primary) -> verdict.Paired | None:
    """The claim's five paired gains, positive where the paper's way is better; None unless all runs are recorded."""
    having, lacking = (compare.available(runs) for runs in (claim.having, claim.lacking))
    if len(having) < len(claim.having) or len(lacking) < len(claim.lacking):
        return None
    pairs = compare.Pairs(claim.metric, *(tuple(figure(run, claim.metric) for run in arm) for arm in (having, lacking)))
    return verdict.paired(pairs.gains, claim.delta, claim.overlap, claim.claim)


def verdicts() -> dict[str, verdict.Verdict]:
    """The verdicts on those claims whose runs are all recorded; Holm's procedure counts all that are planned."""
    claims = primary_claims()
    found = {claim.claim: paired for claim in claims if (paired := comparison(claim))}
    return verdict.verdicts(found, planned=len(claims))


def table() -> str:
    """All primary claims as Markdown: metric, runs recorded, the gain with its interval, the verdict."""
    known, rows = verdicts(), []
    for claim in primary_claims():
        runs = dict.fromkeys((*claim.having, *claim.lacking))
        recorded, digits = len(compare.available(runs)), DIGITS[claim.metric]
        found = known.get(claim.claim)
        rows.append(
            (
                claim.claim,
                NAMES[claim.metric],
                f"{recorded} of {len(runs)}",
                verdict.sentence(found, digits) if found else "",
                verdict.label(found, digits) if found else "not run yet",
            )
        )
    return compare.markdown(("claim", "metric", "runs recorded", "gain", "verdict"), rows, words=5)
