"""How long a training step takes: python benchmarks/training.py [WIDTH ...] (default 16 32 64)

One step on a 572 px tile, batch 1, by the book's ``train_step`` (augmentation, loss and update included), against the
same network in plain PyTorch: float32, default memory layout, the tile at hand. Then both against a ceiling: the time
that the step's multiplications would take at the rate of this processor's own matrix product in bfloat16 (or float32,
where it has no bfloat16). Forward and backward count as three times the forward multiplications. All in one run; let
nothing else run.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from reprolib import data, records, train
from reprolib.drawing import layers
from reprolib.experiment import Experiment
from reprolib.model import UNet

TILE = 572  # px
REPEATS = 5
CPU = torch.device("cpu")


def seconds(work: Callable, repeats: int = REPEATS) -> float:
    """Time of one call by the clock, the median of several, after two that do not count."""
    times = []
    for count in range(repeats + 2):
        begin = time.perf_counter()
        work()
        if count >= 2:
            times.append(time.perf_counter() - begin)
    return sorted(times)[len(times) // 2]


def plain(width: int) -> Callable:
    """A step as a tutorial would write it."""
    model = UNet(width=width).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    image, side = torch.randn(1, 1, TILE, TILE), TILE - 184
    target, weights = torch.randint(2, (1, side, side)), torch.rand(1, side, side)

    def step():
        loss = (F.cross_entropy(model(image), target, reduction="none") * weights).mean()
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


def product_rate(side: int = 3072) -> float:
    """Multiplications per second of a large matrix product in the number format that training uses here."""
    kind = torch.bfloat16 if train.number_format(CPU) == "bfloat16" else torch.float32
    a, b = torch.randn(side, side, dtype=kind), torch.randn(side, side, dtype=kind)
    return side**3 / seconds(lambda: a @ b)


def main(words: list[str]) -> int:
    widths = [int(word) for word in words] or [16, 32, 64]
    rate = product_rate()
    print(
        f"{records.processor_name(CPU)}, {torch.get_num_threads()} threads, PyTorch {torch.__version__}, {TILE} px;"
        f" {train.number_format(CPU)}: {rate / 1e9:.0f} thousand million multiplications a second"
    )
    print(f"{'width':>6s}{'plain (s)':>11s}{'ours (s)':>10s}{'ratio':>7s}{'ceiling (s)':>13s}{'of the ceiling':>16s}")
    for width in widths:
        forward = sum(layer.multiplications for layer in layers(UNet(width=width), TILE))
        slow, fast, least = seconds(plain(width)), seconds(ours(width)), 3 * forward / rate
        print(f"{width:6d}{slow:11.3f}{fast:10.3f}{slow / fast:7.2f}{least:13.3f}{least / fast:16.0%}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
