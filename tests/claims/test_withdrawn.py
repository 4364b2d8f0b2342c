"""Withdrawn verdicts: nothing that rests on networks which were not done counts; a primary claim takes its place."""

from __future__ import annotations

import dataclasses

import pytest

from reprolib.claims import listing, primary, results, verdict, withdrawn
from reprolib.claims.claim import BAD, GOOD, Claim, Verdict
from reprolib.plan.purposes import purposes
from reprolib.plan.recipes import primary_claims

ROW = Claim("dropout", "Dropout helps", "argued", ("worse",), "how", Verdict.NOT_REPRODUCED, "11_ablations")


def judged(gains: list[float], planned: int = 1) -> dict[str, verdict.Judgement]:
    return verdict.verdicts({"Dropout helps": verdict.paired(gains, 0.01)}, planned=planned)


def test_each_row_of_the_first_editions_comparisons_is_withdrawn_or_decided_by_a_primary_claim():
    rows = [*results.ancestors(), *results.ablations(), results.few_images()]
    assert {row.key for row in rows} == set(withdrawn.DECIDED_BY)
    names = [claim.claim for claim in primary_claims()]
    assert sorted(name for name in withdrawn.DECIDED_BY.values() if name) == sorted(names)


def test_no_verdict_rests_on_runs_of_the_first_edition_that_were_not_done(monkeypatch):
    monkeypatch.setattr(primary, "published_verdicts", dict)
    counted = {row.key for row in listing.claims() if row.verdict in (*GOOD, *BAD, Verdict.PARTLY)}
    assert not counted & set(withdrawn.DECIDED_BY)
    row = withdrawn.current(ROW, {})
    assert row.verdict is Verdict.NOT_DECIDED and "withdrawn" in row.ours[0]
    assert '"not reproduced"' in row.protocol and "not all recorded" in row.protocol


@pytest.mark.parametrize(
    ("gains", "word"),
    [
        ([0.30, 0.28, 0.31, 0.29, 0.30], Verdict.REPRODUCED),
        ([-0.30, -0.28, -0.31, -0.29, -0.30], Verdict.CONTRADICTED),
        ([0.001, -0.002, 0.001, 0.0, 0.002], Verdict.NO_EFFECT),
        ([0.3, -0.2, 0.1, -0.3, 0.2], Verdict.INCONCLUSIVE),
    ],
)
def test_a_published_primary_claim_takes_the_place_of_the_row(gains, word):
    row = withdrawn.current(ROW, judged(gains))
    assert row.verdict is word and row.claim == ROW.claim and row.paper == ROW.paper
    assert row.ours[0].startswith("V_Rand, gain ") and "5 choices" in row.ours[0]
    assert "2 EM slices" in row.protocol and "within ±0.01;" in row.protocol


def test_a_row_without_runs_and_a_row_of_another_kind_stay_as_they_are():
    for row in (dataclasses.replace(ROW, verdict=Verdict.NOT_RUN_YET), dataclasses.replace(ROW, key="layers")):
        assert withdrawn.current(row, {}) is row


def test_pages_show_a_primary_claim_when_its_purposes_are_published(monkeypatch):
    seen = []
    monkeypatch.setattr(primary, "verdicts", lambda claims: seen.append([claim.claim for claim in claims]) or {})
    for name in ("augmentation and dropout, EM, 2 slices", "weight map, HeLa", "none"):
        plan = [dataclasses.replace(one, published=one.name == name) for one in purposes()]
        monkeypatch.setattr(primary, "purposes", lambda plan=plan: plan)
        primary.published_verdicts()
    names = [claim.claim for claim in primary_claims()]
    assert seen == [names[:3], ["The weight map separates touching cells"], []]
