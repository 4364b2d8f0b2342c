"""Does the cost of a pixel stay the same when images grow? From file to file, width 16, each size in its own process.

A noise image is written as an uncompressed TIFF and segmented by ``large.predict_file``. Beside it: the share of
repeated arithmetic, by the tile that the memory budget allows and by the paper's 572.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
import torch

from benchmarks.timing import Row, apart, best_format
from reprolib.geometry import output_side
from reprolib.model import UNet
from reprolib.own import large
from reprolib.plots.drawing import layers

SIDES = (2_000, 20_000)  # px
WIDTH = 16
PROGRAM = f"""
import sys, time, torch
from pathlib import Path
from benchmarks.timing import CPU, best_format
from reprolib.own import large
from reprolib.runs import machine
from reprolib.model import UNet
torch.manual_seed(0)
model, began = UNet(width={WIDTH}).eval(), time.perf_counter()
large.predict_file(model, Path(sys.argv[1]), Path(sys.argv[2]), reduced=best_format() == torch.bfloat16)
print(time.perf_counter() - began, machine.peak_memory(CPU))
"""


def write_noise(path: Path, side: int, rows: int = 500) -> None:
    """A TIFF of random grey values, a few rows at a time."""
    image = tifffile.memmap(path, shape=(side, side), dtype=np.uint8, photometric="minisblack")
    generator = np.random.default_rng(0)
    for top in range(0, side, rows):
        part = image[top : top + rows]
        part[...] = generator.integers(0, 256, part.shape, np.uint8)
    image.flush()


def repeated(tile: int) -> float:
    """Share of a tile's multiplications that an endless tile would not need."""
    with torch.device("meta"):  # arithmetic alone
        found = layers(UNet(width=1), tile)
    needed = sum(x.multiplications / x.side**2 / 4**x.level for x in found)
    return 1 - needed * output_side(tile) ** 2 / sum(x.multiplications for x in found)


def measure(folder: Path) -> tuple[list[Row], dict]:
    found = []
    for side in SIDES:
        source, target = folder / "in.tif", folder / "out.tif"
        write_noise(source, side)
        took, peak = apart(PROGRAM, source, target)
        source.unlink()
        target.unlink()
        tile = large.fitting_tile(UNet(width=WIDTH), side)
        found.append(
            {"side": side, "microseconds_per_px": 1e6 * took / side**2, "peak_gib": peak / 2**30, "tile": tile}
        )
    small, big = found
    sides = f"{big['side']:,} x {big['side']:,} px from a file, width {WIDTH}"
    per_pixel = (one["microseconds_per_px"] for one in found)
    rows = [
        Row(sides, f"{small['side']:,} x {small['side']:,}", *per_pixel, "us per px", 0.9),
        Row(f"{sides}: memory", "2 GiB", 2.0, big["peak_gib"], "GiB", 1),
        Row("repeated arithmetic, tile by memory", "tile of 572 px", 100 * repeated(572), 100 * repeated(tile), "%", 1),
    ]
    shown = [{key: float(f"{value:.4g}") for key, value in one.items()} for one in found]
    return rows, {"images": shown, "reduced": best_format() == torch.bfloat16}
