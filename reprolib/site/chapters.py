"""Chapters as programs: read a notebook's parameters and execute it with papermill.

A chapter is a notebook in book/ with one cell tagged `parameters`. Its metadata name the data sets that it is
about, `{"reprolib": {"needs": ["isbi2012"]}}`; the list is empty where it needs none.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import datetime
import hashlib
import json
import math
import os
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import nbformat
import papermill
import psutil
import yaml
from nbstripout import strip_output

from reprolib import data
from reprolib.asides import remove_dead, under_way
from reprolib.errors import Failed, InputError, nearest
from reprolib.files import PROJECT, check_target, write_text
from reprolib.parsing import parse
from reprolib.site.child import COMMAND, tied
from reprolib.site.notebooks import read, reason

BOOK = PROJECT / "book"
LOOK_EVERY = 0.2  # seconds, at the memory of a chapter under way

_TYPES = {"bool": bool, "int": int, "float": float, "str": str}
_VOLATILE = (
    "cell.metadata.execution cell.metadata.papermill metadata.papermill metadata.widgets metadata.language_info.version"
).split()


@dataclasses.dataclass(frozen=True)
class Execution:
    """One execution of one chapter, as measured.

    `peak_mb` is the largest resident size (in MiB) of papermill and its kernel together, looked at five times a second.
    """

    chapter: str  # the notebook's name without its ending: "03_overlap_tile"
    code: str  # SHA-256 of the code cells that ran
    needs: tuple[str, ...]  # the data sets the chapter is about
    missing: tuple[str, ...]  # those of them that were absent
    date: str  # start, UTC, ISO 8601 to the minute
    seconds: float  # wall time, kernel start included
    peak_mb: float
    machine: dict = dataclasses.field(default_factory=dict)  # by status.describe_machine; empty until asked


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One name that a chapter lets the reader set."""

    name: str
    type: str  # "bool", "int", "float" or "str"
    default: bool | int | float | str
    help: str


def chapters(names: Sequence[str] = (), folder: Path = BOOK) -> list[Path]:
    """The notebooks of `folder` in order, or those named; an unknown name raises ValueError."""
    found = {path.stem: path for path in sorted(folder.glob("*.ipynb"))}
    if not found:
        raise FileNotFoundError(f"There is no chapter (*.ipynb) in {folder}.")
    for name in names:
        if name not in found:
            raise InputError(f"There is no chapter {name!r}: {nearest(name, found)}")
    return [found[name] for name in names] if names else list(found.values())


def titles(folder: Path = BOOK) -> dict[str, str]:
    """The heading of each chapter by the notebook's name, in order."""
    return {path.stem: _title(path) for path in chapters(folder=folder)}


def _title(path: Path) -> str:
    cells = read(path).cells
    if not cells or not cells[0].source.startswith("# "):
        raise InputError(f"{path} has no title: its first cell must begin with a heading, # TITLE.")
    return cells[0].source.split("\n")[0].removeprefix("# ")


def needs(path: str | Path) -> tuple[str, ...]:
    """The data sets a chapter is about. ValueError where its metadata do not say, or name no known one."""
    listed = read(path).metadata.get("reprolib", {}).get("needs")
    if not isinstance(listed, list):
        raise InputError(f'{path} does not say what data it needs: its metadata lack {{"reprolib": {{"needs": []}}}}.')
    for name in listed:
        if name not in data.REAL:
            raise InputError(f"{path} needs the unknown data set {name!r}: {nearest(name, data.REAL)}")
    return tuple(listed)


def parameters(path: str | Path) -> dict[str, Parameter]:
    """The parameters of a chapter by name, in the order of its parameters cell, as papermill reads them.

    Raises ValueError where papermill would silently drop a parameter (a line with a second `=`), or where
    one has no plain value of type bool, int, float or str.
    """
    notebook = read(path)
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        raise InputError(f"{path} must name the kernel python3 in its metadata (kernelspec).")
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    if not tagged:
        return {}
    try:
        read_by_papermill = papermill.inspect_notebook(path)
        statements = ast.parse(tagged[0].source).body
    except Exception as error:  # papermill raises what it meets
        raise InputError(f"{path}: its parameters cannot be read ({reason(error)}).") from None
    found = {}
    for node in statements:
        target = node.target if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [None])[0]
        if not isinstance(target, ast.Name):
            continue
        entry = read_by_papermill.get(target.id)
        try:
            default = ast.literal_eval(node.value)
        except (ValueError, TypeError, MemoryError, RecursionError):
            entry = None
        if entry is None:
            raise InputError(
                f"{path}: the parameter {target.id!r} cannot be read; it must be one line, "
                "`name: type = value  # help`, with a plain value and no second equals sign."
            )
        kind = entry["inferred_type_name"]
        kind = type(default).__name__ if kind == "None" else kind
        if kind not in _TYPES:
            raise InputError(f"{path}: the parameter {target.id!r} is of type {kind}; allowed are {', '.join(_TYPES)}.")
        found[target.id] = Parameter(target.id, kind, default, entry["help"])
    return found


def check(path: str | Path, values: Mapping[str, object]) -> dict[str, bool | int | float | str]:
    """Values for a chapter's parameters, typed as the chapter declares them; text ("500", "false") is parsed.

    Raises ValueError, with the nearest valid name, for an unknown parameter or a value of another type.
    """
    known = parameters(path)
    for name in values:
        if name not in known:
            raise InputError(f"{Path(path).name} has no parameter {name!r}: {nearest(name, known)}")
    return {name: _typed(known[name], value) for name, value in values.items()}


def _typed(parameter: Parameter, value: object) -> bool | int | float | str:
    wrong = InputError(f"{parameter.name} must be {parameter.type} (as {parameter.default!r} is), not {value!r}.")
    kind = _TYPES[parameter.type]
    if isinstance(value, str):
        try:
            value = parse(value, kind)
        except ValueError:
            raise wrong from None
    elif kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise wrong
    return value


def run(
    chapter: str | Path,
    output: str | Path,
    values: Mapping[str, object] | None = None,
    log: bool = True,
    threads: int | None = None,
    ended: threading.Event | None = None,
) -> Execution:
    """Execute a chapter with papermill into another file, in the kernel python3, in the chapter's folder.

    `values` set parameters (see `check`). The output is written aside and renamed when the last cell has run;
    a failing chapter leaves none, and raises Failed naming the cell. What a killed run left beside the output is
    removed. `log` shows the chapter's output meanwhile, on stderr. `threads` limits what the chapter computes on; None
    leaves it to PyTorch and Numba. Setting `ended` ends the chapter, which raises Failed.
    """
    chapter, output = Path(chapter).resolve(), Path(output).resolve()
    notebook, wanted, typed = read(chapter), needs(chapter), check(chapter, values or {})
    if output == chapter:
        raise InputError(f"The output must be another file than the chapter {chapter.name} itself.")
    if output.suffix != ".ipynb":
        raise InputError(f"The output must be a notebook (*.ipynb), not {output.name!r}.")
    check_target(output)
    missing = tuple(name for name in wanted if not data.present(name))
    output.parent.mkdir(parents=True, exist_ok=True)
    remove_dead(output.parent)
    aside = under_way(output, ".ipynb")
    command = [*COMMAND, "papermill.cli:papermill", str(chapter), str(aside), "--kernel", "python3"]
    command += ["--cwd", str(chapter.parent), "--no-progress-bar", "--parameters_yaml", yaml.safe_dump(typed)]
    command += ["--log-output"] if log else []
    limits = {} if threads is None else dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), str(threads))
    date = datetime.datetime.now(datetime.UTC).isoformat(" ", "minutes").removesuffix("+00:00")
    begin = time.perf_counter()
    try:
        with tempfile.TemporaryFile("w+") as messages:
            code, peak = _wait(command, None if log else messages, os.environ | limits, ended)
            seconds = time.perf_counter() - begin
            if code != 0:
                messages.seek(0)
                raise Failed(f"{chapter.name} failed: {_error(aside, messages.read())}")
        os.replace(aside, output)
    finally:
        aside.unlink(missing_ok=True)
    return Execution(chapter.stem, code_hash(notebook), wanted, missing, date, round(seconds, 1), round(peak, 1))


def _wait(
    command: list[str], messages, environment: Mapping[str, str], ended: threading.Event | None
) -> tuple[int, float]:
    """Exit status of a command, and the largest resident size (MiB) seen of it and its children together.

    Whatever ends the waiting, an interrupt or `ended`, ends the command and its children too.
    """
    peak = 0
    with contextlib.ExitStack() as last:
        stdin = last.enter_context(tied())
        process = psutil.Popen(command, stdin=stdin, stdout=messages, stderr=messages, env=environment)
        try:
            while process.poll() is None:
                if ended is not None and ended.is_set():
                    raise Failed("told to end with the others")
                with contextlib.suppress(psutil.NoSuchProcess):  # one may end meanwhile
                    family = [process, *process.children(recursive=True)]
                    peak = max(peak, sum(one.memory_info().rss for one in family))
                time.sleep(LOOK_EVERY)
        except BaseException:
            last.close()
            for one in psutil.wait_procs([process], timeout=10)[1]:
                one.kill()
            raise
    return process.returncode, peak / 2**20


def _error(executed: Path, messages: str) -> str:
    """The failing cell's error where one is stored, else the last line that papermill printed."""
    with contextlib.suppress(FileNotFoundError, InputError):  # papermill may have been killed while it wrote
        for cell in read(executed).cells:
            for out in cell.get("outputs", []):
                if out.output_type == "error":
                    return f"cell [{cell.execution_count}] raised {out.ename}: {out.evalue}"
    return next((line for line in reversed(messages.splitlines()) if line.strip()), "papermill gave no reason.")


def code_hash(notebook: nbformat.NotebookNode) -> str:
    """SHA-256 over the code cells, in order: tells whether outputs belong to this code. Prose is left out."""
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(code).encode()).hexdigest()


def strip(path: Path, output: Path) -> None:
    """Copy an executed notebook without times and papermill's notes; outputs and execution counts stay."""
    notebook = strip_output(read(path), keep_output=True, keep_count=True, keep_id=True, extra_keys=_VOLATILE)
    for cell in notebook.cells:
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]  # papermill adds empty lists
    write_text(output, nbformat.writes(notebook) + "\n")
