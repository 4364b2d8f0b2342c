"""A 512 x 512 image (Sec. 4: less than a second on a GPU of 2015), by the U-Net, its peers and its ancestor.

Random weights (times do not depend on them) and a random image. Ours is ``tiling.predict``, the grey values'
normalisation, mirror and soft-max included; peers get the mirrored tile and give logits. The sliding window N4 of
Ciresan et al. goes window by window, as published, and in its fully convolutional form. Window by window, a part of
the image is measured and the rest taken in proportion: its windows are independent of each other.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.timing import Row, alternate, best_format, product_rate
from reprolib.ancestors import SlidingWindow, dense_multiplications, window_multiplications
from reprolib.evaluation.prediction import covering_tile
from reprolib.model import UNet
from reprolib.plots.drawing import layers
from reprolib.tiling import predict

SIDE = 512  # px
PART = 64  # px: side of the part that is done window by window
TILE = covering_tile(SIDE)


def plain(model: UNet, tile: torch.Tensor) -> Callable:
    """The network in float32 and the default memory layout."""

    def work():
        with torch.inference_mode():
            return model(tile)

    return work


def monai(model: UNet, tile: torch.Tensor) -> Callable:
    """MONAI's sliding-window inferer round the same network, at its best: one window that holds the whole tile.

    It wants answers as large as their windows, so the network's is padded.
    """
    from monai.inferers import SlidingWindowInferer

    inferer = SlidingWindowInferer(roi_size=tile.shape[-2:], overlap=0)
    margin = model.geometry.halo

    def work():
        with torch.inference_mode():
            return inferer(tile, lambda x: torch.nn.functional.pad(model(x), [margin] * 4))

    return work


def onnx_session(file: Path):
    """ONNX Runtime with as many threads as PyTorch."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def export(model: UNet, tile: torch.Tensor, file: Path) -> None:
    """The network as an ONNX file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (tile,), str(file), input_names=["x"], output_names=["y"], dynamo=False)


def onnx(model: UNet, tile: torch.Tensor, folder: Path) -> Callable:
    """ONNX Runtime on the same network in float32."""
    export(model, tile, folder / "network.onnx")
    session = onnx_session(folder / "network.onnx")
    return lambda: session.run(None, {"x": tile.numpy()})


def sliding(window: int) -> tuple[float, float]:
    """Seconds window by window (in proportion), and fully convolutional."""
    model = SlidingWindow(window).eval()
    whole, part = (torch.randn(1, 1, side + window - 1, side + window - 1) for side in (SIDE, PART))
    with torch.inference_mode():
        one_by_one = alternate({"": lambda: model.by_window(part)}, 1)[""]
        return one_by_one * (SIDE / PART) ** 2, alternate({"": lambda: model(whole)})[""]


def measure(folder: Path) -> tuple[list[Row], dict]:
    torch.manual_seed(0)
    image, tile = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), np.uint8), torch.randn(1, 1, TILE, TILE)
    reduced = best_format() == torch.bfloat16
    wide, narrow = UNet(width=64).eval(), UNet(width=16).eval()
    works = {
        "plain PyTorch": plain(wide, tile),
        "ours, float32": lambda: predict(wide, image, TILE),
        "ours, bfloat16": lambda: predict(wide, image, TILE, reduced=True),
        "ours, width 16, float32": lambda: predict(narrow, image, TILE),
        "ours, width 16, bfloat16": lambda: predict(narrow, image, TILE, reduced=True),
    }
    for name, peer in (("MONAI", lambda: monai(wide, tile)), ("ONNX Runtime", lambda: onnx(wide, tile, folder))):
        try:
            works[name] = peer()
        except ImportError as error:
            print(f"{name} is left out ({error}); it comes with the extra [peers]")
    took = alternate(works, 5)
    fast = took["ours, bfloat16" if reduced else "ours, float32"]
    needed = sum(layer.multiplications for layer in layers(wide, TILE))
    what = f"{SIDE} x {SIDE} px, width 64"
    rows = [Row(what, "plain PyTorch", took["plain PyTorch"], fast, "s", 2.5)]
    # Ours lays the channels last in memory; the arithmetic is the same.
    rows.append(Row(f"{what}, float32", "plain PyTorch", took["plain PyTorch"], took["ours, float32"], "s", 1.3))
    rows += [Row(what, name, took[name], fast, "s", 1) for name in ("MONAI", "ONNX Runtime") if name in took]
    least = needed / product_rate(best_format())
    rows.append(Row(f"{what}: share of the ceiling", "matrix product", least, fast, "s", 0.9))
    rows.append(Row(what, "the paper's bound", 1.0, fast, "s", 1))
    seconds = {
        "U-Net, width 64": took["ours, float32"],
        "U-Net, width 64, bfloat16": took["ours, bfloat16"],
        "U-Net, width 16": took["ours, width 16, float32"],
        "U-Net, width 16, bfloat16": took["ours, width 16, bfloat16"],
    }
    counted = {"U-Net, width 64": needed, "U-Net, width 16": sum(x.multiplications for x in layers(narrow, TILE))}
    counted = {name: count / SIDE**2 for name, count in counted.items()}
    for window, name in ((95, "sliding window"), (65, "small sliding window")):
        by_window, dense = f"{name}, window by window", f"{name}, fully convolutional"
        seconds[by_window], seconds[dense] = sliding(window)
        counted[by_window], counted[dense] = window_multiplications(window), dense_multiplications(window)
    windows, dense = (seconds[f"sliding window, {form}"] for form in ("window by window", "fully convolutional"))
    rows.append(
        Row(f"{SIDE} x {SIDE} px, U-Net, width 64, float32", "sliding window", windows, took["ours, float32"], "s")
    )
    rows.append(
        Row(f"{SIDE} x {SIDE} px, sliding window, fully convolutional", "window by window", windows, dense, "s")
    )
    return rows, {
        "seconds": {name: float(f"{took:.4g}") for name, took in seconds.items()},
        "multiplications_per_pixel": {name: round(value) for name, value in counted.items()},
    }
