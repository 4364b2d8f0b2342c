"""A claim of the paper, what became of it, and the table of the book's first page.

A verdict follows from a rule, never from judgement:

* *exact*: arithmetic that came out to the last digit;
* *reproduced*, *partly*, *not reproduced*: a property that was measured, by the bound stated in the row; of two kinds
  of network: better in every pair of runs (same images, same seed), on the average alone, or not (``compare``);
* *not comparable*: a score on other images than the paper's; both values are shown;
* *not run yet*: no run is recorded, so there is no verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

VERDICTS = ("exact", "reproduced", "partly", "not reproduced", "not comparable", "not run yet")


@dataclass(frozen=True)
class Claim:
    """One row of the table; all fields are text as it is printed."""

    claim: str
    paper: str
    ours: str
    protocol: str
    verdict: str
    chapter: str  # the notebook's name without ending

    def __post_init__(self):
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict {self.verdict!r} is unknown: choose one of {', '.join(VERDICTS)}")

    @property
    def command(self) -> str:
        """What re-runs the chapter that the row comes from."""
        return f"reprolib run book/{self.chapter}.ipynb"


def not_run_yet(claim: str, paper: str, chapter: str) -> Claim:
    return Claim(claim, paper, "-", "-", "not run yet", chapter)


def table(rows: Sequence[Claim]) -> str:
    """The table as Markdown, with a badge for each verdict, and chapter and command beside the protocol."""
    lines = ["| claim | paper | ours | verdict | protocol, chapter and command |", "|---|---|---|---|---|"]
    for row in rows:
        badge = f'<span class="verdict verdict-{row.verdict.replace(" ", "-")}">{row.verdict}</span>'
        where = f"{row.protocol}. [Chapter {int(row.chapter[:2])}]({row.chapter}.html), `{row.command}`"
        how = "-" if row.verdict == "not run yet" else where
        lines.append(f"| {row.claim} | {row.paper} | {row.ours} | {badge} | {how} |")
    return "\n".join(lines)


def plain_table(rows: Sequence[Claim]) -> str:
    """The same for the README, which a test holds equal to this: ``python -m reprolib.claims`` prints it."""
    lines = ["| claim | paper | ours | protocol | verdict |", "|---|---|---|---|---|"]
    lines += [f"| {row.claim} | {row.paper} | {row.ours} | {row.protocol} | {row.verdict} |" for row in rows]
    return "\n".join(lines)
