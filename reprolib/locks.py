"""A file that one process holds at a time; it is free again when that process ends, however it ends."""

from __future__ import annotations

import contextlib
import datetime
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from reprolib.errors import Busy
from reprolib.files import write_text

BLINK = 1.0  # seconds: so long a lock may be held by one that only looks whether it is free


@contextlib.contextmanager
def holding(path: Path, doing: str, waiting: Callable[[str], object] | None = None) -> Iterator[bool]:
    """Hold a lock file, and say in a file beside it (``.holder``) who does.

    Args:
        doing: what the holder does, after its number: "trains NAME".
        waiting: to wait until it is free; called with a sentence that says for whom. None: do not wait.

    Yields:
        Whether another process held it before.

    Raises:
        Busy: if another process holds it; the message says which, on which computer, since when.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(path), path.with_suffix(".holder")
    waited = False
    try:
        lock.acquire(timeout=BLINK)
    except Timeout:
        who = holder.read_text(encoding="utf-8") if holder.is_file() else f"another process {doing}"
        if waiting is None:
            raise Busy(f"{who}: wait for it, or end it") from None
        waiting(f"waiting: {who}")
        lock.acquire(poll_interval=0.2)
        waited = True
    try:
        since = datetime.datetime.now()
        write_text(holder, f"process {os.getpid()} on {socket.gethostname()}, since {since:%Y-%m-%d %H:%M}, {doing}")
        yield waited
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def held(path: Path) -> bool:
    """Whether a process holds a lock file at this moment."""
    if not path.exists():
        return False
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    lock.release()
    return False
