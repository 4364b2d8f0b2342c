"""A function run as a program that ends with the one that started it, however that ends, and takes its children along.

    with tied() as stdin:
        subprocess.run([*COMMAND, "papermill.cli:papermill", "a.ipynb", "b.ipynb"], stdin=stdin)

Its standard input is a pipe that nobody writes to; it closes when the starting program closes it or is gone.
"""

from __future__ import annotations

import contextlib
import os
import pkgutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil

# by its path, without the folder of this file on the way of imports: the package need not be installed
COMMAND = (sys.executable, "-P", str(Path(__file__).resolve()))
PROGRAM = "__main__:program"


@contextlib.contextmanager
def tied() -> Iterator[int]:
    """Standard input for a child that `COMMAND` starts; the child is told to end when the block ends."""
    reader, writer = os.pipe()
    try:
        yield reader
    finally:
        os.close(writer)
        os.close(reader)


def program() -> int:
    """Run another program, which ends with this one: [*COMMAND, PROGRAM, "npm", "ci"]."""
    return subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL).returncode


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    for one in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    del sys.argv[0]
    sys.exit(pkgutil.resolve_name(sys.argv[0])())
