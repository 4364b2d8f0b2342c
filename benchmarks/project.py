"""The project's own commands by the clock: `make book` when all is warm, `make test`."""

from __future__ import annotations

import subprocess
import time

from benchmarks.timing import Row
from reprolib import files


def clock(command: str) -> float:
    """Seconds of one command; it must succeed."""
    began = time.perf_counter()
    subprocess.run(["make", command], cwd=files.PROJECT, check=True, capture_output=True)
    return time.perf_counter() - began


def measure() -> tuple[list[Row], dict]:
    clock("book")
    book, test = clock("book"), clock("test")
    return [
        Row("make book, warm", "2 minutes", 120.0, book, "s", 1),
        Row("make test", "10 minutes", 600.0, test, "s", 1),
    ], {}
