"""Notebooks as files: read whole and judged by the format's own schema, or refused in one sentence."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nbformat

from reprolib.errors import InputError, nearest

LONGEST = 120  # characters of a reason in a sentence


def read(path: str | Path) -> nbformat.NotebookNode:
    """A chapter as a notebook. Raises FileNotFoundError or InputError with one sentence where it is none."""
    path = Path(path)
    if not path.is_file():
        near = [p.name for p in path.parent.glob("*.ipynb")] if path.parent.is_dir() else []
        raise FileNotFoundError(f"There is no chapter {str(path)!r}: {nearest(path.name, near)}")
    try:
        text = path.read_text(encoding="utf-8")
        raw = json.loads(text)
        found = raw.get("nbformat") if isinstance(raw, dict) else None
        if type(found) is not int or found != 4 or type(raw.get("nbformat_minor")) is not int:
            raise ValueError("nbformat is not 4" if found is not None else "it has no nbformat")
        cells = raw.get("cells")
        if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
            raise ValueError("cells is no list of cells")
        json.dumps(raw, ensure_ascii=False).encode()  # half of a character pair could not be written again
        nbformat.validate(raw)
        notebook = nbformat.reads(text, as_version=4)
        _check_ours(notebook)
    except OSError:
        raise
    except Exception as error:  # nbformat raises many kinds for a file that is no notebook
        raise InputError(f"{path} is not a notebook of format 4 ({reason(error)}).") from None
    return notebook


def reason(error: Exception) -> str:
    """What an error says, short and on one line; of a value that a schema refuses the place too."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    told = " ".join(re.sub(r"[^\x20-\uffff]", " ", getattr(error, "message", "") or str(error)).split())
    place = "/".join(map(str, getattr(error, "absolute_path", ())))
    told = f"{told[:LONGEST]}..." if len(told) > LONGEST else told or type(error).__name__
    return f"{place}: {told}" if place else told


def _check_ours(notebook: nbformat.NotebookNode) -> None:
    """Judge what the format leaves open and the book reads: its own metadata, and papermill's."""
    for key in ("reprolib", "papermill"):
        if not isinstance(notebook.metadata.get(key, {}), dict):
            raise ValueError(f"metadata/{key} is no object")
    for number, cell in enumerate(notebook.cells):
        ours = cell.metadata.get("reprolib", {})
        tables = ours.get("tables", []) if isinstance(ours, dict) else None
        if not isinstance(tables, list) or not all(
            isinstance(one, dict) and isinstance(one.get("name"), str) and isinstance(one.get("caption"), str)
            for one in tables
        ):
            raise ValueError(f"cells/{number}/metadata/reprolib: each of tables needs a name and a caption")
