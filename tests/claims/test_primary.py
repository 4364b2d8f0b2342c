"""Primary claims: gains have the paper's sign, claims without all their runs wait, and still count for Holm."""

from __future__ import annotations

import invented
import pytest

from reprolib.claims import primary, verdict
from reprolib.evaluation.metric import METRICS
from reprolib.evaluation.scores import Scores
from reprolib.experiment import Experiment
from reprolib.plan import recipes
from reprolib.plan.recipes import Primary
from reprolib.runs import records
from reprolib.runs.records import Record


def record(experiment: Experiment, score: float) -> Record:
    """One figure for all: of the test slices, and SEG of the held-out frames at argmax."""
    straight = {metric: invented.curve(score) for metric in ("warping_error", "pixel_error", "v_rand")}
    seg = invented.curve(1.0, 0.4, [{"threshold": 0.4, "seg": 1.0}, {"threshold": 0.5, "seg": score}])
    scores = Scores({}, held_out={"seg": seg}, test=invented.test_slices(straight))
    return invented.record(experiment, scores)


@pytest.fixture
def runs(monkeypatch):
    """Records by experiment; a test fills them in."""
    found: dict = {}
    monkeypatch.setattr(records, "available", lambda wanted: [found[one] for one in wanted if one in found])
    return found


def fill(runs: dict, claim: Primary, gain: float) -> None:
    """Records of both arms, of which the first is better by about ``gain``."""
    sign = 1 if METRICS[claim.metric].higher_is_better else -1
    for k, (having, lacking) in enumerate(zip(claim.having, claim.lacking, strict=True)):
        runs.setdefault(having, record(having, 0.5))
        runs[lacking] = record(lacking, 0.5 - sign * (gain + 0.0001 * gain * k))


def test_nothing_is_said_of_claims_whose_runs_are_not_all_there(runs):
    assert primary.verdicts() == {}
    claim = recipes.primary_claims()[0]
    fill(runs, claim, 0.1)
    del runs[claim.lacking[4]]
    assert primary.comparison(claim) is None
    lines = primary.table().splitlines()
    assert len(lines) == 2 + 8 and "| 9 of 10 |" in lines[2] and "not run yet" in lines[2]


@pytest.mark.parametrize("claim", recipes.primary_claims(), ids=lambda claim: claim.claim)
@pytest.mark.parametrize(("gain", "word"), [(0.1, verdict.REPRODUCED), (-0.1, verdict.CONTRADICTED)])
def test_a_gain_of_the_papers_way_is_positive_whatever_the_metrics_direction(runs, claim, gain, word):
    fill(runs, claim, gain)
    found = primary.comparison(claim)
    assert found.mean == pytest.approx(gain, rel=1e-2) and found.delta == recipes.DELTA[claim.metric]
    assert primary.verdicts()[claim.claim].verdict == word


def test_an_effect_below_delta_is_no_effect(runs):
    claim = recipes.primary_claims()[0]
    fill(runs, claim, recipes.DELTA[claim.metric] / 10)
    assert primary.verdicts()[claim.claim].verdict == verdict.NO_EFFECT
    assert "no effect above 0.010" in primary.table()


def test_claims_that_wait_count_as_planned():
    """One claim alone at p = 0.02: rejected if it were the only one, not beside seven that wait."""
    paired = verdict.paired([0.30, 0.10, 0.25, 0.05, 0.15], 0.01)
    assert 0.006 < paired.p < 0.05
    assert verdict.verdicts({"a": paired}, planned=1)["a"].verdict == verdict.REPRODUCED
    assert verdict.verdicts({"a": paired}, planned=8)["a"].verdict == verdict.WAITS
