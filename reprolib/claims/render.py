"""The table of claims in print: the first page's HTML, a chapter's Markdown, the README's."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape

from reprolib.claims.claim import Claim, Verdict
from reprolib.printing import markdown


def badge(verdict: Verdict, text: str, tag: str, more: str) -> str:
    """A verdict in its colour: an element `tag` with the attribute `more`."""
    return f'<{tag} class="verdict verdict-{verdict.replace(" ", "-")}" {more}>{text}</{tag}>'


def html(claims: Sequence[Claim], titles: Mapping[str, str]) -> str:
    """How many claims have which verdict, then a table by chapter; each badge leads to the chapter.

    A row's protocol and the command that re-runs it unfold on a click. On a phone the rows are drawn as cards, and a
    script makes the counts buttons that show the rows of one verdict alone.

    Args:
        titles: of the chapters by the notebook's name; the table has their order.
    """
    counts = Counter(claim.verdict for claim in claims)
    tally = (badge(v, f"{counts[v]} {v}", "span", f'data-verdict="{v}"') for v in Verdict if counts[v])
    heads = ("claim", "paper", "ours", "verdict")
    lines = [f'<p class="tally">{len(claims)} claims: {" ".join(tally)}</p>', '<table class="claims">', "<thead><tr>"]
    lines += [f'<th scope="col">{head}</th>' for head in heads]
    lines += ["</tr></thead>"]
    for chapter, title in titles.items():
        rows = [claim for claim in claims if claim.chapter == chapter]
        if not rows:
            continue
        lines += ["<tbody>", f'<tr class="chapter"><th scope="rowgroup" colspan="4">{escape(title)}</th></tr>']
        lines += [_html_row(claim, heads) for claim in rows]
        lines.append("</tbody>")
    return "\n".join([*lines, "</table>"])


def _html_row(claim: Claim, heads: Sequence[str]) -> str:
    how = f"<p>{escape(claim.protocol)}.</p><code>{escape(claim.command)}</code>"
    how = "" if claim.verdict is Verdict.NOT_RUN_YET else f"<details><summary>how</summary>{how}</details>"
    parts = (re.sub(r"(\de)-(\d)", "\\1\u2011\\2", part) for part in claim.ours)  # 1e-9 is not to break at its sign
    ours = "".join(f"<div>{escape(part)}</div>" for part in parts)
    verdict = badge(claim.verdict, claim.verdict, "a", f'href="{claim.chapter}.html"')
    cells = (f"{escape(claim.claim)}{how}", escape(claim.paper), ours, verdict)
    shown = (f'<td data-label="{head}">{cell}</td>' for head, cell in zip(heads, cells, strict=True))
    return f'<tr data-verdict="{claim.verdict}">{"".join(shown)}</tr>'


def chapter(claims: Sequence[Claim]) -> str:
    """For a chapter, as Markdown: claim, ours, verdict."""
    rows = [(claim.claim, "<br>".join(claim.ours), f"**{claim.verdict}**") for claim in claims]
    return markdown(("claim", "ours", "verdict"), rows, words=3)


def summary(claims: Sequence[Claim]) -> str:
    """How many claims have which verdict, in one line: "30 claims: 3 exact, 14 reproduced ..."."""
    counts = Counter(claim.verdict for claim in claims)
    return f"{len(claims)} claims: " + ", ".join(f"{counts[v]} {v}" for v in Verdict if counts[v]) + "."


def readme(claims: Sequence[Claim]) -> str:
    """For the README, as Markdown: a test holds it equal to what ``reprolib claims`` prints."""
    lines = [f"**{summary(claims)}**", "", "| claim | paper | ours | verdict |", "|---|---|---|---|"]
    lines += [f"| {one.claim} | {one.paper} | {'<br>'.join(one.ours)} | {one.verdict} |" for one in claims]
    lines += ["", "<details><summary>How each was measured: data, folds or seeds, measure, rule</summary>", ""]
    shared: dict[str, list[str]] = {}
    for one in claims:
        shared.setdefault(one.protocol, []).append(one.claim)
    lines += ["| claims | protocol |", "|---|---|"]
    lines += [f"| {'<br>'.join(names)} | {protocol} |" for protocol, names in shared.items()]
    return "\n".join([*lines, "", "</details>"])
