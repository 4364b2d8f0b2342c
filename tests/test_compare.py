"""Orderings follow their rule, pairs are pairs, and the claims built on them say what the records say."""

from __future__ import annotations

import re

import pytest

from reprolib import catalogue, chinese, claims, compare, records, results
from reprolib.claim import Claim, not_run_yet, summary, table
from reprolib.compare import Pairs, markdown, pairs, spread

BASE = catalogue.em(5)


def record(score: float, fixed: float, metric: str = "rand_error") -> dict:
    return {"scores": {"held_out": {metric: {"score": score}}, "at_training_threshold": {metric: fixed}}}


@pytest.fixture
def recorded(monkeypatch):
    """Records that exist only here: a dict from experiment to record."""
    known: dict = {}
    monkeypatch.setattr(records, "find", lambda experiment, folders=None: known.get(experiment))
    return known


def test_an_error_is_better_when_it_is_lower_and_a_score_when_it_is_higher():
    assert Pairs("rand_error", (0.1, 0.2), (0.3, 0.1)).gains == pytest.approx((0.2, -0.1))
    assert Pairs("seg", (0.1, 0.2), (0.3, 0.1)).gains == pytest.approx((-0.2, 0.1))
    assert Pairs("warping_error", (0.1,), (0.1,)).wins == 0  # a tie is no win


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
    assert Pairs("pixel_error", (0.1, 0.2, 0.3), second).verdict == verdict


def test_pairs_read_the_oracle_or_the_training_threshold(recorded):
    first, second = BASE, BASE.replace(dropout=0.0)
    recorded[first], recorded[second] = record(0.1, 0.2), record(0.3, 0.25)
    assert pairs([first], [second], "rand_error", oracle=True).gains == pytest.approx((0.2,))
    assert pairs([first], [second], "rand_error", oracle=False).gains == pytest.approx((0.05,))


@pytest.mark.parametrize("change", [{"fold": 4}, {"seed": 1}, {"split": "inner"}, {"data": "dic-hela", "fold": 2}])
def test_runs_on_other_images_or_from_another_seed_are_no_pair(recorded, change):
    with pytest.raises(ValueError, match="are no pair"):
        pairs([BASE], [BASE.replace(**change)], "rand_error", oracle=True)


def test_a_run_that_is_not_recorded_is_named(recorded):
    with pytest.raises(LookupError, match=f"{records.record_name(BASE)} is not recorded"):
        pairs([BASE], [BASE.replace(dropout=0.0)], "rand_error", oracle=True)


def test_a_claim_without_its_runs_has_no_verdict(recorded):
    assert {row.verdict for row in results.rows()} <= {"not run yet", "reproduced", "not reproduced", "not comparable"}
    row = results.ordering("a", "b", [BASE], [BASE.replace(dropout=0.0)], "rand_error", "how", "07_em")
    assert row.verdict == "not run yet" and row.ours == "-"


def test_a_claim_prints_both_means_the_spread_and_the_wins(recorded):
    first = [BASE.replace(fold=fold) for fold in (1, 2)]
    second = [one.replace(dropout=0.0) for one in first]
    for experiment, value in zip(first + second, (0.1, 0.2, 0.3, 0.5), strict=True):
        recorded[experiment] = record(value, 0.9)
    row = results.ordering("a", "b", first, second, "rand_error", "how", "07_em")
    assert row.ours == "Rand error 0.150 against 0.400; better by 0.250 ± 0.071, in 2 of 2"
    assert row.verdict == "reproduced"
    turned = results.ordering("a", "b", second, first, "rand_error", "how", "07_em")
    assert turned.ours.endswith("worse by 0.250 ± 0.071, in 0 of 2") and turned.verdict == "not reproduced"


def test_a_mean_smaller_than_its_deviation_is_within_the_spread():
    assert results.within_spread(Pairs("v_rand", (0.5, 0.9, 0.4), (0.4, 0.6, 0.6)))
    assert not results.within_spread(Pairs("v_rand", (0.5, 0.9, 0.7), (0.4, 0.6, 0.6)))
    assert results.within_spread(Pairs("v_rand", (0.9,), (0.1,)))  # one pair tells nothing


@pytest.mark.parametrize(
    ("large", "small", "verdict"),
    [
        ((0.1, 0.06), (0.2, 0.05), "reproduced"),  # (Rand error, pixel error) of each window
        ((0.1, 0.04), (0.2, 0.05), "partly"),
        ((0.3, 0.04), (0.2, 0.05), "not reproduced"),
    ],
)
def test_the_trade_off_needs_both_of_its_halves(recorded, large, small, verdict):
    experiments = [BASE], [BASE.replace(dropout=0.0)]
    for (one,), (rand, pixel) in zip(experiments, (large, small), strict=True):
        recorded[one] = record(rand, rand)
        recorded[one]["scores"]["held_out"]["pixel_error"] = {"score": pixel}
    assert results.trade_off(*experiments).verdict == verdict


def test_a_table_sets_numbers_to_the_right():
    assert markdown(("name", "a"), [("x", "1")]) == "| name | a |\n| --- | --: |\n| x | 1 |"
    assert spread((1.0, 3.0), 1) == "2.0 ± 1.4" and spread((1.0,), 2) == "1.00"
    assert spread((-0.0001, 0.0001), 2) == "0.00 ± 0.00" and compare.number(-1.5, 1) == "\u22121.5"
    assert compare.number(0.04, 1, "+") == "0.0" and compare.number(0.16, 1, "+") == "+0.2"
    assert compare.setting("images", 0) == "all images" and compare.setting("rotate", False) == "no rotate"
    assert compare.runs_table([]).count("\n") == 1


def test_a_table_of_runs_says_what_differs_and_names_one_machine_once():
    runs = compare.available([catalogue.em(fold) for fold in (2, 4)])
    lines = compare.runs_table(runs).splitlines()
    assert "| fold 2 |" in lines[2] and "| fold 4 |" in lines[3] and lines[-1].startswith("All on ")
    mixed = compare.runs_table(compare.available([catalogue.em(fold) for fold in (1, 2)]))
    assert "All on" not in mixed and mixed.splitlines()[0].endswith("| on |")


def test_the_claims_table_is_html_with_badges_that_lead_to_chapters():
    rows = [
        Claim("a < b", "1", "2; 3e-9", "how", "reproduced", "07_em"),
        not_run_yet("c", "3", "10_ancestors"),
        Claim("d", "4", "5", "so", "reproduced", "07_em"),
    ]
    html = table(rows, {"06_training": "Training", "07_em": "EM & more", "10_ancestors": "Ancestors"})
    assert "a &lt; b" in html and html.count("<tr data-verdict=") == len(rows)
    assert re.findall(r'colspan="4">([^<]*)', html) == ["EM &amp; more", "Ancestors"]  # and none without a claim
    assert html.index(">a &lt; b<") < html.index(">d<") < html.index(">c<")  # by chapter
    assert '<a class="verdict verdict-reproduced" href="07_em.html">reproduced</a>' in html
    assert "<details><summary>how</summary><p>how.</p><code>reprolib run book/07_em.ipynb</code></details>" in html
    assert html.count("<details>") == 2  # one for each that has a protocol
    assert 'data-verdict="reproduced">2 reproduced</span>' in html and "<div>2</div><div>3e\u20119</div>" in html
    assert summary(rows) == "3 claims: 2 reproduced, 1 not run yet."
    with pytest.raises(ValueError, match="verdict 'fine' is unknown"):
        Claim("a", "b", "c", "d", "fine", "07_em")


def test_an_ablation_is_judged_by_all_three_scores_of_table_1(recorded):
    first, second = [BASE], [BASE.replace(skips=False)]
    for without, verdict in (((2, 2, 2), "reproduced"), ((0.5, 2, 2), "partly"), ((0.5, 0.5, 1), "not reproduced")):
        for experiment, values in ((BASE, (1, 1, 1)), (second[0], without)):
            held_out = {metric: {"score": value} for metric, value in zip(results.TABLE_1, values, strict=True)}
            recorded[experiment] = {"scores": {"held_out": held_out}}
        row = results.ablation("a", "b", first, second)
        assert row.verdict == verdict
    assert row.ours.startswith(
        "warping error 1.00000 with, 0.50000 without (\u22120.50000, 0 of 1); Rand error 1.000 with"
    )
    assert results.ablation("a", "b", first, [BASE.replace(dropout=0.1)]).verdict == "not run yet"


def test_the_chinese_summary_names_every_claim_and_its_verdict():
    rows = claims.claims()
    text = chinese.results(rows)
    assert text.count('class="verdict') == len(rows) and set(chinese.CLAIMS) == {row.claim for row in rows}
    assert sum(map(int, re.findall(r" (\d+) 条", text.split("：")[1]))) == len(rows)
    seg = next(row for row in rows if "U373" in row.claim)
    assert f"| {seg.paper} | {seg.ours.split(';')[0]} |" in text
