"""The built site is replaced whole: a build that is killed or fails leaves the old one as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reprolib.asides import folder_under_way
from reprolib.errors import Busy, Failed
from reprolib.site import build, tidy
from reprolib.site.swap import alone, swap

BUILDER = """
import subprocess, sys, time
from pathlib import Path
from reprolib.site import build, swap

def fake(command, **_):
    html = Path(command[command.index("--path-output") + 1]) / "_build" / "html"
    html.mkdir(parents=True)
    (html / "index.html").write_text("<p>new</p>")
    if sys.argv[2] == "stop":
        print("half", flush=True)
        time.sleep(300)
    (html / "book").mkdir()
    (html / "book" / "index.html").write_text("<p>new</p>")
    return subprocess.CompletedProcess(command, 0, stdout="", stderr="")

folder = Path(sys.argv[1])
build.subprocess.run = fake
with swap.alone(folder / "_build" / "html"):
    build.build_site(folder / "source", folder)
"""


def start(folder: Path, how: str) -> subprocess.Popen:
    """A build whose builder writes two pages at once, or ("stop") one of them and then waits."""
    words = [sys.executable, "-c", BUILDER, str(folder), how]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def folder(tmp_path):
    """A book's folder with its source and an older site of two pages."""
    for page in ("_build/html/index.html", "_build/html/book/index.html", "source/book/index.ipynb"):
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / page).write_text("old")
    return tmp_path


def pages(folder: Path) -> dict[str, str]:
    html = folder / "_build" / "html"
    return {path.relative_to(html).as_posix(): path.read_text() for path in html.rglob("*.html")}


OLD = {"index.html": "old", "book/index.html": "old"}
NEW = dict.fromkeys(OLD, tidy.tidy("<p>new</p>"))


@pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
def test_a_build_that_is_killed_midway_leaves_the_old_site_whole_and_the_next_one_succeeds(folder):
    killed = start(folder, "stop")
    assert killed.stdout.readline() == "half\n"
    second = start(folder, "finish")
    said = second.communicate(timeout=60)[1]
    assert second.returncode and f"Busy: process {killed.pid} on " in said and "wait for it, or end it" in said
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    assert pages(folder) == OLD and len(list((folder / "_build").glob(".html.*.part"))) == 1
    third = start(folder, "finish")
    assert third.communicate(timeout=60)[1] == "" and third.returncode == 0
    assert pages(folder) == NEW
    assert sorted(path.name for path in (folder / "_build").iterdir()) in (["html"], [".html.lock", "html"])


def test_a_build_that_fails_leaves_the_old_site_whole_and_nothing_else(folder, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, stdout="a warning", stderr="")
    monkeypatch.setattr(build.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(Failed, match="a warning"):
        build.build_site(folder / "source", folder)
    assert pages(folder) == OLD and [path.name for path in (folder / "_build").iterdir()] == ["html"]


def test_a_site_whose_swap_was_cut_short_comes_back_at_the_next_start(folder):
    html = folder / "_build" / "html"
    html.rename(html.with_name(".html.old"))  # killed between the two renames
    with alone(html):
        assert pages(folder) == OLD
    html.with_name(".html.old").mkdir()  # killed while the old one was being deleted
    with alone(html):
        assert pages(folder) == OLD and not html.with_name(".html.old").exists()


def test_what_cannot_be_swapped_in_leaves_the_old_folder(folder):
    html = folder / "_build" / "html"
    with pytest.raises(FileNotFoundError), folder_under_way(html) as work:
        swap(work / "nothing", html)
    assert pages(folder) == OLD


def test_a_folder_is_held_by_one_at_a_time_and_free_after_an_error(tmp_path):
    with alone(tmp_path / "html"):
        with pytest.raises(
            Busy, match=rf"^process {os.getpid()} on .*, since .*, makes .*html: wait for it, or end it$"
        ):
            with alone(tmp_path / "html"):
                pass
    with pytest.raises(ZeroDivisionError), alone(tmp_path / "html"):
        raise ZeroDivisionError
    with alone(tmp_path / "html"):
        pass
