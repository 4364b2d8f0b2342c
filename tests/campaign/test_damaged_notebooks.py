"""A damaged notebook is a chapter that papermill takes, or one sentence, whatever the libraries make of it."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from reprolib import cli
from reprolib.errors import InputError
from reprolib.site import build, chapters
from tests.campaign import notebooks


def test_the_original_is_a_chapter(tmp_path):
    path = tmp_path / "chapter.ipynb"
    path.write_text(json.dumps(notebooks.original()))
    assert notebooks.outcome(path) == "chapter"


def test_150_damaged_notebooks_are_chapters_or_one_sentence_that_names_the_file():
    outcomes = Counter(notebooks.judge(0, number)[1] for number in range(150))
    assert set(outcomes) == {"chapter", "sentence"}, outcomes
    assert outcomes["sentence"] > 75 and outcomes["chapter"] > 10


def test_a_damaged_notebook_is_the_same_each_time_and_another_for_each_number():
    assert notebooks.damaged(3, 7) == notebooks.damaged(3, 7)
    assert len({notebooks.damaged(3, number) for number in range(50)}) > 40


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "Expecting value"),
        (b"\xff\xfe{}", "codec can't decode"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[]", "it has no nbformat"),
        (b'{"nbformat": 3, "nbformat_minor": 0, "worksheets": [], "metadata": {}}', "nbformat is not 4"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}', "cells is no list of cells"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [3]}', "cells is no list of cells"),
        (b'{"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [{"cell_type": "x"}]}', "cells/0"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {"reprolib": []}, "cells": []}', "metadata/reprolib"),
    ],
)
def test_run_refuses_what_is_no_notebook_in_one_sentence(tmp_path, content, why, capsys):
    path = tmp_path / "a.ipynb"
    path.write_bytes(content)
    assert cli.main(["run", str(path), "-o", str(tmp_path / "b.ipynb")]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"reprolib: {path} is not a notebook of format 4 (") and why in told
    assert told.count("\n") == 1 and list(tmp_path.iterdir()) == [path]


def test_a_damaged_record_of_executions_is_refused_in_one_sentence_that_names_it(tmp_path):
    path = tmp_path / build.PUBLISHED
    for content in ("", "[]", '{"a": 1}', '{"a": {"needs": []}}', '{"a": {"needs": 1, "missing": []}}'):
        path.write_text(content)
        with pytest.raises(InputError, match=r"published\.json holds no records of executions"):
            build._read_records(path)


def test_a_chapter_without_a_heading_is_named(tmp_path):
    notebook = notebooks.original() | {"cells": []}
    (tmp_path / "a.ipynb").write_text(json.dumps(notebook))
    with pytest.raises(InputError, match=r"a\.ipynb has no title"):
        chapters.titles(tmp_path)
