"""A training step and a 512 x 512 image on a GPU (Sec. 4: below a second on one of 2015), at three widths.

A step by ``train.train_step``, augmentation, loss and update included, against plain PyTorch in float32 with a tile at
hand, the same under ``torch.compile``, and the card's own matrix product in the number format of training, forward and
backward counted as three times the forward multiplications. An image by ``tiling.predict``, from its grey values to the
probabilities back in memory, against plain PyTorch, ``torch.compile``, MONAI's inferer (extra [peers]) and the paper's
second.

The book has no figures of a GPU yet. With one at hand: ``python -m benchmarks gpu --write``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from benchmarks.prediction import monai, plain
from benchmarks.timing import Row, alternate, best_format, clock_of, product_rate
from benchmarks.training import bare, ours
from reprolib.evaluation.prediction import covering_tile
from reprolib.model import UNet
from reprolib.plots.drawing import layers
from reprolib.tiling import predict

WIDTHS = (16, 32, 64)
TILE, SIDE = 572, 512  # px
PEERS = {"plain": "plain PyTorch", "compiled": "torch.compile", "MONAI": "MONAI"}


def steps(widths: Sequence[int], tile: int, device: torch.device, rate: float) -> list[Row]:
    """Rows on a training step."""
    rows, reduced = [], best_format(device) == torch.bfloat16
    for width in widths:
        works = {
            "ours": ours(width, tile, device),
            "plain": bare(width, tile, False, device),
            "compiled": bare(width, tile, reduced, device, compiled=True),
        }
        took = alternate(works, 10, clock_of(device))
        what = f"a training step, width {width}"
        rows += [Row(what, PEERS[name], took[name], took["ours"], "s") for name in works if name != "ours"]
        least = 3 * sum(layer.multiplications for layer in layers(UNet(width=width), tile)) / rate
        rows.append(Row(f"{what}: share of the ceiling", "matrix product", least, took["ours"], "s"))
    return rows


def images(widths: Sequence[int], side: int, device: torch.device, rate: float) -> list[Row]:
    """Rows on the prediction of an image."""
    rows, tile = [], covering_tile(side)
    image = np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)
    reduced = best_format(device) == torch.bfloat16
    for width in widths:
        model, at_hand = UNet(width=width).eval().to(device), torch.randn(1, 1, tile, tile, device=device)
        works = {
            "ours": lambda model=model: predict(model, image, tile, reduced=reduced),
            "plain": plain(model, at_hand),
            "compiled": plain(torch.compile(model), at_hand),
        }
        try:
            works["MONAI"] = monai(model, at_hand)
        except ImportError as error:
            print(f"MONAI is left out ({error}); it comes with the extra [peers]")
        took = alternate(works, 10, clock_of(device))
        what = f"{side} x {side} px, width {width}"
        rows += [Row(what, PEERS[name], took[name], took["ours"], "s") for name in works if name != "ours"]
        least = sum(layer.multiplications for layer in layers(UNet(width=width), tile)) / rate
        rows.append(Row(f"{what}: share of the ceiling", "matrix product", least, took["ours"], "s"))
        if side == SIDE:
            rows.append(Row(what, "the paper's bound", 1.0, took["ours"], "s", 1))
    return rows


def measure() -> tuple[list[Row], dict]:
    device = torch.device("cuda")
    torch.manual_seed(0)
    rate = product_rate(best_format(device), device=device)
    rows = steps(WIDTHS, TILE, device, rate) + images(WIDTHS, SIDE, device, rate)
    return rows, {"multiplications_per_second": float(f"{rate:.4g}")}
