"""Verdicts by a fixed rule: our scores against the paper's (Table 1), and one arm against another in pairs.

The rule was written down before the runs.

1. A score against the paper's value: from the 95 % t-interval of the mean over seeds alone, see ``against_paper``.
2. Two arms that differ in one thing are trained on the same J choices of training images, see ``paired``. All primary
   claims are then judged together, see ``verdicts``.

Sources: the corrected standard error, Nadeau and Bengio, "Inference for the generalization error", Machine Learning 52
(2003); the order of rejections, Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal
of Statistics 6 (1979); "no effect", the two one-sided tests of Schuirmann, Journal of Pharmacokinetics and
Biopharmaceutics 15 (1987): both reject at 5 % exactly if the 90 % interval lies within the margin.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import t as student
from statsmodels.stats.multitest import multipletests

from reprolib.errors import InputError
from reprolib.printing import number

BETTER, EQUAL, WORSE, NOT_DECIDED = "better", "equal to within a tenth", "worse", "not decided"
REPRODUCED, CONTRADICTED, NO_EFFECT = "reproduced", "contradicted", "no effect"
INCONCLUSIVE, DESCRIBED = "inconclusive", "described"
WAITS = "not decided"  # rejected or not, depending on primary claims whose runs are not all there yet
ALPHA = 0.05  # over all primary claims together
POWER = 0.8  # four times in five
MOST_CLAIMS = 8  # primary claims
FEWEST_CHOICES = 5  # with fewer there is no verdict


@dataclass(frozen=True)
class Interval:
    """A mean and its two-sided interval, in the unit of the n values behind it; low <= mean <= high."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class AgainstPaper:
    """A score of ours against the paper's (Table 1); made by ``against_paper``."""

    interval: Interval  # 95 %
    paper: float  # > 0
    verdict: str  # BETTER, EQUAL, WORSE or NOT_DECIDED

    @property
    def ratio(self) -> float:
        """Our mean over the paper's value."""
        return self.interval.mean / self.paper

    @property
    def text(self) -> str:
        """The verdict as printed; "worse" says by how much the mean differs from the paper's value."""
        if self.verdict != WORSE:
            return self.verdict
        return f"{WORSE}, by {number(100 * abs(self.interval.mean - self.paper) / self.paper, 0)} %"


@dataclass(frozen=True)
class Paired:
    """Two arms compared over J choices of training images; made by ``paired``. All but t and p in the score's unit."""

    name: str
    gains: tuple[float, ...]  # by how much the first arm is better, one per choice; positive as the paper claims
    delta: float  # effects within (-delta, +delta) do not matter
    overlap: float  # images left out / images trained on; 0 if the training sets are disjoint
    mean: float
    se: float  # standard error of the mean
    t: float  # mean / se, with J - 1 degrees of freedom
    p: float  # two-sided, in [0, 1]
    interval90: Interval
    interval95: Interval
    detectable: float  # the effect that a test at 5 % of this claim alone sees four times in five

    @property
    def choices(self) -> int:
        return len(self.gains)


@dataclass(frozen=True)
class Judgement:
    """What became of a claim; made by ``verdicts``."""

    comparison: Paired
    verdict: str  # REPRODUCED, CONTRADICTED, NO_EFFECT, INCONCLUSIVE, WAITS or DESCRIBED
    p_holm: float | None  # adjusted by Holm's procedure; None if DESCRIBED


def interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """The mean and its two-sided t-interval.

    Args:
        values: two or more scores, one per seed. The interval covers the spread between seeds, not between images.
        level: in (0, 1), how often such an interval holds the true mean.

    Raises:
        ValueError: if there are fewer than two values, one is not finite, or the level is not in (0, 1).
    """
    if not 0 < level < 1:
        raise InputError(f"the level of an interval lies between 0 and 1, not {level}")
    values = _finite(values)
    return _interval(values, _standard_error(values, 0.0), level)


def against_paper(values: Sequence[float], paper: float, better: str = "down") -> AgainstPaper:
    """Our scores against the paper's (Table 1), from the 95 % t-interval of our mean alone. The first that holds:

    1. "better": all of the interval is beyond the paper's value on the good side;
    2. "equal to within a tenth": all of it is at most a tenth of the paper's value away from that value;
    3. "worse": all of it is more than a tenth of the paper's value away, on the bad side;
    4. "not decided".

    Args:
        values: two or more scores, one per seed.
        paper: the paper's score, > 0, in the same unit.
        better: "down" for an error, "up" for a score that should be high.

    Raises:
        ValueError: as ``interval`` does, or if `paper` is not above 0, or `better` is another word.
    """
    if better not in ("down", "up"):
        raise InputError(f'better is "down" or "up", not {better!r}')
    if not (math.isfinite(paper) and paper > 0):
        raise InputError(f"the paper's value must be above 0 to take a tenth of it, not {paper}")
    ours = interval(values)
    tenth = paper / 10
    # Distances from the paper's value, positive on the bad side.
    nearest, farthest = (
        (ours.low - paper, ours.high - paper) if better == "down" else (paper - ours.high, paper - ours.low)
    )
    if farthest < 0:
        verdict = BETTER
    elif -tenth <= nearest and farthest <= tenth:
        verdict = EQUAL
    else:
        verdict = WORSE if nearest > tenth else NOT_DECIDED
    return AgainstPaper(ours, float(paper), verdict)


def paired(gains: Sequence[float], delta: float, overlap: float = 0.0, name: str = "") -> Paired:
    """Two arms over the same J choices of training images: the t test of the mean gain, J - 1 degrees of freedom.

    The standard error is s sqrt(1/J + c), with s the standard deviation of the gains and c the `overlap`. Gains from
    training sets that share images are correlated, and s / sqrt(J) would be too small (Nadeau and Bengio 2003).

    Args:
        gains: by how much the first arm is better, one per choice; positive as the paper claims.
        delta: > 0, the smallest effect that matters, in the unit of the gains.
        overlap: c, images left out / images trained on; 0 if the training sets are disjoint.
        name: the claim, for print.

    Returns:
        The comparison. Its `detectable` effect is (t.975 + t.80) standard errors, the usual approximation: it takes
        the standard error as known and does not count Holm's stricter levels.

    Raises:
        ValueError: if there are fewer than two gains, one is not finite, delta is not above 0 or overlap is below 0.
    """
    if not (math.isfinite(delta) and delta > 0):
        raise InputError(f"delta, the smallest effect that matters, must be above 0, not {delta}")
    if not (math.isfinite(overlap) and overlap >= 0):
        raise InputError(f"overlap, images left out / images trained on, must be 0 or more, not {overlap}")
    gains = _finite(gains)
    mean, se, degrees = statistics.mean(gains), _standard_error(gains, overlap), len(gains) - 1
    if se > 0:
        t = mean / se
    else:
        t = math.copysign(math.inf, mean) if mean else 0.0
    return Paired(
        name=name,
        gains=gains,
        delta=float(delta),
        overlap=float(overlap),
        mean=mean,
        se=se,
        t=t,
        p=float(2 * student.sf(abs(t), degrees)),
        interval90=_interval(gains, se, 0.90),
        interval95=_interval(gains, se, 0.95),
        detectable=float(student.ppf(1 - ALPHA / 2, degrees) + student.ppf(POWER, degrees)) * se,
    )


def verdicts(comparisons: Mapping[str, Paired], planned: int) -> dict[str, Judgement]:
    """The verdicts on all primary claims together, under the names of the claims. For each, the first that holds:

    1. "described": it has fewer than five choices, so there is no verdict;
    2. "no effect": its 90 % interval lies within (-delta, +delta);
    3. "reproduced" or "contradicted", by the sign of its mean: Holm's procedure rejects at 0.05 over all claims;
    4. "not decided": claims whose runs are not all there could still make Holm's procedure reject;
    5. "inconclusive".

    Holm's procedure runs over `planned` p values. A claim whose runs are not all there is absent from `comparisons`.
    It counts as p = 1, and so does a claim that is described: what was run does not change how strict the test is. Such
    a rejection holds whatever the claims to come say. Without one, they are counted as p = 0 to see if they matter.

    Args:
        comparisons: the primary claims whose runs are all there.
        planned: how many primary claims were planned, from len(comparisons) to 8.

    Raises:
        ValueError: if there are more than eight primary claims, or more comparisons than planned.
    """
    if max(planned, len(comparisons)) > MOST_CLAIMS:
        raise InputError(f"{max(planned, len(comparisons))} primary claims are more than the {MOST_CLAIMS} allowed")
    if planned < len(comparisons):
        raise InputError(f"{len(comparisons)} comparisons are more than the {planned} primary claims planned")
    tested = {name: each.p for name, each in comparisons.items() if each.choices >= FEWEST_CHOICES}
    to_come = planned - len(comparisons)
    others = [1.0] * (len(comparisons) - len(tested))
    now, best = (_holm(tested, [*others, *[p] * to_come]) for p in (1.0, 0.0))
    return {name: _verdict(each, now.get(name), best.get(name)) for name, each in comparisons.items()}


def label(judgement: Judgement, digits: int = 3) -> str:
    """The verdict as printed; "no effect" says above which delta there is none."""
    if judgement.verdict != NO_EFFECT:
        return judgement.verdict
    return f"{NO_EFFECT} above {number(judgement.comparison.delta, digits)}"


def sentence(judgement: Judgement, digits: int = 3) -> str:
    """The numbers behind a verdict, for print: the mean gain, its interval and the choices.

    "No effect" adds the 90 % interval that it rests on. "Inconclusive" adds the detectable effect: that of a test of
    this claim alone, since Holm's levels depend on the other claims. "Described" gives the range of the gains.
    """
    each = judgement.comparison
    mean = number(each.mean, digits, "+")
    if judgement.verdict == DESCRIBED:
        span = f"{number(min(each.gains), digits)} to {number(max(each.gains), digits)}"
        return f"{mean} (range {span}; {each.choices} choices, too few for a verdict)"
    text = f"{mean} (95 % interval {_span(each.interval95, digits)}; {each.choices} choices)"
    if judgement.verdict == NO_EFFECT:
        text += f"; the 90 % interval is {_span(each.interval90, digits)}, within ±{number(each.delta, digits)}"
    if judgement.verdict == INCONCLUSIVE:
        effect = number(each.detectable, digits)
        text += f"; tested alone, an effect of {effect} would have been seen four times in five"
    return text


def _holm(tested: Mapping[str, float], others: Sequence[float]) -> dict[str, float]:
    """The p values of some claims, adjusted by Holm's procedure over them and others."""
    if not tested:
        return {}
    _, adjusted, *_ = multipletests([*tested.values(), *others], alpha=ALPHA, method="holm")
    return dict(zip(tested, map(float, adjusted), strict=False))


def _verdict(comparison: Paired, p_holm: float | None, p_best: float | None) -> Judgement:
    """One claim by the rule of ``verdicts``; its p values by Holm's procedure are None if it was not tested.

    Args:
        p_best: with claims to come counted as p = 0.
    """
    if p_holm is None:
        verdict = DESCRIBED
    elif -comparison.delta < comparison.interval90.low and comparison.interval90.high < comparison.delta:
        verdict = NO_EFFECT
    elif p_holm <= ALPHA:
        verdict = REPRODUCED if comparison.mean > 0 else CONTRADICTED
    else:
        verdict = WAITS if p_best <= ALPHA else INCONCLUSIVE
    return Judgement(comparison, verdict, p_holm)


def _finite(values: Sequence[float]) -> tuple[float, ...]:
    """Two or more finite numbers; anything else raises a ValueError."""
    values = tuple(float(value) for value in values)
    if len(values) < 2:
        raise InputError(f"an interval needs two or more values, not {len(values)}")
    if not all(map(math.isfinite, values)):
        raise InputError(f"an interval needs finite values, not {', '.join(map(str, values))}")
    return values


def _standard_error(values: Sequence[float], overlap: float) -> float:
    """s sqrt(1/n + overlap); exactly 0 for identical values, since ``statistics`` computes in fractions."""
    return statistics.stdev(values) * math.sqrt(1 / len(values) + overlap)


def _interval(values: Sequence[float], se: float, level: float) -> Interval:
    mean = statistics.mean(values)
    half = float(student.ppf((1 + level) / 2, len(values) - 1)) * se
    return Interval(mean, mean - half, mean + half, len(values))


def _span(of: Interval, digits: int) -> str:
    return f"{number(of.low, digits)} to {number(of.high, digits)}"
