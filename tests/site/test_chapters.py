"""Executing a chapter: parameters are checked, the output is whole or absent, a page shows the right run."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from reprolib import data
from reprolib.asides import place
from reprolib.site import build, chapters
from reprolib.site.chapters import Execution
from reprolib.site.status import page

PARAMETERS = """\
steps: int = 500  # Training steps
rate: float = 1e-3  # Learning rate
quick: bool = True  # Few steps only
note: str = "none"  # A remark
"""
MACHINE = {
    "python": "3.11.7",
    "system": "Linux",
    "processor": "p",
    "accelerator": "none",
    "threads": 2,
    "versions": {"numpy": "2.4.6"},
    "data": {"isbi2012": {"train-volume.tif": "abc"}},
}

unix = pytest.mark.skipif(os.name != "posix", reason="signals of Unix")


def _chapter(path: Path, *code: str, needs=(), parameters=PARAMETERS, outputs=()) -> Path:
    cells = [new_markdown_cell("# A chapter"), new_code_cell(parameters, metadata={"tags": ["parameters"]})]
    cells += [new_code_cell(source) for source in code]
    cells[-1].outputs = [new_output("stream", text=text) for text in outputs]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel, "reprolib": {"needs": list(needs)}}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=cells, metadata=metadata), path)
    return path


@pytest.fixture
def chapter(tmp_path):
    return _chapter(tmp_path / "03_tile.ipynb", "print('steps', steps)")


# parameters


def test_parameters_carry_type_default_and_help(chapter):
    found = chapters.parameters(chapter)
    assert list(found) == ["steps", "rate", "quick", "note"]
    assert found["rate"] == chapters.Parameter("rate", "float", 1e-3, "Learning rate")
    assert found["note"].default == "none"


def test_a_parameter_that_papermill_would_drop_is_refused(tmp_path):
    bad = _chapter(tmp_path / "bad.ipynb", parameters='query: str = "a=b"  # An equals sign in the value')
    with pytest.raises(ValueError, match="'query' cannot be read"):
        chapters.parameters(bad)


def test_an_unknown_name_is_refused_with_the_nearest_valid_one(chapter):
    with pytest.raises(ValueError, match=r"no parameter 'step': .*did you mean 'steps'"):
        chapters.check(chapter, {"step": "3"})


@pytest.mark.parametrize(("text", "value"), [("false", False), ("False", False), ("true", True), ("0", False)])
def test_the_text_false_is_false(chapter, text, value):
    assert chapters.check(chapter, {"quick": text})["quick"] is value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("quick", "maybe"),
        ("quick", 1),
        ("steps", "2.5"),
        ("steps", 2.0),
        ("steps", True),
        ("steps", None),
        ("rate", "fast"),
        ("rate", "nan"),
        ("rate", float("inf")),
        ("note", 3),
    ],
)
def test_a_value_of_another_type_is_refused_in_one_sentence(chapter, name, value):
    with pytest.raises(ValueError, match=rf"^{name} must be \w+ .*, not .*\.$"):
        chapters.check(chapter, {name: value})


def test_text_from_the_command_line_becomes_the_declared_type(chapter):
    values = chapters.check(chapter, {"steps": "7", "rate": "1e-5", "note": "true"})
    assert values == {"steps": 7, "rate": 1e-5, "note": "true"}
    assert [type(value) for value in values.values()] == [int, float, str]


def test_a_chapter_says_what_data_it_needs(tmp_path):
    assert chapters.needs(_chapter(tmp_path / "a.ipynb", needs=["isbi2012"])) == ("isbi2012",)
    with pytest.raises(ValueError, match="did you mean 'isbi2012'"):
        chapters.needs(_chapter(tmp_path / "b.ipynb", needs=["isbi2021"]))
    silent = tmp_path / "c.ipynb"
    nbformat.write(new_notebook(), silent)
    with pytest.raises(ValueError, match="does not say what data it needs"):
        chapters.needs(silent)


def test_a_missing_chapter_is_refused_with_the_nearest_name(chapter):
    with pytest.raises(FileNotFoundError, match=r"did you mean '03_tile\.ipynb'"):
        chapters.parameters(chapter.with_name("03_tiles.ipynb"))


# execution


def test_a_run_takes_parameters_and_measures_the_kernel(tmp_path):
    hold = "from pathlib import Path\nheld = b'1' * (400 << 20)\nimport time\ntime.sleep(1)"
    path = _chapter(tmp_path / "book" / "a.ipynb", hold, "print(steps, rate, quick, repr(note), Path.cwd())")
    before = path.read_bytes()
    ours = np.ones(2000 << 17)  # 2 GB of this process, which are not the chapter's
    values = {"steps": "7", "rate": "1e-5", "quick": "false", "note": "true"}
    execution = chapters.run(path, tmp_path / "out" / "b.ipynb", values, log=False)
    printed = nbformat.read(tmp_path / "out" / "b.ipynb", 4).cells[-1].outputs[0].text
    assert printed == f"7 1e-05 False 'true' {path.parent.resolve()}\n"
    assert 400 < execution.peak_mb < 1500 < ours.nbytes / 2**20 and 0 < execution.seconds < 300
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["b.ipynb"]
    assert path.read_bytes() == before


def test_a_failing_chapter_names_its_cell_and_leaves_no_file(tmp_path):
    path = _chapter(tmp_path / "a.ipynb", "1 + 1", "raise ValueError('the tile is odd')")
    with pytest.raises(RuntimeError, match=r"a\.ipynb failed: cell \[3\] raised ValueError: the tile is odd"):
        chapters.run(path, tmp_path / "out" / "a.ipynb", log=False)
    assert list((tmp_path / "out").iterdir()) == []


@contextlib.contextmanager
def _under_way(folder: Path):
    """`reprolib run` in a process of its own, and its kernel, in the midst of a cell of five minutes."""
    mark = "import os, time\nfrom pathlib import Path\nPath('kernel').write_text(str(os.getpid()))\ntime.sleep(300)"
    path = _chapter(folder / "book" / "a.ipynb", mark)
    words = [sys.executable, "-m", "reprolib.cli", "run", str(path), "-o", str(folder / "out" / "a.ipynb")]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    there = folder / "book" / "kernel"
    while not (there.exists() and there.read_text()):
        assert process.poll() is None
        time.sleep(0.1)
    yield process, psutil.Process(int(there.read_text()))
    process.kill()


@unix
@pytest.mark.parametrize("sent", [(signal.SIGTERM,), (signal.SIGHUP,), (signal.SIGTERM,) * 3], ids=str)
def test_a_run_that_is_told_to_end_takes_its_kernel_along_and_leaves_no_file(tmp_path, sent):
    with _under_way(tmp_path) as (process, kernel):
        for one in sent:
            process.send_signal(one)
        assert "interrupted" in process.communicate(timeout=60)[1] and process.returncode == 130
        assert psutil.wait_procs([kernel], timeout=10)[1] == []
    assert list((tmp_path / "out").iterdir()) == []


@unix
def test_a_run_that_is_killed_takes_its_kernel_along_and_the_next_one_removes_what_it_left(tmp_path):
    with _under_way(tmp_path) as (process, kernel):
        family = [kernel, *psutil.Process(process.pid).children(recursive=True)]
        process.kill()
        process.communicate(timeout=60)
        assert psutil.wait_procs(family, timeout=10)[1] == []
    (left,) = (tmp_path / "out").iterdir()
    assert left.name == f".a.ipynb.{process.pid}.{place()}.part.ipynb"
    reused = left.with_name(f".a.ipynb.{os.getpid()}.{place()}.part.ipynb")
    reused.touch()
    os.utime(reused, (0, 0))  # of an earlier process of the same number
    marks = (f"a.ipynb.{os.getppid()}.{place()}", f"a.ipynb.{process.pid}.0badf00d")  # alive; of another computer
    others = {left.with_name(f".{mark}.part.ipynb") for mark in marks}
    for other in others:
        other.touch()
    chapters.run(_chapter(tmp_path / "b.ipynb", "1"), tmp_path / "out" / "a.ipynb", log=False)
    assert set((tmp_path / "out").iterdir()) == {tmp_path / "out" / "a.ipynb", *others}


@unix
def test_a_build_that_is_told_to_end_ends_the_chapters_under_way(tmp_path):
    mark = "import os, time\nfrom pathlib import Path\nPath(f'{os.getpid()}.kernel').write_text('')\ntime.sleep(300)"
    for name in "ab":
        _chapter(tmp_path / "book" / f"{name}.ipynb", mark)
    program = f"""
import signal
from pathlib import Path
from reprolib.site import build
signal.signal(signal.SIGTERM, signal.default_int_handler)
build.execute_all(sorted(Path({str(tmp_path / "book")!r}).glob("*.ipynb")), Path({str(tmp_path / "out")!r}))
"""
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    expected = min(2, len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else 1
    while len(there := list((tmp_path / "book").glob("*.kernel"))) < expected:
        assert process.poll() is None
        time.sleep(0.1)
    kernels = [psutil.Process(int(path.stem)) for path in there]
    process.terminate()
    assert "KeyboardInterrupt" in process.communicate(timeout=60)[1]
    assert psutil.wait_procs(kernels, timeout=10)[1] == [] and list((tmp_path / "out").iterdir()) == []


@unix
def test_a_program_that_was_told_to_outlive_its_terminal_does(tmp_path):
    program = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "import click; from reprolib import cli\n"
        "with click.Context(cli.commands): cli.commands.callback()\n"
        "print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, signal.getsignal(signal.SIGTERM).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "True default_int_handler", done.stderr


def test_all_chapters_are_tried_at_once_on_a_share_of_the_cores(tmp_path, capsys):
    share = "import os\nprint(os.environ['OMP_NUM_THREADS'], os.environ['NUMBA_NUM_THREADS'])"
    paths = [_chapter(tmp_path / f"{name}.ipynb", share) for name in "ab"]
    done = build.execute_all(paths, tmp_path / "out")
    cores = len(os.sched_getaffinity(0))
    threads = cores // min(4, cores, 2)
    for name in "ab":
        printed = nbformat.read(tmp_path / "out" / f"{name}.ipynb", 4).cells[-1].outputs[0].text
        assert printed == f"{threads} {threads}\n" and done[name].machine["threads"] == threads
    assert list(build._read_records(tmp_path / "out" / build.RECORD)) == ["a", "b"]
    assert "[2/2]" in (said := capsys.readouterr().out) and said.rstrip().endswith("; 00:00 left")

    paths.append(_chapter(tmp_path / "c.ipynb", "raise ValueError('no')"))
    with pytest.raises(
        RuntimeError, match=r"1 of 3 chapters failed\. c\.ipynb failed: cell \[2\] raised ValueError: no"
    ):
        build.execute_all(paths, tmp_path / "out")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["a.ipynb", "b.ipynb"]  # no record


def test_a_chapter_is_never_executed_in_place(chapter):
    with pytest.raises(ValueError, match="another file"):
        chapters.run(chapter, chapter)


def test_stripping_keeps_outputs_and_counts_and_drops_times(tmp_path):
    path = _chapter(tmp_path / "a.ipynb", "print(1)", outputs=["1\n"])
    notebook = nbformat.read(path, 4)
    notebook.metadata["papermill"] = {"start_time": "now"}
    for cell in notebook.cells:
        cell.metadata["papermill"] = {"duration": 3}
        cell.metadata.setdefault("tags", [])
    notebook.cells[-1].update(execution_count=2)
    notebook.cells[-1].metadata["execution"] = {"iopub.execute_input": "now"}
    nbformat.write(notebook, path)
    chapters.strip(path, tmp_path / "b.ipynb")
    text = (tmp_path / "b.ipynb").read_text()
    last = nbformat.read(tmp_path / "b.ipynb", 4).cells[-1]
    assert "papermill" not in text and "now" not in text
    assert last.outputs[0].text == "1\n" and last.execution_count == 2 and last.metadata == {}
    assert chapters.parameters(tmp_path / "b.ipynb")  # the tag that matters is still there


# fresh or committed


def _execution(path: Path, **changes) -> Execution:
    code = chapters.code_hash(chapters.read(path))
    needs = chapters.needs(path)
    first = Execution(path.stem, code, needs, (), "2026-01-01 00:00", 12.0, 300.0, MACHINE)
    return dataclasses.replace(first, **changes)


def test_a_page_shows_the_fresh_run_only_if_it_had_the_data_and_this_code(tmp_path):
    path = _chapter(tmp_path / "a.ipynb", "1", needs=["isbi2012"])
    fresh = _execution(path)
    assert build.choose(path, fresh, None).source == "fresh"
    assert build.choose(path, None, fresh).source == "committed"
    assert build.choose(path, dataclasses.replace(fresh, code="other"), None).source == "committed"
    lacking = build.choose(path, dataclasses.replace(fresh, missing=("isbi2012",)), fresh)
    assert lacking.source == "committed" and "lacked isbi2012" in lacking.why


def test_a_published_record_of_other_code_is_not_shown_as_the_outputs_origin(tmp_path):
    path = _chapter(tmp_path / "a.ipynb", "1")
    shown = build.choose(path, None, _execution(path, code="other"))
    assert shown.execution is None and "code has changed" in shown.why


def test_assembly_takes_each_chapter_from_where_the_rule_says(tmp_path):
    folder, executed, source = tmp_path / "book", tmp_path / "executed", tmp_path / "source"
    (folder / ".ipynb_checkpoints").mkdir(parents=True)
    for settings in ("_config.yml", "_toc.yml"):
        shutil.copy(build.ROOT / settings, tmp_path / settings)
    records = {}
    for name, missing in (("a", ()), ("b", ("isbi2012",))):
        path = _chapter(folder / f"{name}.ipynb", "print(1)", needs=["isbi2012"], outputs=["committed"])
        _chapter(executed / f"{name}.ipynb", "print(1)", needs=["isbi2012"], outputs=["fresh"])
        records[name] = _execution(path, missing=missing)
    build._write_records(executed / build.RECORD, records)
    shown = build.assemble(folder, executed, source)
    outputs = [nbformat.read(source / "book" / f"{name}.ipynb", 4).cells[-1].outputs[0].text for name in "ab"]
    assert outputs == ["fresh", "committed"] == [item.source for item in shown]
    status = (source / "book" / "status.md").read_text()
    assert "| {doc}`a` | fresh | isbi2012 | 2026-01-01 00:00 | 12 s | 300 MiB | 1 |" in status
    assert "| isbi2012 | train-volume.tif | `abc` | 1 |" in status
    assert not list(source.rglob(".*"))


def test_without_any_execution_the_site_shows_what_is_committed(tmp_path):
    path = _chapter(tmp_path / "a.ipynb", "1")
    assert "| {doc}`a` | committed | not executed in this build | not on record |" in page(
        [build.choose(path, None, None)]
    )


def test_what_a_notebook_or_record_says_is_text_on_the_pages(tmp_path):
    said = "<b>|`x`"
    path = _chapter(tmp_path / "a.ipynb", "1", parameters=f'note: str = "{said}"  # {said}\n')
    machine = MACHINE | {"processor": said, "versions": {said: said}, "data": {said: {said: said}}}
    text = page([build.choose(path, None, _execution(path, date=said, machine=machine))])
    for shown in (text, build.parameters_table([path])):
        assert "<b>" not in shown and "`x`" not in shown and "&#60;b&#62;&#124;&#96;x&#96;" in shown


def test_nothing_is_published_while_a_data_set_is_absent(tmp_path, monkeypatch):
    path = _chapter(tmp_path / "a.ipynb", "1", needs=["isbi2012"])
    before = path.read_bytes()
    monkeypatch.setattr(data, "present", lambda name: False)
    with pytest.raises(FileNotFoundError, match=r"absent: isbi2012\.$"):
        build.publish(folder=tmp_path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_publishing_that_is_ended_while_it_stores_claims_nothing_of_what_it_did_not_store(tmp_path, monkeypatch):
    paths = [_chapter(tmp_path / "book" / f"{name}.ipynb", name, needs=[]) for name in "ab"]
    other = _execution(paths[0], chapter="c")
    known = {name: other for name in "abc"}
    build._write_records(tmp_path / "book" / build.PUBLISHED, known)
    fresh = {path.stem: _execution(path) for path in paths}

    def executed(paths, folder):
        folder.mkdir(parents=True)
        for path in paths:
            shutil.copy(path, folder)
        return fresh

    def ended(path, output, strip=build.strip):
        if path.stem == "b":
            raise KeyboardInterrupt
        strip(path, output)

    monkeypatch.setattr(build, "BUILD", tmp_path / "_build")
    monkeypatch.setattr(build, "execute_all", executed)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(build, "strip", ended)
        build.publish(folder=tmp_path / "book")
    assert build._read_records(tmp_path / "book" / build.PUBLISHED).keys() == {"c"}
    shutil.rmtree(tmp_path / "_build" / "published")
    build.publish(folder=tmp_path / "book")
    assert build._read_records(tmp_path / "book" / build.PUBLISHED) == {"c": other, **fresh}


def test_a_book_without_index_page_fails(tmp_path, monkeypatch):
    source = tmp_path / "source"
    _chapter(source / "book" / "index.ipynb", "1")
    html = tmp_path / "_build" / "html"
    html.mkdir(parents=True)
    (html / "index.html").write_text("an older page")
    silent = build.subprocess.CompletedProcess([], 0, stdout="built nothing", stderr="")
    monkeypatch.setattr(build.subprocess, "run", lambda *a, **k: silent)
    with pytest.raises(RuntimeError, match=r"no page index\.html"):
        build.build_site(source, tmp_path)


def test_a_cell_that_draws_from_whatever_data_there_is_has_no_output_to_compare():
    for path in chapters.BOOK.glob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code" and "drawn from {images.name}" in cell.source:
                assert "nbval-ignore-output" in cell.metadata.get("tags", ()), path.name
