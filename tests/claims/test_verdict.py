"""Verdicts follow the rule that was fixed before the runs; their statistics agree with scipy, by hand and by chance."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import math

import numpy as np
import pytest
from scipy import stats

from reprolib.claims import verdict
from reprolib.claims.verdict import Interval, against_paper, interval, label, paired, sentence, verdicts

GAINS = (0.012, -0.004, 0.021, 0.008, 0.015, 0.003)


FAR = paired([0.0, 1.0, 0.0, 1.0, 0.5], delta=0.01)  # far from "no effect"


@pytest.fixture(scope="module", autouse=True)
def few_objects_to_collect():
    """Holm's procedure in statsmodels collects garbage in each call: 0.1 s with all that PyTorch holds."""
    gc.freeze()
    yield
    gc.unfreeze()


def with_p(p: float):
    """A comparison of five choices with this p value and a mean above 0."""
    return dataclasses.replace(FAR, p=p)


def rejected(p_values, planned: int | None = None) -> list[bool]:
    """Which of the claims with these p values get a decision."""
    judged = verdicts({str(i): with_p(p) for i, p in enumerate(p_values)}, planned or len(p_values))
    assert {each.verdict for each in judged.values()} <= {"reproduced", "inconclusive", "not decided"}
    return [each.verdict == "reproduced" for each in judged.values()]


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99])
def test_the_interval_is_that_of_scipy(level):
    expected = stats.ttest_1samp(GAINS, 0).confidence_interval(level)
    ours = interval(GAINS, level)
    assert (ours.low, ours.high) == pytest.approx((expected.low, expected.high), rel=1e-12)
    assert (ours.mean, ours.n) == (pytest.approx(np.mean(GAINS)), 6)


def test_the_interval_of_two_scores_by_hand():
    # mean 2, s = sqrt 2, standard error 1; the table gives t.975 = 12.706 with one degree of freedom
    ours = interval([1.0, 3.0])
    assert (ours.low, ours.mean, ours.high) == pytest.approx((-10.706, 2.0, 14.706), abs=1e-3)


def test_the_interval_of_identical_scores_is_a_point():
    assert interval([0.1] * 3) == Interval(0.1, 0.1, 0.1, 3)


def test_the_interval_holds_the_true_mean_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(3, 2, (2000, 5))
    intervals = [interval(row, 0.9) for row in draws]
    covered = np.mean([one.low <= 3 <= one.high for one in intervals])
    assert covered == pytest.approx(0.9, abs=0.02)  # three standard deviations of 2000 draws


@pytest.mark.parametrize(
    ("values", "level", "message"),
    [
        ([], 0.95, "two or more values, not 0"),
        ([1.0], 0.95, "two or more values, not 1"),
        ([1.0, math.nan, 2.0], 0.95, "finite values, not 1.0, nan, 2.0"),
        ([1.0, math.inf], 0.95, "finite values"),
        ([1.0, 2.0], 1.0, "between 0 and 1, not 1.0"),
        ([1.0, 2.0], 95, "between 0 and 1, not 95"),
    ],
)
def test_an_interval_refuses(values, level, message):
    with pytest.raises(ValueError, match=message):
        interval(values, level)


@pytest.mark.parametrize(
    ("score", "down", "up"),
    [
        (9.99, "better", "equal to within a tenth"),
        (8.0, "better", "worse"),
        (9.0, "better", "equal to within a tenth"),  # a tenth away is equal
        (10.0, "equal to within a tenth", "equal to within a tenth"),  # the paper's value itself is not better
        (11.0, "equal to within a tenth", "better"),
        (11.01, "worse", "better"),
    ],
)
def test_scores_without_spread_fall_on_the_side_that_the_rule_says(score, down, up):
    assert against_paper([score] * 3, 10).verdict == down
    assert against_paper([score] * 3, 10, "up").verdict == up


@pytest.mark.parametrize(
    ("low", "high", "down", "up"),
    [
        (9.5, 9.9, "better", "equal to within a tenth"),  # better comes before equal
        (9.5, 10.5, "equal to within a tenth", "equal to within a tenth"),
        (8.5, 10.5, "not decided", "not decided"),
        (8.5, 8.9, "better", "worse"),
        (8.5, 9.5, "better", "not decided"),
        (10.5, 11.5, "not decided", "better"),
        (11.1, 12.0, "worse", "better"),
        (5.0, 20.0, "not decided", "not decided"),
    ],
)
def test_all_of_the_interval_decides(low, high, down, up):
    half = interval([0.0, 1.0, 2.0]).high - 1  # of three scores 1 apart
    scores = [(low + high) / 2 + step * (high - low) / 2 / half for step in (-1, 0, 1)]
    ours = interval(scores)
    assert (ours.low, ours.high) == pytest.approx((low, high))
    assert against_paper(scores, 10).verdict == down
    assert against_paper(scores, 10, "up").verdict == up


def test_the_direction_mirrors_the_rule():
    rng = np.random.default_rng(0)
    for scores in rng.normal(10, 1.5, (300, 1)) + rng.normal(0, 0.3, (300, 4)):
        assert against_paper(scores, 10).verdict == against_paper(20 - scores, 10, "up").verdict


def test_worse_says_by_how_much_and_the_ratio_is_to_the_paper():
    ours = against_paper([0.0503, 0.0505, 0.0507], 0.0382)
    assert ours.text == "worse, by 32 %"
    assert ours.ratio == pytest.approx(1.322, abs=1e-3)
    assert ours.interval == interval([0.0503, 0.0505, 0.0507])
    assert against_paper([0.5, 0.5], 0.92, "up").text == "worse, by 46 %"
    assert against_paper([0.01, 0.01], 0.0382).text == "better"


@pytest.mark.parametrize(
    ("values", "paper", "better", "message"),
    [
        ([1, 2], 1, "lower", 'better is "down" or "up", not \'lower\''),
        ([1, 2], 0, "down", "above 0 to take a tenth of it, not 0"),
        ([1, 2], -1, "down", "above 0"),
        ([1, 2], math.nan, "down", "above 0"),
        ([1], 1, "down", "two or more values"),
    ],
)
def test_a_comparison_with_the_paper_refuses(values, paper, better, message):
    with pytest.raises(ValueError, match=message):
        against_paper(values, paper, better)


def test_disjoint_training_sets_give_the_t_test_of_scipy():
    ours, expected = paired(GAINS, 0.01, name="dropout"), stats.ttest_1samp(GAINS, 0)
    assert (ours.t, ours.p) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-12)
    assert ours.se == pytest.approx(stats.sem(GAINS), rel=1e-12)
    assert (ours.interval90, ours.interval95) == (interval(GAINS, 0.9), interval(GAINS, 0.95))
    assert (ours.name, ours.choices, ours.delta, ours.overlap) == ("dropout", 6, 0.01, 0.0)


def test_gains_of_two_arms_give_the_paired_t_test_of_scipy():
    first, second = np.random.default_rng(1).normal(0.5, 0.1, (2, 7))
    ours, expected = paired(first - second, 0.01), stats.ttest_rel(first, second)
    assert (ours.t, ours.p) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-12)


def test_the_factor_for_overlapping_training_sets_by_hand():
    # mean 3, s^2 = 2.5; five choices of 24 of 30 images: c = 6 / 24; standard error sqrt(2.5 (1/5 + 1/4))
    ours = paired([1.0, 2.0, 3.0, 4.0, 5.0], delta=1, overlap=6 / 24)
    assert ours.se == pytest.approx(1.06066, abs=1e-5)
    assert ours.t == pytest.approx(2.82843, abs=1e-5)
    # the table with four degrees of freedom: t.95 = 2.132, t.975 = 2.776, t.80 = 0.941
    assert (ours.interval90.low, ours.interval90.high) == pytest.approx((0.739, 5.261), abs=1e-3)
    assert (ours.interval95.low, ours.interval95.high) == pytest.approx((0.055, 5.945), abs=1e-3)
    assert ours.p == pytest.approx(0.0474, abs=1e-4)
    assert ours.detectable == pytest.approx((2.776 + 0.941) * 1.06066, abs=1e-3)


@pytest.mark.parametrize(("gain", "t", "p"), [(0.1, math.inf, 0), (-0.1, -math.inf, 0), (0.0, 0, 1)])
def test_identical_gains_divide_by_nothing(gain, t, p):
    ours = paired([gain] * 7, 0.01, overlap=0.25)
    assert (ours.mean, ours.se, ours.t, ours.p, ours.detectable) == (gain, 0, t, p, 0)
    assert ours.interval90 == ours.interval95 == Interval(gain, gain, gain, 7)


@pytest.mark.parametrize("choices", [5, 10])
def test_the_detectable_effect_is_seen_four_times_in_five(choices):
    noise = np.random.default_rng(2).normal(0, 1, (4000, choices))
    standard = np.array([-1.0, 1.0] + [0.0] * (choices - 2))
    standard /= standard.std(ddof=1)  # gains whose s is the true standard deviation, 1
    effect = paired(standard, 0.01).detectable
    seen = np.mean(stats.ttest_1samp(noise + effect, 0, axis=1).pvalue < 0.05)
    assert seen == pytest.approx(0.8, abs=0.03)  # the usual approximation: 0.791 for five choices, 0.799 for ten


@pytest.mark.parametrize(
    ("gains", "delta", "overlap", "message"),
    [
        ([0.1], 0.01, 0, "two or more values, not 1"),
        ([0.1, math.nan], 0.01, 0, "finite values"),
        ([0.1, 0.2], 0, 0, "delta, .* must be above 0, not 0"),
        ([0.1, 0.2], math.nan, 0, "delta"),
        ([0.1, 0.2], math.inf, 0, "delta"),
        ([0.1, 0.2], 0.01, -0.1, "overlap, .* must be 0 or more, not -0.1"),
        ([0.1, 0.2], 0.01, math.nan, "overlap"),
    ],
)
def test_a_paired_comparison_refuses(gains, delta, overlap, message):
    with pytest.raises(ValueError, match=message):
        paired(gains, delta, overlap)


def test_holm_rejects_two_of_four_as_worked_by_hand():
    # 0.005 <= 0.05/4 and 0.01 <= 0.05/3, but 0.03 > 0.05/2: stop, though 0.04 <= 0.05
    assert rejected([0.01, 0.04, 0.03, 0.005]) == [True, False, False, True]
    judged = verdicts({str(p): with_p(p) for p in (0.01, 0.04, 0.03, 0.005)}, 4)
    assert [each.p_holm for each in judged.values()] == pytest.approx([0.03, 0.06, 0.06, 0.02])


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_holm_is_bonferroni_in_every_family_that_a_claim_belongs_to(size):
    """The closure principle: reject one claim if each set of claims with it holds some p <= 0.05 / its size."""
    for p in itertools.product([0.001, 0.012, 0.014, 0.02, 0.03, 0.2], repeat=size):
        expected = [
            all(
                min(p[j] for j in family) <= 0.05 / len(family)
                for n in range(1, size + 1)
                for family in itertools.combinations(range(size), n)
                if i in family
            )
            for i in range(size)
        ]
        assert rejected(p) == expected, p


def test_the_level_itself_rejects():
    assert rejected([0.05]) == [True]
    assert rejected([0.0500001]) == [False]


@pytest.mark.parametrize("p", [0.001, 0.006, 0.007, 0.02, 0.049, 0.051, 0.3])
def test_a_verdict_before_all_claims_are_there_is_one_that_none_of_them_can_change(p):
    """Against every outcome of the seven claims to come, on a grid."""
    now = verdicts({"0": with_p(p)}, planned=8)["0"].verdict
    outcomes = {
        verdicts({str(i): with_p(q) for i, q in enumerate((p, *[low] * few, *[high] * (7 - few)))}, 8)["0"].verdict
        for low, high in ((1e-6, 0.9), (1e-6, 0.02), (0.01, 0.9))
        for few in range(8)
    }
    if len(outcomes) > 1:
        assert now == "not decided"
    else:
        assert {now} == outcomes


def test_claims_that_were_not_run_make_the_test_as_strict_as_planned():
    assert rejected([0.012, 0.012], planned=4) == [True, True]
    assert rejected([0.012, 0.012], planned=5) == [False, False]
    for planned in range(2, 9):
        assert rejected([0.012, 0.02], planned) == rejected([0.012, 0.02] + [1.0] * (planned - 2))[:2]


def test_a_claim_with_few_choices_is_described_and_its_p_value_enters_nothing():
    few = paired([0.1, 0.1, 0.1, 0.1], 0.01)  # p = 0
    judged = verdicts({"few": few, "other": with_p(0.04)}, planned=2)
    assert (judged["few"].verdict, judged["few"].p_holm) == ("described", None)
    assert judged["other"].verdict == "inconclusive"  # 0.04 > 0.05/2, as if the first had not been run
    assert verdicts({"few": few}, planned=1)["few"].verdict == "described"
    assert verdicts({"five": paired([0.1] * 5, 0.01)}, planned=1)["five"].verdict == "reproduced"


@pytest.mark.parametrize(
    ("count", "planned", "message"),
    [(9, 9, "9 primary claims are more than the 8"), (1, 9, "9 primary claims"), (3, 2, "more than the 2 primary")],
)
def test_more_claims_than_allowed_or_planned_are_refused(count, planned, message):
    with pytest.raises(ValueError, match=message):
        verdicts({str(i): with_p(0.01) for i in range(count)}, planned)


def test_no_claims_give_no_verdicts_and_eight_are_allowed():
    assert verdicts({}, 0) == verdicts({}, 8) == {}
    assert len(verdicts({str(i): with_p(0.5) for i in range(8)}, 8)) == 8


def judge(*arguments, planned: int = 1, **named):
    return verdicts({"claim": paired(*arguments, **named)}, planned)["claim"]


def test_no_effect_comes_before_reproduced():
    gains = [0.0010, 0.0011, 0.0009, 0.0010, 0.0012]
    small = judge(gains, 0.01)
    assert small.p_holm < 1e-4
    assert small.verdict == "no effect"
    assert judge(gains, 0.001).verdict == "reproduced"


@pytest.mark.parametrize(
    ("gains", "expected"),
    [
        ([0.05, 0.06, 0.04, 0.05, 0.07], "reproduced"),
        ([-0.05, -0.06, -0.04, -0.05, -0.07], "contradicted"),
        ([0.05, -0.06, 0.04, -0.05, 0.07], "inconclusive"),
        ([0.0, 0.001, -0.001, 0.0, 0.002], "no effect"),
        ([0.01] * 5, "reproduced"),  # the margin itself is not within the margin
        ([-0.01] * 5, "contradicted"),
        ([0.0] * 5, "no effect"),
    ],
)
def test_each_verdict_follows_from_the_gains(gains, expected):
    assert judge(gains, 0.01).verdict == expected


def test_the_90_percent_interval_decides_on_no_effect_not_the_95_percent_one():
    comparison = paired([-0.01, 0.0, 0.01, -0.005, 0.005], 0.01)
    between = (comparison.interval90.high + comparison.interval95.high) / 2
    assert judge(comparison.gains, between).verdict == "no effect"
    assert judge(comparison.gains, comparison.interval90.high).verdict == "inconclusive"


def test_swapping_the_arms_swaps_reproduced_and_contradicted():
    swap = {"reproduced": "contradicted", "contradicted": "reproduced"}
    seen = set()
    for gains in np.random.default_rng(3).normal(0, 1, (200, 1)) + np.random.default_rng(4).normal(0, 1, (200, 6)):
        first, second = judge(gains, 0.5).verdict, judge(-gains, 0.5).verdict
        assert second == swap.get(first, first)
        seen.add(first)
    assert seen >= {"reproduced", "contradicted", "inconclusive"}


def test_sentences_read_as_printed_with_true_minus_signs():
    assert sentence(judge([0.012, 0.006, 0.018, 0.009, 0.015], 0.001)) == (
        "+0.012 (95 % interval 0.006 to 0.018; 5 choices)"
    )
    assert sentence(judge([-0.05, -0.06, -0.04, -0.05, -0.07], 0.01), 2) == (
        "−0.05 (95 % interval −0.07 to −0.04; 5 choices)"
    )


def test_an_inconclusive_sentence_gives_the_detectable_effect():
    assert sentence(judge([1.0, 2.0, 3.0, 4.0, 5.0], 1, 0.7), 2) == (
        "+3.00 (95 % interval −1.16 to 7.16; 5 choices); "
        "tested alone, an effect of 5.58 would have been seen four times in five"
    )


def test_a_sentence_on_no_effect_gives_the_interval_that_it_rests_on():
    none = judge([0.0, 0.001, -0.001, 0.0, 0.002], 0.01)
    assert label(none) == "no effect above 0.010"
    assert sentence(none) == (
        "0.000 (95 % interval −0.001 to 0.002; 5 choices); the 90 % interval is −0.001 to 0.001, within ±0.010"
    )


def test_a_described_comparison_gives_its_range():
    few = judge([0.01, -0.02, 0.04], 0.01)
    assert label(few) == verdict.DESCRIBED
    assert sentence(few) == "+0.010 (range −0.020 to 0.040; 3 choices, too few for a verdict)"
