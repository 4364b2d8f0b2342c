"""The primary claims of the protocol: their paired scores from records, and the verdicts on all of them together."""

from __future__ import annotations

from collections.abc import Sequence

from reprolib.claims import table2, verdict
from reprolib.claims.orderings import Pairs
from reprolib.evaluation.metric import METRICS
from reprolib.plan.purposes import purposes
from reprolib.plan.recipes import Primary, primary_claims
from reprolib.printing import markdown
from reprolib.runs import records
from reprolib.runs.records import Record


def figure(record: Record, metric: str) -> float:
    """The score that a claim compares: SEG of the held-out frames at argmax; else of the test slices, not rotated."""
    if metric == "seg":
        return table2.at_half(record.scores)
    return record.scores.test.straight.curves[metric].score


def comparison(claim: Primary) -> verdict.Paired | None:
    """The claim's five paired gains, positive where the paper's way is better; None unless all runs are recorded."""
    having, lacking = (records.available(runs) for runs in (claim.having, claim.lacking))
    if len(having) < len(claim.having) or len(lacking) < len(claim.lacking):
        return None
    scores = (tuple(figure(run, claim.metric) for run in arm) for arm in (having, lacking))
    gains = Pairs(METRICS[claim.metric], *scores).gains
    return verdict.paired(gains, claim.delta, claim.overlap, claim.claim)


def verdicts(claims: Sequence[Primary] | None = None) -> dict[str, verdict.Judgement]:
    """The verdicts on those claims whose runs are all recorded; Holm's procedure counts all that are planned.

    Args:
        claims: those that are looked at; None: all.
    """
    planned = primary_claims()
    comparisons = {one.claim: paired for one in (planned if claims is None else claims) if (paired := comparison(one))}
    return verdict.verdicts(comparisons, planned=len(planned))


def published_verdicts() -> dict[str, verdict.Judgement]:
    """The verdicts on those claims whose runs all belong to published purposes: what pages and the README may show."""
    published = {run for purpose in purposes() if purpose.published for run in purpose.runs}
    return verdicts([claim for claim in primary_claims() if published >= {*claim.having, *claim.lacking}])


def published_table(names: Sequence[str]) -> str:
    """Those of the named claims that are published, as Markdown: metric, the gain with its interval, the verdict."""
    judged, rows = published_verdicts(), []
    for claim in primary_claims():
        if claim.claim in names and claim.claim in judged:
            metric, judgement = METRICS[claim.metric], judged[claim.claim]
            texts = (write(judgement, metric.digits) for write in (verdict.sentence, verdict.label))
            rows.append((claim.claim, metric.name, *texts))
    return markdown(("claim", "metric", "gain", "verdict"), rows, words=4)


def table() -> str:
    """All primary claims as Markdown: metric, runs recorded, the gain with its interval, the verdict."""
    judged, rows = verdicts(), []
    for claim in primary_claims():
        runs = dict.fromkeys((*claim.having, *claim.lacking))
        metric, judgement = METRICS[claim.metric], judged.get(claim.claim)
        rows.append(
            (
                claim.claim,
                metric.name,
                f"{len(records.available(runs))} of {len(runs)}",
                verdict.sentence(judgement, metric.digits) if judgement else "",
                verdict.label(judgement, metric.digits) if judgement else "not run yet",
            )
        )
    return markdown(("claim", "metric", "runs recorded", "gain", "verdict"), rows, words=5)
