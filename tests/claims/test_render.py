"""Claims in print: the first page's HTML, a chapter's table, the README's, the Chinese page's."""

from __future__ import annotations

import re

from reprolib.claims import chinese, listing, render
from reprolib.claims.claim import Claim, Verdict, not_run_yet

ROWS = [
    Claim("first", "a < b", "1", ("2", "3e-9"), "how", Verdict.REPRODUCED, "07_em"),
    not_run_yet("second", "c", "3", "10_ancestors"),
    Claim("third", "d", "4", ("5",), "so", Verdict.REPRODUCED, "07_em"),
]
TITLES = {"06_training": "Training", "07_em": "EM & more", "10_ancestors": "Ancestors"}


def test_the_claims_table_is_html_with_badges_that_lead_to_chapters():
    html = render.html(ROWS, TITLES)
    assert "a &lt; b" in html and html.count("<tr data-verdict=") == len(ROWS)
    assert re.findall(r'colspan="4">([^<]*)', html) == ["EM &amp; more", "Ancestors"]  # and none without a claim
    assert html.index(">a &lt; b<") < html.index(">d<") < html.index(">c<")  # by chapter
    assert '<a class="verdict verdict-reproduced" href="07_em.html">reproduced</a>' in html
    assert "<details><summary>how</summary><p>how.</p><code>reprolib run book/07_em.ipynb</code></details>" in html
    assert html.count("<details>") == 2  # one for each that has a protocol
    assert 'data-verdict="reproduced">2 reproduced</span>' in html and "<div>2</div><div>3e\u20119</div>" in html


def test_nothing_that_a_claim_says_is_markup_in_its_table():
    said = "<b>"
    html = render.html([Claim(said, said, said, (said,), said, Verdict.REPRODUCED, "07_em")], {"07_em": said})
    assert said not in html and html.count("&lt;b&gt;") == 5


def test_the_summary_counts_each_verdict():
    assert render.summary(ROWS) == "3 claims: 2 reproduced, 1 not run yet."


def test_a_chapters_table_has_a_row_for_each_claim():
    lines = render.chapter(ROWS).splitlines()
    assert lines[2:] == ["| a < b | 2<br>3e-9 | **reproduced** |", "| c | - | **not run yet** |",
                         "| d | 5 | **reproduced** |"]  # fmt: skip


def test_the_readme_has_every_claim_and_each_protocol_once():
    shared = Claim("fourth", "e", "6", ("7",), "how", Verdict.WORSE, "07_em")
    text = render.readme([*ROWS, shared])
    assert text.startswith("**4 claims: 2 reproduced, 1 worse, 1 not run yet.**\n\n")
    assert "| a < b | 1 | 2<br>3e-9 | reproduced |" in text and "| e | 6 | 7 | worse |" in text
    assert "| a < b<br>e | how |" in text and "| d | so |" in text


def test_the_chinese_summary_names_every_claim_and_its_verdict():
    rows = listing.claims()
    text = chinese.results(rows)
    assert text.count('class="verdict') == len(rows) and set(chinese.CLAIMS) == {row.key for row in rows}
    assert sum(map(int, re.findall(r" (\d+) 条", text.split("：")[1]))) == len(rows)
    seg = next(row for row in rows if "U373" in row.claim)
    assert f"| {seg.paper} | {seg.score} |" in text and seg.ours[0].startswith(seg.score)
