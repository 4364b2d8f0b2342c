"""A claim of the paper, what became of it, and the table of the book's first page.

A verdict follows from a rule, never from judgement:

* *exact*: arithmetic that came out to the last digit;
* *reproduced*, *partly*, *not reproduced*: a property that was measured, by the bound stated in the row; of two kinds
  of network: better in every pair of runs (same images, same seed), on the average alone, or not (``compare``); of
  a part taken away on EM: better on the average in all three scores of Table 1, in some, or in none (``results``);
* *better*, *equal* (to within a tenth), *worse*, *not decided*: a score on the paper's own test slices against the
  paper's, by the interval of our seeds (``verdict``);
* *not comparable*: a score on other images than the paper's; both values are shown;
* *not run yet*: no run is recorded, so there is no verdict.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

VERDICTS = (
    "exact",
    "reproduced",
    "better",
    "equal",
    "partly",
    "not reproduced",
    "worse",
    "not decided",
    "not comparable",
    "not run yet",
)


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


def badge(verdict: str, text: str, tag: str, more: str) -> str:
    """A verdict in its colour: an element `tag` with the attribute `more`."""
    return f'<{tag} class="verdict verdict-{verdict.replace(" ", "-")}" {more}>{text}</{tag}>'


def table(rows: Sequence[Claim], titles: Mapping[str, str]) -> str:
    """The claims as HTML: how many have which verdict, then a table by chapter; each badge leads to the chapter.

    A row's protocol and the command that re-runs it unfold on a click. On a phone the rows are drawn as cards, and a
    script makes the counts buttons that show the rows of one verdict alone.

    titles : of the chapters by the notebook's name; the table has their order.
    """
    counts = Counter(row.verdict for row in rows)
    tally = (badge(v, f"{counts[v]} {v}", "span", f'data-verdict="{v}"') for v in VERDICTS if counts[v])
    heads = ("claim", "paper", "ours", "verdict")
    lines = [f'<p class="tally">{len(rows)} claims: {" ".join(tally)}</p>', '<table class="claims">', "<thead><tr>"]
    lines += [f'<th scope="col">{head}</th>' for head in heads]
    lines += ["</tr></thead>"]
    for chapter, title in titles.items():
        found = [row for row in rows if row.chapter == chapter]
        if not found:
            continue
        lines += ["<tbody>", f'<tr class="chapter"><th scope="rowgroup" colspan="4">{escape(title)}</th></tr>']
        for row in found:
            how = f"<p>{escape(row.protocol)}.</p><code>{row.command}</code>"
            how = f"<details><summary>how</summary>{how}</details>" if row.verdict != "not run yet" else ""
            parts = re.sub(r"(\de)-(\d)", "\\1\u2011\\2", row.ours).split("; ")  # 1e-9 is not to break at its sign
            ours = "".join(f"<div>{escape(part)}</div>" for part in parts)
            verdict = badge(row.verdict, row.verdict, "a", f'href="{row.chapter}.html"')
            cells = (f"{escape(row.claim)}{how}", escape(row.paper), ours, verdict)
            shown = (f'<td data-label="{head}">{cell}</td>' for head, cell in zip(heads, cells, strict=True))
            lines.append(f'<tr data-verdict="{row.verdict}">{"".join(shown)}</tr>')
        lines.append("</tbody>")
    return "\n".join([*lines, "</table>"])


def verdicts(rows: Sequence[Claim]) -> str:
    """The same for a chapter, as Markdown: claim, ours, verdict."""
    lines = ["| claim | ours | verdict |", "|---|---|---|"]
    lines += [f"| {row.claim} | {row.ours.replace('; ', '<br>')} | **{row.verdict}** |" for row in rows]
    return "\n".join(lines).replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")


def summary(rows: Sequence[Claim]) -> str:
    """How many rows have which verdict, in one line of Markdown: "30 claims: 3 exact, 14 reproduced ..."."""
    counts = Counter(row.verdict for row in rows)
    return f"{len(rows)} claims: " + ", ".join(f"{counts[name]} {name}" for name in VERDICTS if counts[name]) + "."


def plain_table(rows: Sequence[Claim]) -> str:
    """The same for the README, which a test holds equal to this: ``python -m reprolib.claims`` prints it."""
    lines = [f"**{summary(rows)}**", "", "| claim | paper | ours | verdict |", "|---|---|---|---|"]
    lines += [f"| {row.claim} | {row.paper} | {row.ours.replace('; ', '<br>')} | {row.verdict} |" for row in rows]
    lines += ["", "<details><summary>How each was measured: data, folds or seeds, measure, rule</summary>", ""]
    shared: dict[str, list[str]] = {}
    for row in rows:
        shared.setdefault(row.protocol, []).append(row.claim)
    lines += ["| claims | protocol |", "|---|---|"]
    lines += [f"| {'<br>'.join(claims)} | {protocol} |" for protocol, claims in shared.items()]
    return "\n".join([*lines, "", "</details>"])
