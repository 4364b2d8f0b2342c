"""One process at a time trains an experiment: a lock file beside its checkpoint, free again when the process ends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from reprolib.errors import Busy
from reprolib.experiment import Experiment
from reprolib.runs.checkpoints import checkpoint_path


def lock_path(experiment: Experiment) -> Path:
    """Where the lock of an experiment lies."""
    return checkpoint_path(experiment).with_suffix(".lock")


@contextlib.contextmanager
def holding(experiment: Experiment) -> Iterator[None]:
    """Hold the lock of an experiment.

    Raises:
        Busy: if another process holds it.
    """
    path = lock_path(experiment)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise Busy(f"another process trains {experiment.name}: wait for it, or end it") from None
    try:
        yield
    finally:
        lock.release()


def locked(experiment: Experiment) -> bool:
    """Whether a process trains this experiment at the moment."""
    try:
        with holding(experiment):
            return False
    except Busy:
        return True
