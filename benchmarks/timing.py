"""What all benchmarks share: a row of the table, clocks, the processor's own rate of multiplication."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch

from reprolib import files
from reprolib.runs.machine import number_format, processor_name

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Row:
    """One line of the table: ours beside a peer or a limit, both measured in one run on one machine.

    The ratio is theirs / ours: how many times faster (or smaller) ours is; beside a limit, the share of it reached.
    """

    work: str
    peer: str
    theirs: float
    ours: float
    unit: str  # of theirs and ours: smaller is better
    least: float | None = None  # the ratio that is wanted; None: shown only

    @property
    def ratio(self) -> float:
        return self.theirs / self.ours

    @property
    def met(self) -> bool | None:
        return None if self.least is None else self.ratio >= self.least

    def to_dict(self) -> dict:
        return {key: float(f"{v:.4g}") if isinstance(v, float) else v for key, v in asdict(self).items()}


def alternate(works: dict[str, Callable], repeats: int = 3, clock: Callable = time.perf_counter) -> dict[str, float]:
    """Seconds of one call of each: the smallest of several, taken in turns, after one of each that does not count."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for count in range(repeats + 1):
        for name, work in works.items():
            began = clock()
            work()
            if count:
                times[name].append(clock() - began)
    return {name: min(taken) for name, taken in times.items()}


def clock_of(device: torch.device) -> Callable[[], float]:
    """A clock that waits for what was sent to the device."""

    def clock() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    return clock


def product_rate(kind: torch.dtype, side: int = 4096, device: torch.device = CPU) -> float:
    """Multiplications per second of a large matrix product in a number format: what the device can do at best."""
    a, b = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
    return side**3 / alternate({"product": lambda: a @ b}, 5, clock_of(device))["product"]


def best_format(device: torch.device = CPU) -> torch.dtype:
    """The number format that training uses on a device."""
    return torch.bfloat16 if number_format(device) == "bfloat16" else torch.float32


def machine(device: torch.device = CPU) -> dict:
    """What the figures depend on."""
    return {
        "processor": processor_name(device),
        "instructions": torch.backends.cpu.get_cpu_capability() if device == CPU else "CUDA",
        "number_format": number_format(device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__.split("+")[0],
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def apart(program: str, *words: object) -> list[float]:
    """The numbers that a Python program prints, run in a process of its own, so that its peak memory is its own."""
    command = [sys.executable, "-c", program, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=files.PROJECT)
    return [float(word) for word in done.stdout.split()]
