"""What memory takes an image that is predicted at half its scale? In one piece, and a few rows and one tile at a time.

A noise image of 8000 x 8000 px lies in an uncompressed TIFF; width 16, tiles by the memory budget of 1 GiB, each way in
its own process. In one piece it is ``tiling.predict``, whose result is rounded to 8 bits; else ``large.predict_file``.
"""

from __future__ import annotations

from pathlib import Path

import torch

from benchmarks.large import WIDTH, write_noise
from benchmarks.timing import Row, apart, best_format

SIDE, SCALE = 8_000, 0.5  # px
PROGRAM = f"""
import sys, numpy, tifffile, torch
from pathlib import Path
from benchmarks.timing import CPU, best_format
from reprolib import tiling
from reprolib.data.images import open_grey
from reprolib.model import UNet
from reprolib.own import large
from reprolib.resample import scaled_sides
from reprolib.runs import machine
torch.manual_seed(0)
model, source, target = UNet(width={WIDTH}).eval(), Path(sys.argv[1]), Path(sys.argv[2])
options = {{"scale": {SCALE}, "reduced": best_format() == torch.bfloat16}}
if sys.argv[3] == "whole":
    image = open_grey(source)
    tile = tiling.fitting_tile(model, max(scaled_sides(image.shape, {SCALE})))
    probability = tiling.predict(model, image, tile, **options)[1]
    tifffile.imwrite(target, numpy.round(255 * probability).astype(numpy.uint8))
else:
    large.predict_file(model, source, target, **options)
print(machine.peak_memory(CPU))
"""


def measure(folder: Path) -> tuple[list[Row], dict]:
    source = folder / "in.tif"
    write_noise(source, SIDE)
    whole, parts = (apart(PROGRAM, source, folder / f"{way}.tif", way)[0] / 2**30 for way in ("whole", "parts"))
    work = f"{SIDE:,} x {SIDE:,} px at scale {SCALE}, width {WIDTH}: memory"
    rows = [Row(work, "in one piece", whole, parts, "GiB", 1)]
    return rows, {"reduced": best_format() == torch.bfloat16}
