"""Does the cost of a pixel stay the same when images grow? python benchmarks/large.py [SIDE ...] (default 2000 20000)

A noise image is written as an uncompressed TIFF of SIDE x SIDE px and segmented from file to file by a network of width
16, each size in a process of its own, so that its peak memory is its own. A side of 20,000 takes some minutes on two
cores. Beside it: the share of repeated arithmetic, by the tile that the memory budget allows and by the paper's 572.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
import torch

from reprolib import large, records
from reprolib.drawing import layers
from reprolib.model import UNet, output_side

WIDTH = 16
PROGRAM = """
import resource, sys, time, torch
from pathlib import Path
from reprolib import large
from reprolib.model import UNet
torch.manual_seed(0)
model, began = UNet(width=int(sys.argv[3])).eval(), time.perf_counter()
large.predict_file(model, Path(sys.argv[1]), Path(sys.argv[2]))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(time.perf_counter() - began, peak)
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
    found = layers(UNet(width=1), tile)
    needed = sum(x.multiplications / x.side**2 / 4**x.level for x in found)
    return 1 - needed * output_side(tile) ** 2 / sum(x.multiplications for x in found)


def main(words: list[str]) -> int:
    sides = [int(word) for word in words] or [2_000, 20_000]
    print(f"{records.processor_name(torch.device('cpu'))}, {torch.get_num_threads()} threads, width {WIDTH}")
    heads = ("side (px)", "seconds", "us per px", "peak (GiB)", "tile (px)", "repeated work")
    print("".join(f"{head:>15s}" for head in heads))
    for side in sides:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "in.tif"), Path(folder, "out.tif")
            began = time.perf_counter()
            write_noise(source, side)
            print(f"(wrote {side} x {side} px in {time.perf_counter() - began:.0f} s)", file=sys.stderr)
            words = [sys.executable, "-c", PROGRAM, str(source), str(target), str(WIDTH)]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
        took, peak = map(float, done.stdout.split())
        tile = large.fitting_tile(UNet(width=WIDTH), side)
        print(
            f"{side:15d}{took:15.1f}{1e6 * took / side**2:15.2f}{peak / 2**30:15.2f}{tile:15d}{repeated(tile):15.1%}",
            flush=True,
        )
    print(f"by tiles of 572 px {repeated(572):.1%} of the work is repeated")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
