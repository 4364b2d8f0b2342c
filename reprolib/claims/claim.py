"""A claim of the paper and what became of it.

A verdict follows from a rule, never from judgement:

* *exact*: arithmetic that came out to the last digit;
* *reproduced*, *partly*, *not reproduced*: a property that was measured, by the bound stated in the row; of two kinds
  of network: better in every pair of runs (same images, same seed), on the average alone, or not (``orderings``); of
  a part taken away on EM: better on the average in all three scores of Table 1, in some, or in none (``results``);
* *reproduced*, *contradicted*, *no effect* (above a smallest one worth having), *inconclusive*: a primary claim of the
  protocol, by paired differences over five choices of training images (``verdict``);
* *better*, *equal* (to within a tenth), *worse*, *not decided*: a score on the paper's own test slices against the
  paper's, by the interval of our seeds (``verdict``);
* *not comparable*: a score on other images than the paper's; both values are shown;
* *not run yet*: no run is recorded, so there is no verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """In the order of the tally."""

    EXACT = "exact"
    REPRODUCED = "reproduced"
    BETTER = "better"
    EQUAL = "equal"
    PARTLY = "partly"
    NO_EFFECT = "no effect"
    NOT_REPRODUCED = "not reproduced"
    CONTRADICTED = "contradicted"
    WORSE = "worse"
    INCONCLUSIVE = "inconclusive"
    NOT_DECIDED = "not decided"
    NOT_COMPARABLE = "not comparable"
    NOT_RUN_YET = "not run yet"


ARGUED = "argued, no figure"  # what the paper gives for many of its claims
GOOD = (Verdict.EXACT, Verdict.REPRODUCED, Verdict.BETTER, Verdict.EQUAL)
BAD = (Verdict.NO_EFFECT, Verdict.NOT_REPRODUCED, Verdict.CONTRADICTED, Verdict.WORSE)


@dataclass(frozen=True)
class Claim:
    """One row of the table."""

    key: str  # a short name: translations and pages refer to the row by it
    claim: str
    paper: str  # the paper's figure or words
    ours: tuple[str, ...]  # what we found, a line each
    protocol: str  # data, split, seeds, measure, rule
    verdict: Verdict
    chapter: str  # the notebook's name without ending
    score: str = ""  # of a row of Table 1 or 2: our figure alone, as printed

    @property
    def command(self) -> str:
        """What re-runs the chapter that the row comes from."""
        return f"reprolib run book/{self.chapter}.ipynb"


def not_run_yet(key: str, claim: str, paper: str, chapter: str) -> Claim:
    return Claim(key, claim, paper, ("-",), "-", Verdict.NOT_RUN_YET, chapter)
