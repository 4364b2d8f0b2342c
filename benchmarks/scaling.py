"""How cost grows: a training step with width and tile, prediction with the image, evaluation with the cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from benchmarks.large import write_noise
from benchmarks.timing import CPU, Row, alternate, apart, best_format
from reprolib import data, sampling, train
from reprolib.evaluation import isbi2012
from reprolib.experiment import Experiment
from reprolib.model import UNet
from reprolib.plots.drawing import layers

WIDTHS, TILE = (8, 16, 32, 64), 380
TILES, WIDTH = (188, 252, 316, 380, 476, 572, 764), 16
SIDES = (512, 1024, 2048, 4096)
CELLS = (10, 30, 100, 300, 1000, 3000)
PROGRAM = """
import sys, time, torch
from pathlib import Path
from benchmarks.timing import CPU, best_format
from reprolib.own import large
from reprolib.runs import machine
from reprolib.model import UNet
torch.manual_seed(0)
model, took = UNet(width=16).eval(), []
for _ in range(3):
    began = time.perf_counter()
    large.predict_file(model, Path(sys.argv[1]), Path(sys.argv[2]), reduced=best_format() == torch.bfloat16)
    took.append(time.perf_counter() - began)
print(min(took), machine.peak_memory(CPU))
"""


def step(width: int, tile: int) -> float:
    """Seconds of one step of ``reprolib.train``."""
    experiment = Experiment(data="phantom-em", fold=1, width=width, tile=tile, optimiser="adam")
    samples = sampling.prepare(experiment, data.load(experiment.data), CPU)
    state, count = train.initial_state(experiment, CPU), iter(range(1, 1000))

    def work():
        number = next(count)
        (drawn,) = sampling.draw_samples(experiment, (number,), len(samples), CPU)
        train.train_step(experiment, state, samples, number, drawn)

    return alternate({"": work}, 3)[""]


def crowd(count: int, side: int = 512) -> tuple[np.ndarray, np.ndarray]:
    """Labels of about ``count`` cells, parted by lines two pixels wide, and a noisy probability."""
    rng = np.random.default_rng(count)
    seeds = np.ones((side, side), bool)
    seeds[rng.integers(0, side, count), rng.integers(0, side, count)] = False
    row, column = ndimage.distance_transform_edt(seeds, return_distances=False, return_indices=True)
    number = row * side + column
    edge = ndimage.maximum_filter(number, 3) != ndimage.minimum_filter(number, 3)
    cells = ~edge
    noise = ndimage.gaussian_filter(rng.normal(size=cells.shape), 1.5) * 1.5
    probability = (ndimage.gaussian_filter(cells.astype(float), 1) + noise).clip(0, 1)
    return cells.astype(np.uint8), probability.astype(np.float32)


def evaluation(count: int) -> tuple[int, float]:
    """Cells found in the labels, and seconds of the five metrics at one threshold."""
    labels, probability = crowd(count)
    took = alternate({"": lambda: isbi2012.evaluate_stack(labels, probability)}, 3)[""] / len(isbi2012.THRESHOLDS)
    return int(ndimage.label(labels)[1]), took


def measure(folder: Path) -> tuple[list[Row], dict]:
    def shown(value: float) -> float:
        return float(f"{value:.4g}")

    def work(width: int, tile: int) -> int:
        return sum(layer.multiplications for layer in layers(UNet(width=width), tile))

    prediction = []
    for side in SIDES:
        write_noise(folder / "in.tif", side)
        took, peak = apart(PROGRAM, folder / "in.tif", folder / "out.tif")
        prediction.append([side, shown(took), shown(peak / 2**30)])
    evaluated = [evaluation(count) for count in CELLS]
    return [], {
        "step_by_width": [[width, shown(step(width, TILE)), work(width, TILE)] for width in WIDTHS],
        "step_by_tile": [[tile, shown(step(WIDTH, tile)), work(WIDTH, tile)] for tile in TILES],
        "prediction_by_side": prediction,
        "evaluation_by_cells": [[found, shown(took)] for found, took in evaluated],
        "tile": TILE,
        "width": WIDTH,
        "reduced": best_format() == torch.bfloat16,
    }
