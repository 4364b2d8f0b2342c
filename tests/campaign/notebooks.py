"""Damaged notebooks by the thousand: each must be a chapter that papermill takes, or one sentence that names it.

Notebook number k of a seed is always the same. No cell is executed.
"""

from __future__ import annotations

import copy
import json
import logging
import tempfile
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import papermill
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from reprolib.errors import InputError
from reprolib.site import build, chapters

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
PARAMETERS = 'steps: int = 500  # Training steps\nrate: float = 1e-3  # Learning rate\nnote: str = "none"  # A remark\n'
OTHERS = (
    *(None, True, 0, -1, 3, 4, 1e99, "", "code", "raw", "\ud800", "\0", "x = (", "a: int"),
    *([], ["x"], [[]], {}, {"name": 1}),
)


@cache
def original() -> dict:
    """A valid chapter with cells and outputs of every kind."""
    table = {"reprolib": {"tables": [{"name": "tab-a", "caption": "A table."}]}}
    outputs = [
        new_output("stream", text="1\n"),
        new_output("display_data", data={"text/plain": ["a", "b"], "image/png": "aGVsbG8="}),
        new_output("execute_result", data={"text/markdown": "| a |", "application/json": {"a": 1}}, execution_count=2),
        new_output("error", ename="ValueError", evalue="no", traceback=["a"]),
    ]
    cells = [
        new_markdown_cell("# A chapter\n\nText."),
        new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
        new_code_cell("print(steps)", outputs=outputs, execution_count=2, metadata=table),
    ]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell{number}"
    language = {"name": "python", "version": "3.11.0"}
    metadata = {"kernelspec": KERNEL, "language_info": language, "reprolib": {"needs": ["isbi2012"]}}
    return json.loads(json.dumps(new_notebook(cells=cells, metadata=metadata)))


def damaged(seed: int, number: int) -> bytes:
    """Notebook ``number`` of a seed: two in three lack a part or hold another value, the rest are damaged as bytes."""
    rng = np.random.default_rng((seed, number))
    notebook = copy.deepcopy(original())
    if rng.integers(3):
        for _ in range(1 + rng.integers(2)):
            _change(notebook, rng)
        return json.dumps(notebook).encode()
    content = bytearray(json.dumps(notebook, indent=1).encode())
    for _ in range(int(rng.integers(1, 4))):
        content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
    if rng.integers(3) == 0:
        del content[int(rng.integers(len(content))) :]
    return bytes(content)


def _change(notebook: dict, rng: np.random.Generator) -> None:
    """Delete, replace or repeat one value, anywhere in it."""
    places: list[tuple[dict | list, str | int]] = []

    def walk(node) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append((node, key))
            walk(node[key])

    walk(notebook)
    if not places:
        return
    node, key = places[int(rng.integers(len(places)))]
    how = rng.integers(4)
    if how == 0:
        del node[key]
    elif how == 1 and isinstance(node, list):
        node.insert(key, copy.deepcopy(node[key]))
    elif how == 2 and isinstance(node, dict):
        node[f"{key}x"] = node.pop(key)
    else:
        node[key] = copy.deepcopy(OTHERS[int(rng.integers(len(OTHERS)))])


def outcome(path: Path) -> str:
    """What the book makes of a notebook: "chapter", "sentence", or a fault."""
    results = set()
    for judge in (_as_chapter, _as_title, _as_page):
        try:
            judge(path)
            results.add("chapter")
        except InputError as error:
            told = str(error)
            good = path.name in told and "\n" not in told and len(told) < 600
            results.add("sentence" if good else f"poor sentence of {judge.__name__}: {told}")
        except Exception as error:
            results.add(f"{type(error).__name__} of {judge.__name__}: {error}")
    faults = sorted(results - {"chapter", "sentence"})
    return faults[0] if faults else max(results)


def _as_chapter(path: Path) -> None:
    chapters.needs(path)
    values = chapters.check(path, {})
    ready = path.with_name("ready.ipynb")
    papermill.execute_notebook(path, ready, values, kernel_name="python3", prepare_only=True, progress_bar=False)
    chapters.read(ready)


def _as_title(path: Path) -> None:
    chapters.titles(path.parent)


def _as_page(path: Path) -> None:
    build.choose(path, None, None)
    chapters.strip(path, path.parent / "stripped" / path.name)


def judge(seed: int, number: int) -> tuple[str, str]:
    """Name and outcome of one damaged notebook."""
    logging.getLogger("papermill").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of cells without an id, which nbformat mends
        path = Path(folder) / "chapter.ipynb"
        path.write_bytes(damaged(seed, number))
        return path.name, outcome(path)
