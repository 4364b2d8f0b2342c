"""The protocol's page and the recipes that the plan trains say the same."""

from __future__ import annotations

import re

from reprolib.claims import table1, verdict
from reprolib.data.sources import TEST_ROWS
from reprolib.evaluation.cells import SMALLEST, WATERSHED_SEEDS, WATERSHED_THRESHOLDS
from reprolib.files import PROJECT
from reprolib.plan import purposes, recipes
from reprolib.splits import APART

PAGE = re.sub(r"\s+", " ", (PROJECT / "book" / "protocol.md").read_text(encoding="utf-8"))
WORDS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}


def test_the_headline_of_table_1_is_as_the_page_says():
    run = recipes.em_test(0)
    assert f"Five seeds at width {run.width}, trained on all 30 training slices for {run.steps:,} steps" in PAGE
    assert len(table1.SEEDS) == 5
    assert f"Rows {TEST_ROWS[0]} to {TEST_ROWS[1] - 1}" in PAGE


def test_the_cells_are_scored_as_the_page_says():
    for data in recipes.CELLS:
        run = recipes.cells(data, "thirds", 1)
        assert (run.connectivity, SMALLEST[data], run.mean_of_flips) == (8, 501, run.flip)
    assert "8-connected components above 500 px" in PAGE
    assert f"within {WORDS[APART]} frames of a scored one do not train" in PAGE
    assert f"candidates for HeLa are {WORDS[len(recipes.TRIALS['dic-hela'])]}" in PAGE
    assert "6,000 and 12,000 steps" in PAGE
    assert {run.steps for run in recipes.cells_trials("phc-u373").values()} == {6000, 12000}
    assert recipes.BASE["dic-hela"]["scale"] == 0.5 and "half its sides" in PAGE
    assert max(WATERSHED_THRESHOLDS) <= min(WATERSHED_SEEDS)


def test_the_rule_is_as_the_page_says():
    assert len(recipes.primary_claims()) <= verdict.MOST_CLAIMS
    assert verdict.ALPHA == 0.05 and "at 5 %" in PAGE
    assert len(recipes.CHOICES) == verdict.FEWEST_CHOICES == 5 and "five choices of the training images" in PAGE
    assert "$c = 6/24$" in PAGE and {claim.overlap for claim in recipes.primary_claims()} == {0, 6 / 24}


def test_the_page_lists_every_primary_claim_and_the_headlines_keys():
    table = purposes.primary_table()
    assert all(claim.claim in table for claim in recipes.primary_claims())
    assert all(recipes.em_test(seed).key in purposes.headline_table() for seed in table1.SEEDS)
    assert "<!-- primary claims -->" in PAGE and "<!-- headline -->" in PAGE
