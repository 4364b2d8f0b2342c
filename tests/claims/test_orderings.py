"""Orderings follow their rule, pairs are pairs, and the claims built on them say what the records say."""

from __future__ import annotations

import invented
import pytest
from invented import held_out, record

from reprolib.claims import results
from reprolib.claims.claim import Verdict
from reprolib.claims.orderings import Pairs, pairs
from reprolib.evaluation.metric import ERRORS, PIXEL_ERROR, RAND_ERROR, SEG, V_RAND, WARPING_ERROR
from reprolib.evaluation.scores import Scores
from reprolib.plan import catalogue, recipes
from reprolib.runs import records

BASE = catalogue.em(5)
WITHOUT = BASE.replace(dropout=0.0)
HEAD = ("key", "a", "b")


@pytest.fixture
def recorded(monkeypatch):
    """Records that exist only here: a dict from experiment to record."""
    known: dict = {}
    monkeypatch.setattr(records, "find", lambda experiment, folders=None: known.get(experiment))
    return known


def keep(recorded: dict, experiment, score: float, fixed: float) -> None:
    """A record with these Rand errors, at the oracle's threshold and at that of the training."""
    recorded[experiment] = record(experiment, held_out({"rand_error": score}, {"rand_error": fixed}))


def test_an_error_is_better_when_it_is_lower_and_a_score_when_it_is_higher():
    assert Pairs(RAND_ERROR, (0.1, 0.2), (0.3, 0.1)).gains == pytest.approx((0.2, -0.1))
    assert Pairs(SEG, (0.1, 0.2), (0.3, 0.1)).gains == pytest.approx((-0.2, 0.1))
    assert Pairs(WARPING_ERROR, (0.1,), (0.1,)).wins == 0  # a tie is no win


@pytest.mark.parametrize(
    ("second", "verdict"),
    [
        ((0.2, 0.3, 0.4), "reproduced"),
        ((0.2, 0.3, 0.29), "partly"),
        ((0.05, 0.15, 0.31), "not reproduced"),
        ((0.1, 0.2, 0.3), "not reproduced"),
    ],
)
def test_the_verdict_follows_from_the_pairs_alone(second, verdict):
    assert Pairs(PIXEL_ERROR, (0.1, 0.2, 0.3), second).verdict == verdict


def test_a_mean_smaller_than_its_deviation_is_within_the_spread():
    assert Pairs(V_RAND, (0.5, 0.9, 0.4), (0.4, 0.6, 0.6)).within_spread
    assert not Pairs(V_RAND, (0.5, 0.9, 0.7), (0.4, 0.6, 0.6)).within_spread
    assert Pairs(V_RAND, (0.9,), (0.1,)).within_spread  # one pair tells nothing


def test_pairs_read_the_oracle_or_the_training_threshold(recorded):
    keep(recorded, BASE, 0.1, 0.2)
    keep(recorded, WITHOUT, 0.3, 0.25)
    assert pairs([BASE], [WITHOUT], "rand_error", oracle=True).gains == pytest.approx((0.2,))
    assert pairs([BASE], [WITHOUT], "rand_error", oracle=False).gains == pytest.approx((0.05,))


@pytest.mark.parametrize("change", [{"fold": 4}, {"seed": 1}, {"split": "inner"}, {"data": "dic-hela", "fold": 2}])
def test_runs_on_other_images_or_from_another_seed_are_no_pair(recorded, change):
    with pytest.raises(ValueError, match="are no pair"):
        pairs([BASE], [BASE.replace(**change)], "rand_error", oracle=True)


def test_a_run_that_is_not_recorded_is_named(recorded):
    with pytest.raises(LookupError, match=f"{BASE.name} is not recorded"):
        pairs([BASE], [WITHOUT], "rand_error", oracle=True)


def test_a_claim_without_its_runs_waits_and_only_the_benchmarked_ones_need_none(recorded):
    judged = {claim.key for claim in results.claims() if claim.verdict is not Verdict.NOT_RUN_YET}
    assert judged <= {"seconds", "window, slow"}
    row = results.ordering(HEAD, [BASE], [WITHOUT], "rand_error", "how", "07_em")
    assert row.verdict == "not run yet" and row.ours == ("-",)


def test_a_claim_prints_both_means_the_spread_and_the_wins(recorded):
    first = [BASE.replace(fold=fold) for fold in (1, 2)]
    second = [one.replace(dropout=0.0) for one in first]
    for experiment, value in zip(first + second, (0.1, 0.2, 0.3, 0.5), strict=True):
        keep(recorded, experiment, value, 0.9)
    row = results.ordering(HEAD, first, second, "rand_error", "how", "07_em")
    assert row.ours == ("Rand error 0.150 against 0.400", "better by 0.250 ± 0.071, in 2 of 2")
    assert row.verdict == "reproduced"
    turned = results.ordering(HEAD, second, first, "rand_error", "how", "07_em")
    assert turned.ours[-1] == "worse by 0.250 ± 0.071, in 0 of 2" and turned.verdict == "not reproduced"


@pytest.mark.parametrize(
    ("large", "small", "verdict"),
    [
        ((0.1, 0.06), (0.2, 0.05), "reproduced"),  # (Rand error, pixel error) of each window
        ((0.1, 0.04), (0.2, 0.05), "partly"),
        ((0.3, 0.04), (0.2, 0.05), "not reproduced"),
    ],
)
def test_the_trade_off_needs_both_of_its_halves(recorded, large, small, verdict):
    for one, (rand, pixel) in ((BASE, large), (WITHOUT, small)):
        recorded[one] = record(one, held_out({"rand_error": rand, "pixel_error": pixel}))
    assert results.trade_off([BASE], [WITHOUT]).verdict == verdict


def test_an_ablation_is_judged_by_all_three_scores_of_table_1(recorded):
    second = BASE.replace(skips=False)
    for without, verdict in (((2, 2, 2), "reproduced"), ((0.5, 2, 2), "partly"), ((0.5, 0.5, 1), "not reproduced")):
        for experiment, values in ((BASE, (1, 1, 1)), (second, without)):
            scores = {metric.key: value for metric, value in zip(ERRORS, values, strict=True)}
            recorded[experiment] = record(experiment, held_out(scores))
        row = results.ablation(HEAD, [BASE], [second])
        assert row.verdict == verdict
    assert row.ours[0] == "warping error 1.00000 with, 0.50000 without (\u22120.50000, 0 of 1)"
    assert row.ours[1].startswith("Rand error 1.000 with")
    assert results.ablation(HEAD, [BASE], [BASE.replace(dropout=0.1)]).verdict == "not run yet"


def test_rotations_are_compared_with_the_same_network_without_them(recorded):
    for seed in recipes.TEST_SEEDS:
        views = ({"warping_error": invented.curve(score)} for score in (0.003, 0.0028 - 0.0001 * seed))
        run = recipes.em_test(seed)
        recorded[run] = record(run, Scores({}, test=invented.test_slices(*views)))
    row = results.rotations()
    assert row.ours[0] == "warping error 0.00260 against 0.00300" and row.ours[1].endswith("in 5 of 5")
    assert row.verdict == "reproduced"
    del recorded[recipes.em_test(4)]
    assert results.rotations().verdict == "not run yet"
