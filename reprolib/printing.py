"""Numbers and tables for print."""

from __future__ import annotations

import ast
import inspect
import re
import statistics
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from reprolib.files import PROJECT


def number(value: float, digits: int, sign: str = "") -> str:
    """A number for print: a true minus, and none before a zero. ``sign`` as in a format: "+" shows the plus too."""
    text = f"{value:{sign}.{digits}f}"
    if float(text) == 0:
        text = f"{0:.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}")


def spread(values: Sequence[float], digits: int) -> str:
    """ "mean ± standard deviation", the latter of a sample; one value alone stands by itself."""
    if len(values) == 1:
        return number(values[0], digits)
    return f"{number(statistics.fmean(values), digits)} ± {number(statistics.stdev(values), digits)}"


def plain(text: object) -> str:
    """A value from a file, a record or a notebook for a page in Markdown: nothing in it is markup, a table holds it."""
    return re.sub(r"[&<>|*`\[\]\\$~{}]", lambda found: f"&#{ord(found[0])};", " ".join(str(text).split()))


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """A table in Markdown; the first ``words`` columns are text, the others numbers, set to the right."""
    lines = [head, ["---"] * words + ["--:"] * (len(head) - words), *rows]
    text = "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
    return text.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")


def text_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of text with their columns in line, for a terminal: words to the left, numbers to the right."""
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [all(not cell or cell[0] in "-\u2212.0123456789" for cell in column[1:]) for column in columns]
    aligned = (
        [cell.rjust(w) if to_right else cell.ljust(w) for cell, w, to_right in zip(row, widths, right, strict=True)]
        for row in rows
    )
    return ["  ".join(row).rstrip() for row in aligned]


def code(*functions: Callable) -> str:
    """Functions of the project as Markdown: the code that runs, without docstrings; above each the file it is in."""
    blocks = []
    for function in functions:
        text = textwrap.dedent(inspect.getsource(function))
        lines, body = text.splitlines(), ast.parse(text).body[0].body
        if isinstance(body[0], ast.Expr) and isinstance(getattr(body[0], "value", None), ast.Constant):
            del lines[body[0].lineno - 1 : body[0].end_lineno]
        place = Path(inspect.getfile(function)).resolve().relative_to(PROJECT).as_posix()
        owner = function.__qualname__.rpartition(".")[0]
        blocks.append("\n".join([f"```python\n# {place}{owner and f', {owner}'}", *lines, "```"]))
    return "\n\n".join(blocks)
