"""Tables of measurements: every number and name comes back, and a spreadsheet computes none of the names."""

from __future__ import annotations

import csv
import io
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprolib.own.tables import as_text, write_all, write_table

SIGNS = ("=", "+", "-", "@", "\uff1d")
EVIL = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    " =1",
    "\t=1",
    "\r=1",
    "\uff1d1+1",
    "a;=1+1",
    'a";=1+1',
    'a;"=1',
    "a\t=1",
    "a,=1",
]


@pytest.mark.skipif(os.name != "posix", reason="such names of files are those of Unix")
@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_no_name_becomes_a_formula_with_any_separator(tmp_path, name, separator):
    write_table(tmp_path / f"{name}.classes.csv", {"class": np.arange(2), "name": np.array([name, "b"])})
    path = write_all(tmp_path, "classes")
    for table in (path, tmp_path / f"{name}.classes.csv"):
        text = table.read_bytes().decode()
        cells = [cell for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) for cell in row]
        assert len(cells) >= 3 and not any(cell.strip(' \t\r\n"').startswith(SIGNS) for cell in cells), text
    rows = list(csv.DictReader(path.open(encoding="utf-8", newline="")))
    one_line = name.replace("\t", " ").replace("\r", " ")
    assert [row["name"].replace("'", "") for row in rows] == [one_line, "b"]
    assert {row["image"].replace("'", "") for row in rows} == {one_line}


@given(st.text(max_size=20))
def test_only_apostrophes_are_added_and_only_once(name):
    text = as_text(name)
    assert as_text(text) == text and "\n" not in text
    if name.isprintable():
        assert text.replace("'", "") == name.replace("'", "")
    if name.replace(" ", "").isalnum():
        assert text == name


def test_numbers_below_zero_stay_numbers_and_keep_every_digit(tmp_path):
    angles = np.array([-0.1, 1 / 3, -1.5e-300, 2.0, np.nan])
    write_table(tmp_path / "a.cells.csv", {"label": np.arange(5) + 2**40, "orientation": angles})
    write_table(tmp_path / "-b.cells.csv", {"label": np.arange(1), "area (um2)": np.array([0.25])})
    rows = list(csv.DictReader(write_all(tmp_path, "cells").open(encoding="utf-8", newline="")))
    assert [row["image"] for row in rows] == ["'-b"] + ["a"] * 5
    np.testing.assert_array_equal([float(row["orientation"]) for row in rows[1:]], angles)
    assert [row["label"] for row in rows[1:]] == [str(2**40 + k) for k in range(5)]
    assert (rows[0]["orientation"], rows[0]["area (um2)"], rows[1]["area (um2)"]) == ("", "0.25", "")
