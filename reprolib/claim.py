"""A claim of the paper, what became of it, and the table of the book's first page.

A verdict follows from a rule, never from judgement:

* *exact*: arithmetic that came out to the last digit;
* *reproduced*, *partly*, *not reproduced*: a property that was measured, by the bound stated in the row; of two kinds
  of network: better in every pair of runs (same images, same seed), on the average alone, or not (``compare``); of
  a part taken away on EM: better on the average in all three scores of Table 1, in some, or in none (``results``);
* *not comparable*: a score on other images than the paper's; both values are shown;
* *not run yet*: no run is recorded, so there is no verdict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

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
    """The table as HTML; each verdict is a badge that leads to its chapter. On a phone the rows are drawn as cards."""
    lines = ['<table class="claims">', "<thead><tr>"]
    heads = ("claim", "paper", "ours", "verdict", "protocol and command")
    lines += [f'<th scope="col">{head}</th>' for head in heads]
    lines += ["</tr></thead>", "<tbody>"]
    for row in rows:
        badge = (
            f'<a class="verdict verdict-{row.verdict.replace(" ", "-")}" href="{row.chapter}.html">{row.verdict}</a>'
        )
        how = "-" if row.verdict == "not run yet" else f"{escape(row.protocol)}. <code>{row.command}</code>"
        cells = (escape(row.claim), escape(row.paper), escape(row.ours), badge, how)
        shown = (f'<td data-label="{head}">{cell}</td>' for head, cell in zip(heads, cells, strict=True))
        lines.append(f"<tr>{''.join(shown)}</tr>")
    return "\n".join([*lines, "</tbody></table>"])


def summary(rows: Sequence[Claim]) -> str:
    """How many rows have which verdict, in one line of Markdown: "30 claims: 3 exact, 14 reproduced ..."."""
    counts = Counter(row.verdict for row in rows)
    return f"{len(rows)} claims: " + ", ".join(f"{counts[name]} {name}" for name in VERDICTS if counts[name]) + "."


def plain_table(rows: Sequence[Claim]) -> str:
    """The same for the README, which a test holds equal to this: ``python -m reprolib.claims`` prints it."""
    lines = [f"**{summary(rows)}**", "", "| claim | paper | ours | verdict |", "|---|---|---|---|"]
    lines += [f"| {row.claim} | {row.paper} | {row.ours} | {row.verdict} |" for row in rows]
    lines += ["", "<details><summary>The protocol of each row: data, folds or seeds, measure, rule</summary>", ""]
    lines += ["| claim | protocol |", "|---|---|", *(f"| {row.claim} | {row.protocol} |" for row in rows)]
    return "\n".join([*lines, "", "</details>"])
