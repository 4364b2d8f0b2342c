"""What does a scheduler cost, and when is it the limit? And what does a volume cost beside two plain processes?

* Seconds of the processor for an empty task, of the scheduler and the client together, by `connect.each` on two
  workers: the slope over the number of tasks. The last number is not used for the slope: it foretells it.
* A scheduler that takes c seconds a task feeds W workers if their tasks take W c seconds or more. So it is said how
  long a task must be for 1,000 workers, and how many tiles of 572 px at width 16 make one.
* What a prediction reads from the disk for each byte that it writes, by the process's own count, and the share of the
  input tiles' pixels that is halo, at three sides of the tile.
* Two workers of one thread beside two plain processes, which predict half the planes each; what they import first does
  not count.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import psutil

from benchmarks.timing import Row
from reprolib.cluster.connect import connected, each
from reprolib.cluster.predict import predict_volume
from reprolib.geometry import VALID
from reprolib.tiling import tile_geometry
from tests.cluster import volumes

TASKS = 1_000, 10_000, 100_000  # the last one is foretold
WORKERS, TILES = 1_000, 10**7
SIDES = 252, 572, 1212  # px of a tile
PLANES, SIDE, TILE, WIDTH = 8, 1536, 572, 16


def nothing(item: int) -> None:
    pass


def empty(client, count: int) -> float:
    """Seconds of the processor that so many empty tasks take here, where scheduler and client are."""
    began = time.process_time()
    for _ in each(client, nothing, range(count), "task"):
        pass
    return time.process_time() - began


def scheduler() -> dict:
    """The cost of a task, and what the slope foretells."""
    with connected("local", 2, str) as client:
        empty(client, TASKS[0])
        took = [empty(client, count) for count in TASKS]
    cost = (took[1] - took[0]) / (TASKS[1] - TASKS[0])
    return {
        "tasks": list(TASKS),
        "seconds": took,
        "cost": cost,
        "foretold": took[1] + cost * (TASKS[2] - TASKS[1]),
        "workers": WORKERS,
        "least_seconds_a_task": WORKERS * cost,
        "tiles": TILES,
        "seconds_for_all": TILES * cost,
    }


def predict(record: Path, source: Path, target: Path, tile: int, scheduler: str | None = None) -> tuple[float, int]:
    """Seconds of a prediction without cells, and the bytes that this process read."""
    before, began = psutil.Process().io_counters().read_chars, time.perf_counter()
    for _ in predict_volume(record, source, target, scheduler, 0, tile, cells=False, report=str):
        pass
    return time.perf_counter() - began, psutil.Process().io_counters().read_chars - before


def write_noise(path: Path, planes: int) -> Path:
    """Noise (planes, SIDE, SIDE), 8-bit, in pieces of 512 px; it does not compress."""
    values = np.random.default_rng(0).integers(0, 256, (planes, SIDE, SIDE), dtype=np.uint8)
    return volumes.write(path, values, chunks=(1, 512, 512))


def measure(folder: Path) -> tuple[list[Row], dict]:
    record = volumes.network(folder, width=WIDTH).path
    small, half, whole = (write_noise(folder / f"{n}.zarr", n) for n in (1, PLANES // 2, PLANES))
    reading = []
    for tile in SIDES:
        output = tile_geometry(tile, True, VALID)[1]
        target = folder / f"tile{tile}.zarr"
        seconds, read = predict(record, small, target, tile)
        reading.append([tile, 1 - (output / tile) ** 2, read / SIDE**2, seconds])
    of_a_tile = reading[1][3] / (-(-SIDE // tile_geometry(TILE, True, VALID)[1])) ** 2
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        warm = [pool.submit(predict, record, small, folder / f"warm{k}.zarr", TILE) for k in range(2)]
        [one.result() for one in warm]
        began = time.perf_counter()
        both = [pool.submit(predict, record, half, folder / f"half{k}.zarr", TILE) for k in range(2)]
        [one.result() for one in both]
        plain = time.perf_counter() - began
    with connected("local", 2, str) as client:
        address = client.scheduler.address
        predict(record, small, folder / "first.zarr", TILE, address)
        spread, _ = predict(record, whole, folder / "spread.zarr", TILE, address)
    cost = scheduler()
    work = f"{PLANES} planes of {SIDE:,} x {SIDE:,} px, width {WIDTH}: two workers"
    rows = [
        Row(work, "two plain processes", plain, spread, "s", 0.9),
        Row(f"{TASKS[2]:,} empty tasks", "by the cost of one", cost["foretold"], cost["seconds"][2], "s"),
    ]
    per_task = max(1, round(WORKERS * cost["cost"] / of_a_tile + 0.5))
    return rows, cost | {
        "halo": reading,  # px of the tile's side, share of halo, bytes read a byte written, seconds
        "seconds_of_a_tile": of_a_tile,
        "tiles_a_task": per_task,
        "load": os.getloadavg()[0],  # of the machine: seconds mean little if other programs ran
    }
