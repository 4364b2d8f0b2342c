"""One process at a time trains an experiment: a lock file beside its checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from reprolib import locks
from reprolib.experiment import Experiment
from reprolib.runs.checkpoints import checkpoint_path


def lock_path(experiment: Experiment) -> Path:
    """Where the lock of an experiment lies."""
    return checkpoint_path(experiment).with_suffix(".lock")


def holding(experiment: Experiment, waiting: Callable[[str], object] | None = None) -> AbstractContextManager[bool]:
    """Hold the lock of an experiment, see `reprolib.locks.holding`."""
    return locks.holding(lock_path(experiment), f"trains {experiment.name}", waiting)


def locked(experiment: Experiment) -> bool:
    """Whether a process trains this experiment at the moment."""
    return locks.held(lock_path(experiment))
