"""Numbers and tables for print."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence


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
