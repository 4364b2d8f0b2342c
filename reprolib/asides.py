"""What is under way bears its process in its name, so that what a dead process left can be told and removed.

    .NAME.PROCESS.PLACE.part

PLACE stands for the computer, and the container on it, that the process runs in: of another one nobody here can say
whether it lives, and what it left stays.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil

SLACK = 60.0  # seconds that a computer's clock may have been set by


def under_way(path: Path, ending: str = "") -> Path:
    """A hidden name beside ``path`` for what this process makes of it, with an ending that a program asks for."""
    return path.with_name(f".{path.name}.{os.getpid()}.{place()}.part{ending}")


@contextlib.contextmanager
def folder_under_way(path: Path) -> Iterator[Path]:
    """A new empty folder beside ``path`` to work in; gone at the end, whatever happens, unless it was renamed."""
    remove_dead(path.parent)
    work = under_way(path)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def remove_dead(folder: Path) -> None:
    """Remove what processes of this place that are gone left under way in a folder."""
    for left in folder.glob(".*.part*"):
        match = re.fullmatch(rf"\..+\.(\d+)\.{place()}\.part(\.\w+)?", left.name)
        if match and _dead(int(match[1]), left):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)  # another process may be faster


def _dead(number: int, left: Path) -> bool:
    """Whether the process of this number that wrote a file is gone; numbers are given anew."""
    try:
        return psutil.Process(number).create_time() > left.lstat().st_mtime + SLACK
    except psutil.NoSuchProcess:
        return True
    except (psutil.Error, OSError, OverflowError):
        return False


@functools.cache
def place() -> str:
    """Eight digits for this computer and, on Linux, the container within it."""
    known = [socket.gethostname()]
    with contextlib.suppress(OSError):
        known.append(os.readlink("/proc/self/ns/pid"))
    with contextlib.suppress(OSError):
        known.append(Path("/etc/machine-id").read_text())
    return hashlib.sha256("\n".join(known).encode()).hexdigest()[:8]
