"""The recipes of the page "Re-run a chapter" do what the page says: each is executed, at a small size.

What makes a recipe small stands in ``SMALL``: a recipe of the page without an entry there fails.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from drawn import discs, picture, save

from reprolib import data, files
from reprolib.runs import records
from reprolib.runs.machine import code_version

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the page's commands are those of a Unix shell")

PAGE = files.PROJECT / "book" / "rerun.md"
TINY = "data=phantom-em fold=1 steps=2"  # a training without data, of two steps
# Of each recipe: what is replaced, and by what, so that it takes seconds.
SMALL = {
    "Start": {
        "ADDRESS": f"file://{files.PROJECT}",
        "make env": "make --dry-run env",  # the environment is the one that runs this test
        "source .venv/bin/activate": f"source {shlex.quote(sys.prefix)}/bin/activate",
    },
    "A chapter with other parameters": {
        "steps 300": "steps 2",
        "jupyter lab": "jupyter nbconvert --to script --stdout",  # opens the file, and no browser
    },
    "The data": {"data fetch": "data fetch --help"},
    "Another part of the data": {},
    "More steps": {"-p steps 24000": "-p steps 2 -p width 2"},
    "Several seeds": {"width=16": f"{TINY} width=2", "tile=380": "tile=188"},
    "The paper's optimiser": {"width=16": f"{TINY} width=2", "tile=380": "tile=188"},
    "The paper's width": {"train": f"train {TINY}", "tile=572": "tile=188"},
    "Several devices": {
        "--nproc-per-node 4": "--nproc-per-node 2",
        "width=16": f"{TINY} width=2",
        "tile=380 batch=4": "tile=188 batch=2 --device cpu",
    },
    "Your own images": {
        "--minutes 15": "--minutes 15 steps=2 width=2 tile=188",
        "NAME.json": "*.json",
    },
    "The whole book": {"make book": "make --dry-run book"},
    "Every published run": {"--hours 2.5": "--hours 0.0001"},
}


def recipes() -> dict[str, str]:
    """The page's commands by the heading above them."""
    text = PAGE.read_text(encoding="utf-8")
    parts = re.split(r"^###? (.+)$", text, flags=re.MULTILINE)
    bodies = zip(parts[1::2], parts[2::2], strict=True)
    blocks = {name: re.findall(r"^```sh\n(.*?)^```", body, re.MULTILINE | re.DOTALL) for name, body in bodies}
    return {name: "\n".join(found) for name, found in blocks.items() if found}


def small(name: str) -> str:
    """A recipe's commands at a small size."""
    commands = recipes()[name]
    for words, fewer in SMALL[name].items():
        assert words in commands, f"the page has no more {words!r} in {name!r}"
        commands = commands.replace(words, fewer)
    return commands


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """Runs commands in a folder, ``shell.here``, that holds the book's chapters, and images with labels in mine/."""
    monkeypatch.setenv("REPROLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(files.PROJECT))
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "reprolib").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m reprolib.cli "$@"\n')
    (tools / "reprolib").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    here = tmp_path / "project"
    here.mkdir()
    for name in ("book", "Makefile", "pyproject.toml", "constraints.txt", "requirements.lock"):
        (here / name).symlink_to(files.PROJECT / name)
    for number in range(3):
        labels = discs()
        for folder in ("images", "labels"):
            save(here / "mine" / folder / f"{number}.png", labels if folder == "labels" else picture(labels, number))
    save(here / "new" / "new.png", picture(discs(), 9))

    def run(commands: str) -> subprocess.CompletedProcess:
        return subprocess.run(["bash", "-eu", "-c", commands], cwd=here, capture_output=True, text=True, timeout=900)

    run.here = here
    return run


def test_each_recipe_of_the_page_has_a_small_form():
    assert sorted(recipes()) == sorted(SMALL)


def test_the_book_is_cloned_and_its_tools_are_found(shell):
    if not Path(sys.prefix, "bin", "activate").exists():
        pytest.skip(f"{sys.prefix} is no environment that a shell activates")
    if not (files.PROJECT / ".git").exists():
        pytest.skip("not a git checkout: it cannot be cloned")
    done = shell(small("Start") + "\ncommand -v papermill jupyter\npwd")
    assert done.returncode == 0, done.stderr
    assert (shell.here / "unet" / "book" / "rerun.md").is_file() and (shell.here / "unet" / "runs").is_dir()
    assert "pip install" in done.stdout and done.stdout.splitlines()[-1] == str(shell.here / "unet")


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("A chapter with other parameters", ["06_training.out.ipynb", "out.ipynb"]),
        ("Another part of the data", ["09_hela.out.ipynb"]),
        pytest.param("More steps", ["07_em.out.ipynb"], marks=pytest.mark.realdata("isbi2012")),
    ],
)
def test_a_chapter_runs_with_other_parameters_and_leaves_the_book_as_it_was(shell, name, written):
    before = {path.name: path.stat().st_mtime_ns for path in (files.PROJECT / "book").glob("*.ipynb")}
    done = shell(small(name))
    assert done.returncode == 0, done.stderr[-2000:]
    for notebook in written:
        cells = json.loads((shell.here / notebook).read_text())["cells"]
        assert any("injected-parameters" in cell["metadata"].get("tags", ()) for cell in cells), notebook
    assert before == {path.name: path.stat().st_mtime_ns for path in (files.PROJECT / "book").glob("*.ipynb")}


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("Several seeds", [{"optimiser": "adam", "schedule": "cosine", "seed": seed} for seed in range(3)]),
        ("The paper's optimiser", [{"optimiser": "sgd", "momentum": 0.99, "schedule": "cosine"}]),
        ("The paper's width", [{"optimiser": "adam", "width": 64}]),
        ("Several devices", [{"optimiser": "adam", "batch": 2}]),
    ],
)
def test_a_training_is_recorded_with_the_fields_that_the_page_states(shell, tmp_path, name, fields):
    done = shell(small(name))
    assert done.returncode == 0, done.stderr[-2000:]
    made = sorted(
        (records.read(path).experiment for path in (tmp_path / "cache" / "runs").glob("*.json")),
        key=lambda one: one.seed,
    )
    assert [
        {field: getattr(one, field) for field in wanted} for one, wanted in zip(made, fields, strict=True)
    ] == fields


def test_ones_own_images_are_checked_trained_on_and_segmented(shell):
    done = shell(small("Your own images"))
    assert done.returncode == 0, done.stderr[-2000:]
    assert "wrong:" not in done.stdout and len(list((shell.here / "mine" / "looked-at").iterdir())) == 3
    assert (shell.here / "results" / "cells.csv").is_file()


@pytest.mark.realdata
def test_the_data_are_those_that_are_published(shell):
    done = shell(small("The data"))
    assert done.returncode == 0, done.stdout
    verified = [line for line in done.stdout.splitlines() if line.endswith("as published")]
    assert {line.split()[0] for line in verified} == set(data.REAL)


def test_make_book_executes_the_chapters_and_builds(shell):
    done = shell(small("The whole book"))
    assert done.returncode == 0 and "reprolib.cli book build" in done.stdout


def test_the_plan_says_what_is_missing_and_starts_no_run_that_cannot_finish(shell):
    if code_version().endswith("+") or len(code_version()) != 40:
        pytest.skip("the plan trains from a clean commit alone")
    done = shell(small("Every published run"))
    assert done.returncode == 0 and "runs to train" in done.stdout and "started" not in done.stdout
