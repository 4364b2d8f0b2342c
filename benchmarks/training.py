"""A training step, and a whole training run (Sec. 3).

A step on the paper's 572 px tile by ``train.train_step``, augmentation, loss and update included, against the same
network in plain PyTorch: float32, default memory layout, a tile at hand. Then against a ceiling: the time of the step's
multiplications at the rate of the processor's own matrix product. Forward and backward count as three times the
forward multiplications.

Where the time of a step goes: augmentation, forward, backward, update, each timed by itself; and the least that the
bytes would take: each feature map read and written once on the way forward and twice on the way back, in the number
format of training, at the rate at which the processor copies a large array.

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
from reprolib import data, sampling, train
from reprolib.augment import augment
from reprolib.experiment import Experiment
from reprolib.geometry import output_side
from reprolib.loss import weighted_cross_entropy
from reprolib.model import UNet
from reprolib.plan import catalogue, facts
from reprolib.plots.drawing import layers
from reprolib.runs.weights import save_weights

TILE = 572  # px
WIDTHS = (16, 32, 64)
RUN_STEPS = catalogue.em(5).steps


def bare(width: int, tile: int, reduced: bool, device: torch.device = CPU, compiled: bool = False) -> Callable:
    """A step with nothing round it; ``reduced`` as the book trains, else as a tutorial would write it."""
    model = UNet(width=width).train().to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    image, side = torch.randn(1, 1, tile, tile, device=device), output_side(tile)
    target, weights = torch.randint(2, (1, side, side), device=device), torch.rand(1, side, side, device=device)
    if reduced:
        image = image.to(memory_format=torch.channels_last)
    network = torch.compile(model) if compiled else model

    def step():
        with torch.autocast(device.type, torch.bfloat16, enabled=reduced):
            logits = network(image)
        loss = weighted_cross_entropy(logits, target, weights)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def ours(width: int, tile: int = TILE, device: torch.device = CPU) -> Callable:
    """A step of ``reprolib.train`` on a phantom."""
    experiment = Experiment(data="phantom-em", fold=1, width=width, tile=tile, optimiser="adam")
    samples = sampling.prepare(experiment, data.load(experiment.data), device)
    state, count = train.initial_state(experiment, device), iter(range(1, 10_000))

    def step():
        number = next(count)
        (drawn,) = sampling.draw_samples(experiment, (number,), len(samples), device)
        return train.train_step(experiment, state, samples, number, drawn)

    return step


def parts(width: int, reduced: bool) -> dict[str, float]:
    """Seconds of the parts of a step."""
    experiment = Experiment(data="phantom-em", fold=1, width=width, tile=TILE, optimiser="adam")
    image, planes = sampling.prepare(experiment, data.load(experiment.data), CPU)[0]
    model, tile, generator = UNet(width=width).train(), torch.randn(1, 1, TILE, TILE), torch.Generator()
    if reduced:
        tile = tile.to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)

    def forward():
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            return model(tile)

    forward().float().mean().backward()  # the update needs gradients
    took = alternate(
        {
            "augmentation": lambda: augment(image, planes, TILE, generator),
            "forward": forward,
            "update": optimiser.step,
            "bare": bare(width, TILE, reduced),
        },
        3,
    )
    whole = took.pop("bare")
    return took | {"backward and loss": whole - took["forward"] - took["update"]}


def least_by_bytes(width: int, size: int) -> float:
    """Seconds that a step's feature maps would take at the rate of a copy (see the head); ``size``: bytes a number."""
    source, target = torch.zeros(2**28, dtype=torch.uint8), torch.empty(2**28, dtype=torch.uint8)
    copying = alternate({"": lambda: target.copy_(source)}, 5)[""]
    found = layers(UNet(width=width), TILE)
    numbers = sum(x.channels_in * x.side_in**2 + x.channels * x.side**2 for x in found)
    return 3 * numbers * size / (2 * len(source) / copying)  # a copy reads and writes


def whole_run() -> float:
    """Seconds of the headline recipe, from the files to the stored weights, scores apart."""
    name = facts.source("isbi2012", "auto")
    experiment = catalogue.em(5).replace(data=name, fold=1 if name != "isbi2012" else 5, steps=RUN_STEPS)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        checkpoint = Path(folder, "checkpoint.safetensors")
        state = train.run_steps(experiment, data.load(name), CPU, RUN_STEPS, checkpoint=checkpoint)
        save_weights(state.model, Path(folder, "weights.safetensors"))
        return time.perf_counter() - began


def measure() -> tuple[list[Row], dict]:
    reduced = best_format() == torch.bfloat16
    rows, rate, details = [], product_rate(best_format()), {}
    for width in WIDTHS:
        took = alternate({"plain": bare(width, TILE, False), "ours": ours(width)}, 5 if width < 64 else 3)
        rows.append(Row(f"a training step, width {width}", "plain PyTorch", took["plain"], took["ours"], "s", 2))
        least = 3 * sum(layer.multiplications for layer in layers(UNet(width=width), TILE)) / rate
        what = f"a training step, width {width}: share of the ceiling"
        rows.append(Row(what, "matrix product", least, took["ours"], "s", 0.7 if width == 64 else None))
        by_bytes = least_by_bytes(width, 2 if reduced else 4)
        details[str(width)] = {"step": took["ours"], "least by arithmetic": least, "least by bytes": by_bytes} | parts(
            width, reduced
        )
    experiment = catalogue.em(5)
    step = alternate({"bare": bare(experiment.width, experiment.tile, reduced)}, 10)["bare"]
    rows.append(Row(f"a run of {RUN_STEPS} steps", "its bare steps", RUN_STEPS * step, whole_run(), "s", 1 / 1.1))
    shown = {width: {name: float(f"{value:.4g}") for name, value in one.items()} for width, one in details.items()}
    return rows, {"multiplications_per_second": float(f"{rate:.4g}"), "parts": shown}
