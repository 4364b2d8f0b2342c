"""A folder that is made anew is made aside and swapped in whole; one process at a time makes it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from reprolib.locks import holding


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a folder that is about to be made; what a process that was killed over it left is put right first.

    Raises:
        Busy: if another process holds it; the message says which.
    """
    folder = folder.resolve()
    with holding(_beside(folder, "lock"), f"makes {folder}"):
        _put_right(folder)
        yield


def swap(new: Path, folder: Path) -> None:
    """Put ``new``, a folder of the same disk, in the place of ``folder``; the old one is deleted afterwards."""
    old = _beside(folder, "old")
    if folder.exists():
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _beside(folder: Path, what: str) -> Path:
    return folder.with_name(f".{folder.name}.{what}")


def _put_right(folder: Path) -> None:
    """Bring an old folder back that lost its place to nothing, and remove what dead processes worked in."""
    old = _beside(folder, "old")
    if old.exists() and not folder.exists():
        old.rename(folder)
    for left in (old, *folder.parent.glob(f".{folder.name}.*.part")):
        shutil.rmtree(left, ignore_errors=True)
