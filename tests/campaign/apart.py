"""Trials in processes apart: what each took, and what became of those that ended their process. Needs Linux."""

from __future__ import annotations

import multiprocessing
import re
import resource
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path

SECONDS = 10  # that one damaged input may take
MEMORY = 2**30  # bytes that it may take, besides what the libraries hold
ROOM = 2**31  # bytes of addresses that a process gets for it
BATCH = 100  # trials a process


@dataclass(frozen=True)
class Trial:
    """One trial: what was tried, what was wrong ("": nothing), its seconds, its bytes, and how many it counts for."""

    number: int
    what: str
    fault: str = ""
    seconds: float = 0.0
    memory: int = 0
    count: int = 1


Judge = Callable[[int, int], tuple[str, str]]  # seed, number -> what was damaged, what the readers made of it


def damaged(judge: Judge, good: tuple[str, ...], seed: int, numbers: range) -> Iterator[Trial]:
    """Judge damaged inputs, each held to `SECONDS` and `MEMORY`; any outcome that is not ``good`` is a fault.

    Where a process dies over them, they are judged again one by one.
    """
    for start in range(numbers.start, numbers.stop, BATCH):
        yield from _batch(partial(_judge_all, judge, good, seed), range(start, min(start + BATCH, numbers.stop)))


def _batch(work: Callable[[range], list[Trial]], numbers: range) -> list[Trial]:
    try:
        with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
            return pool.submit(work, numbers).result()
    except BrokenProcessPool:
        if len(numbers) == 1:
            return [Trial(numbers[0], "not known", f"the process died, or took over {SECONDS} s", SECONDS)]
        return [one for number in numbers for one in _batch(work, range(number, number + 1))]


def _judge_all(judge: Judge, good: tuple[str, ...], seed: int, numbers: range) -> list[Trial]:
    room = own_memory("VmSize") + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    trials = []
    for number in numbers:
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before, began = own_memory("VmRSS"), time.perf_counter()
        signal.alarm(SECONDS)  # unheeded, it ends the process
        what, outcome = judge(seed, number)
        signal.alarm(0)
        seconds, memory = time.perf_counter() - began, max(0, own_memory("VmHWM") - before)
        fault = "" if outcome in good else re.sub(r"/tmp/[^ ]*/", "", outcome)[:300]
        if not fault and memory > MEMORY:
            fault = f"it took {memory / 2**20:.0f} MiB"
        trials.append(Trial(number, what, fault, round(seconds, 4), memory))
    return trials


def own_memory(name: str) -> int:
    """Bytes of this process: "VmRSS" now, "VmHWM" at most, "VmSize" of addresses."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
