"""Kill a worker, the scheduler or the client while a volume is predicted: the same command must end in the same bytes.

Trial k kills at a moment that its number decides: when so many of the tasks are done.
"""

from __future__ import annotations

import contextlib
import importlib.util
import multiprocessing
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkProcess as Process
from pathlib import Path

from reprolib import cli
from reprolib.cluster.predict import predict_volume
from tests.campaign.apart import Trial
from tests.cluster import volumes

FORK = multiprocessing.get_context("fork")
KINDS = "worker", "scheduler", "client"
SHAPE = 2, 50, 40  # px: 18 regions of one tile
TASKS = 2 + 18 + 3 * 24  # looks, predictions, and three steps to the cells
WITHIN = 120.0  # seconds that a command may take, and that processes may take to start


class Cluster:
    """A scheduler and two workers, processes of this machine that end with this one."""

    def __init__(self, folder: Path):
        self.folder, self.scheduler, self.workers = folder, None, []
        self.file, self.said = folder / "scheduler.json", folder / "said"

    def begin(self, program: Callable[[list[str]], int], *words: str) -> Process:
        """A program in a process of its own; what the last one that was begun says is in a file.

        Forked, it need not import torch again, which takes longer than all it has to do.
        """
        self.said.unlink(missing_ok=True)  # an earlier one goes on writing to what was there
        with open(self.said, "w") as log:
            process = FORK.Process(target=_be, args=(program, list(words), log.fileno(), os.getpid()), daemon=True)
            process.start()
        return process

    def complete(self) -> None:
        """Start what does not run."""
        if self.scheduler is None or not self.scheduler.is_alive():
            self.close()
            self.file.unlink(missing_ok=True)
            words = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", f"{self.file}")
            self.scheduler = self.begin(_scheduler, *words)
        self.workers = [worker for worker in self.workers if worker.is_alive()]
        while len(self.workers) < 2:
            words = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--scheduler-file", f"{self.file}")
            self.workers.append(self.begin(_worker, *words))
        wait(self.file.exists, WITHIN)

    def close(self) -> None:
        for process in [self.scheduler, *self.workers]:
            if process is not None:
                process.kill()
                process.join()
        self.workers = []


def _scheduler(words: list[str]) -> int:
    from distributed.cli import dask_scheduler

    return dask_scheduler.main(words)


def _worker(words: list[str]) -> int:
    from distributed.cli import dask_worker

    return dask_worker.main(words)


def _be(program: Callable[[list[str]], int], words: list[str], said: int, parent: int) -> None:
    """Be another program, until its parent is gone."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.stdin, sys.stdout, sys.stderr = None, os.fdopen(1, "w"), os.fdopen(2, "w")
    sys.exit(program(words))


def wait(condition, seconds: float) -> bool:
    """Whether a condition came true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


def done(part: Path) -> int:
    """How many tasks have left their mark."""
    return sum(1 for _ in part.glob("done/*/*.npz"))


def lacking() -> str:
    """Why there can be no cluster here; "" if there can."""
    return "" if importlib.util.find_spec("distributed") else "distributed is not installed"


def killed(numbers: range) -> Iterator[Trial]:
    """Kill a worker, the scheduler or the client, in turn, each trial at another moment."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        record = volumes.network(folder).path
        source = volumes.write(folder / "in.zarr", volumes.pixels(*SHAPE))
        for _ in predict_volume(record, source, folder / "whole.zarr", tile=volumes.TILE, threshold=0.7, report=str):
            pass
        wanted, cluster = volumes.files(folder / "whole.zarr"), Cluster(folder)
        command = ["predict", f"{record}", f"{source}", "--threshold", "0.7"]
        command += ["--tile", f"{volumes.TILE}", "--scheduler", f"{cluster.file}"]
        with contextlib.closing(cluster):
            for number in numbers:
                cluster.complete()
                began, target, kind = time.monotonic(), folder / f"{number}.zarr", KINDS[number % len(KINDS)]
                moment = random.Random(number).randrange(TASKS)
                fault = _trial(kind, cluster, [*command, "--to", f"{target}"], target, moment)
                if not fault and volumes.files(target) != wanted:
                    fault = "the result has other bytes"
                yield Trial(number, f"the {kind} after {moment} tasks", fault, time.monotonic() - began)


def _trial(kind: str, cluster: Cluster, command: list[str], target: Path, moment: int) -> str:
    """Give a command, kill while it works, give it again unless a worker was killed; what was wrong."""
    part = target.with_name(f"{target.name}.part")
    client = cluster.begin(cli.main, *command)
    victim = {"worker": cluster.workers[0], "scheduler": cluster.scheduler, "client": client}[kind]
    if not wait(lambda: (part.exists() and done(part) >= moment) or not client.is_alive(), WITHIN):
        client.kill()
        return "the command did nothing in time"
    victim.kill()
    victim.join()
    said = _told(cluster, client)
    if kind == "worker":
        return said and f"the command failed: {said}"
    if kind == "scheduler" and client.exitcode != 0 and "reprolib: " not in said:
        return f"the command said: {said}"  # 0: it had ended before
    if target.exists() and client.exitcode != 0:
        return "a result appeared though the command failed"
    cluster.complete()
    said = _told(cluster, cluster.begin(cli.main, *command))
    return said and f"the second command failed: {said}"


def _told(cluster: Cluster, client: Process) -> str:
    """What a command says of its failure; "" where there is none."""
    if not wait(lambda: not client.is_alive(), WITHIN):
        client.kill()
        return "it did not end in time"
    lines = cluster.said.read_text().splitlines()
    return "" if client.exitcode == 0 else lines[-1] if lines else f"nothing, exit status {client.exitcode}"
