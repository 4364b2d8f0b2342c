"""A training step, and a whole training run (Sec. 3).

A step on the paper's 572 px tile by ``train.train_step``, augmentation, loss and update included, against the same
network in plain PyTorch: float32, default memory layout, a tile at hand. Then against a ceiling: the time of the step's
multiplications at the rate of the processor's own matrix product. Forward and backward count as three times the
forward multiplications.

A whole run, from the images to the weights, against the sum of its bare steps: forward, backward, update in the same
number format and memory layout, with a tile at hand.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.timing import CPU, Row, alternate, best_format, product_rate
from reprolib import catalogue, data, facts, records, train
from reprolib.drawing import layers
from reprolib.experiment import Experiment
from reprolib.loss import weighted_cross_entropy
from reprolib.model import UNet, output_side

TILE = 572  # px
WIDTHS = (16, 32, 64)
RUN_STEPS = 300


def bare(width: int, tile: int, reduced: bool) -> Callable:
    """A step with nothing round it; ``reduced`` as the book trains, else as a tutorial would write it."""
    model = UNet(width=width).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    image, side = torch.randn(1, 1, tile, tile), output_side(tile)
    target, weights = torch.randint(2, (1, side, side)), torch.rand(1, side, side)
    if reduced:
        image = image.to(memory_format=torch.channels_last)

    def step():
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            logits = model(image)
        loss = weighted_cross_entropy(logits, target, weights)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def ours(width: int) -> Callable:
    """A step of ``reprolib.train`` on a phantom."""
    experiment = Experiment(data="phantom-em", fold=1, width=width, tile=TILE, optimiser="adam")
    samples = train.prepare(experiment, data.load(experiment.data), CPU)
    state, count = train.State(experiment, CPU), iter(range(1, 10_000))
    return lambda: train.train_step(experiment, state, samples, next(count), CPU)


def whole_run() -> float:
    """Seconds of the headline recipe cut to some hundred steps, from the files to the stored weights, scores apart."""
    name = facts.source("isbi2012", "auto")
    experiment = catalogue.em(5).replace(data=name, fold=1 if name != "isbi2012" else 5, steps=RUN_STEPS)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        checkpoint = Path(folder, "checkpoint.safetensors")
        state = train.run_steps(experiment, data.load(name), CPU, RUN_STEPS, lambda line: None, checkpoint)
        records.save_weights(state.model, Path(folder, "weights.safetensors"))
        return time.perf_counter() - began


def measure() -> tuple[list[Row], dict]:
    reduced = best_format() == torch.bfloat16
    rows, rate = [], product_rate(best_format())
    for width in WIDTHS:
        took = alternate({"plain": bare(width, TILE, False), "ours": ours(width)}, 5 if width < 64 else 3)
        rows.append(Row(f"a training step, width {width}", "plain PyTorch", took["plain"], took["ours"], "s", 2))
        least = 3 * sum(layer.multiplications for layer in layers(UNet(width=width), TILE)) / rate
        what = f"a training step, width {width}: share of the ceiling"
        rows.append(Row(what, "matrix product", least, took["ours"], "s", 0.7 if width == 64 else None))
    experiment = catalogue.em(5)
    step = alternate({"bare": bare(experiment.width, experiment.tile, reduced)}, 10)["bare"]
    rows.append(Row(f"a run of {RUN_STEPS} steps", "its bare steps", RUN_STEPS * step, whole_run(), "s", 1 / 1.1))
    return rows, {"multiplications_per_second": rate}
