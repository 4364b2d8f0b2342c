"""Train what the plan lacks: several runs at once, one thread each, in the order of priority.

Each run is a process of its own, ``reprolib train``; its lines go to a log beside its checkpoint. A run that another
plan trains is passed over: a lock tells. A plan that was killed goes on from the checkpoints of its runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from reprolib.errors import InputError
from reprolib.experiment import Experiment
from reprolib.files import PROJECT
from reprolib.own.folder import find_own
from reprolib.plan import purposes
from reprolib.progress import Report, duration
from reprolib.runs.checkpoints import checkpoint_path
from reprolib.runs.locks import lock_path, locked
from reprolib.runs.machine import code_version
from reprolib.runs.records import PUBLISHED

REPORT_EVERY = 60.0  # seconds
POLL_EVERY = 1.0


@dataclass(frozen=True)
class Task:
    """One run of the plan, and how it is to be trained, scored and kept."""

    experiment: Experiment
    rotations: bool
    keep_weights: bool
    resume_anyway: bool = False

    def __str__(self) -> str:
        return self.name

    @property
    def minutes(self) -> float:
        return purposes.minutes(self.experiment, self.rotations)

    @property
    def name(self) -> str:
        return self.experiment.name

    @property
    def log(self) -> Path:
        return lock_path(self.experiment).with_suffix(".log")

    def command(self, folder: Path) -> list[str]:
        """The command of a process that trains it and records it in ``folder``."""
        given, images = self.experiment.departures(), []
        if own := find_own(self.experiment.data):
            given = asdict(self.experiment)  # each of them: what is left out is chosen by `own.recipe`
            del given["data"]
            images = ["--images", str(own[0])]
        fields = [f"{name}={value}" for name, value in given.items()]
        options = ["--threads", "1", "--to", str(folder)]
        if self.rotations:
            options.append("--rotations")
        if not self.keep_weights:
            options.append("--no-weights")
        if self.resume_anyway:
            options.append("--resume-anyway")
        return [sys.executable, "-m", "reprolib.cli", "train", *fields, *images, *options]


class UnderWay(NamedTuple):
    """A run that is being trained."""

    process: subprocess.Popen
    started: float  # by the monotonic clock, s
    fresh: bool  # not resumed from a checkpoint


def tasks(folders: tuple[Path, ...], only: str = "", resume_anyway: bool = False) -> list[Task]:
    """What is missing, in the plan's order, each run once; ``only`` takes the purposes whose names hold that text."""
    wanted: dict[Experiment, Task] = {}
    for purpose in purposes.ordered():
        if only.lower() not in purpose.name.lower():
            continue
        for run in purposes.missing(purpose.runs, folders):
            known = wanted.get(run)
            rotations = purpose.rotations or bool(known and known.rotations)
            keep = run in purpose.kept or bool(known and known.keep_weights)
            wanted[run] = Task(run, rotations, keep, resume_anyway)
    return list(wanted.values())


def run(
    workers: int = 2,
    hours: float | None = None,
    folder: Path | None = None,
    resumable: bool = False,
    only: str = "",
    report: Report = print,
    resume_anyway: bool = False,
) -> int:
    """Train what is missing; returns how many runs failed.

    Args:
        workers: runs at a time, one thread each.
        hours: stop after so long. No run is started that cannot finish by then, unless ``resumable``.
        folder: where records go (default: the project's ``runs``).
        resumable: start such a run all the same: the cache folder stays, and with it its checkpoint.
        only: take the purposes whose names hold this text.
        resume_anyway: go on with checkpoints of other threads, devices or versions too; their records say so.

    Raises:
        ValueError: if the imported package is not a clean commit, or a number is out of range.
    """
    if workers < 1 or (hours is not None and not hours > 0):
        raise InputError(f"workers must be 1 or more and hours above 0, not {workers} and {hours}")
    check_commit()
    folder = folder or PUBLISHED
    waiting, running, failed, paces = tasks((folder, PUBLISHED), only, resume_anyway), {}, [], []
    begin = reported = time.monotonic()
    end = begin + 3600 * hours if hours else float("inf")
    report(f"{len(waiting)} runs to train, about {duration(left(waiting, {}, workers, 1.0))} with {workers} at a time")
    try:
        while waiting or running:
            pace = sorted(paces)[len(paces) // 2] if paces else 1.0
            while len(running) < workers and (task := take(waiting, end, pace, resumable)):
                fresh = not checkpoint_path(task.experiment).exists()
                running[task] = UnderWay(start(task, folder), time.monotonic(), fresh)
                report(f"{task.name}: started, about {duration(60 * task.minutes * pace)}")
            if not running:
                break
            time.sleep(POLL_EVERY)
            for task, one in list(running.items()):
                if one.process.poll() is None:
                    continue
                del running[task]
                if locked(task.experiment):  # another plan took it in the same moment
                    report(f"{task.name}: another process trains it")
                    continue
                if one.process.returncode:
                    failed.append(task.name)
                elif one.fresh:  # a resumed run tells nothing of the pace
                    paces.append((time.monotonic() - one.started) / (60 * task.minutes))
                report(f"{task.name}: {last_line(task.log)}")
            if time.monotonic() - reported > REPORT_EVERY:
                reported = time.monotonic()
                for task in running:
                    report(f"{task.name}: {last_line(task.log)}")
                report(f"{len(waiting)} wait; {duration(left(waiting, running, workers, pace))} left for all")
            if time.monotonic() > end:
                report("time is up; what is under way goes on from its checkpoint the next time")
                break
    finally:
        stop(one.process for one in running.values())
    if waiting and not failed:
        report(f"{len(waiting)} runs are left for another time")
    return len(failed)


def check_commit() -> None:
    """Refuse to train with code that no commit holds."""
    code = code_version()
    if code.endswith("+") or len(code) != 40:
        raise InputError(
            f"the plan trains from a clean commit alone, and {PROJECT} is "
            f"{'changed since one' if code.endswith('+') else 'no checkout'}: commit, or run it from a clone"
        )


def take(waiting: list[Task], end: float, pace: float, resumable: bool) -> Task | None:
    """The next run that nobody trains and that fits in the time left; it is taken off the list."""
    for task in list(waiting):
        if locked(task.experiment):
            continue
        if resumable or time.monotonic() + 60 * task.minutes * pace <= end:
            waiting.remove(task)
            return task
    return None


def start(task: Task, folder: Path, *options: str) -> subprocess.Popen:
    """Begin a run as a process; it leads a group of its own, so that a Ctrl-C reaches it through `stop` alone.

    Args:
        options: more of `reprolib train`.
    """
    task.log.parent.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with open(task.log, "a", encoding="utf-8") as log:
        return subprocess.Popen(
            [*task.command(folder), *options],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def stop(processes) -> None:
    """End what is still running and wait for it: each keeps its last checkpoint, at most two minutes old.

    By SIGTERM: a shell lets what it starts in the background ignore SIGINT.
    """
    processes = list(processes)
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait()


def last_line(log: Path) -> str:
    """The last line of a log, or that there is none."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return lines[-1] if lines else "no line yet"


def left(waiting: list[Task], running: dict, workers: int, pace: float) -> float:
    """Seconds until all is trained: what waits and what is left of the runs under way, over the workers."""
    seconds = 60 * pace * sum(task.minutes for task in waiting)
    for task, one in running.items():
        seconds += max(0.0, 60 * pace * task.minutes - (time.monotonic() - one.started))
    return seconds / workers
