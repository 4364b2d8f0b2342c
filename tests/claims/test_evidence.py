"""The table of records behind a page's numbers."""

from __future__ import annotations

from reprolib.claims import evidence
from reprolib.plan import catalogue
from reprolib.runs import records


def test_a_setting_reads_as_one_says_it():
    assert evidence.setting("images", 0) == "all images" and evidence.setting("rotate", False) == "no rotate"


def test_a_table_of_no_runs_has_a_head_alone():
    assert evidence.runs_table([]).count("\n") == 1


def test_a_table_of_runs_says_what_differs_and_names_one_machine_once():
    runs = records.available([catalogue.em(fold) for fold in (2, 4)])
    lines = evidence.runs_table(runs).splitlines()
    assert "| fold 2 |" in lines[2] and "| fold 4 |" in lines[3] and lines[-1].startswith("All on ")
    mixed = evidence.runs_table(records.available([catalogue.em(fold) for fold in (1, 2)]))
    assert "All on" not in mixed and mixed.splitlines()[0].endswith("| on |")
