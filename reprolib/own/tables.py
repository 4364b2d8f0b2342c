"""Tables of measurements as CSV, in which no text is a formula.

A cell that begins with =, +, - or @ is computed by Excel, LibreOffice and Google Sheets when they open the file, and
names of files and classes may begin so. An apostrophe goes before such a text, which is the practice that OWASP's guide
on CSV injection recommends; also after a separator that a spreadsheet may split the text at.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from reprolib.files import write_text

# Where a cell may begin that is computed: spaces and quotes before the sign are dropped; the last four are full-width.
FORMULA = re.compile(r"(^|[;|])(?=[ \"]*[=+\-@\uff1d\uff0b\uff0d\uff20])")
CONTROL = re.compile(r"[\0-\x1f\x7f]")  # tabs and ends of lines among them, which would begin a cell too


def as_text(word: str) -> str:
    """A word for a cell: in one line, with an apostrophe where a spreadsheet would begin to compute."""
    return FORMULA.sub(r"\1'", CONTROL.sub(" ", word))


def write_table(path: Path, table: dict[str, np.ndarray]) -> None:
    """Write columns of equal length as CSV, whole or not at all."""
    columns = (map(as_text, one.tolist()) if one.dtype.kind == "U" else one.tolist() for one in table.values())
    write_text(path, _csv(list(table), zip(*columns, strict=True)))


def write_all(folder: Path, kind: str) -> Path:
    """One table, ``kind``.csv, of all NAME.``kind``.csv of a folder, the names in its first column.

    A column that one of them lacks stays empty there.
    """
    rows, columns = [], {"image": None}
    for path in sorted(folder.glob(f"*.{kind}.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows += [{"image": as_text(path.name.removesuffix(f".{kind}.csv")), **row} for row in reader]
            columns |= dict.fromkeys(reader.fieldnames or ())
    target = folder / f"{kind}.csv"
    write_text(target, _csv(list(columns), ([row.get(column, "") for column in columns] for row in rows)))
    return target


def _csv(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
