"""How long a 512 x 512 image takes, by the U-Net and by the sliding window: python benchmarks/prediction.py [--write]

All in one run, with random weights (times do not depend on them) and a random image: the U-Net of Sec. 2 at the paper's
width and at that of the book's networks, in float32 and in bfloat16; the sliding window N4 of Ciresan et al. as
published, window by window, and in its fully convolutional form. Window by window, a part of the image is measured and
the rest taken in proportion: its windows are independent of each other.

``--write`` stores the figures in prediction.json beside this file, where the book reads them. Let nothing else run.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from reprolib import evaluate, records
from reprolib.ancestors import SlidingWindow, dense_multiplications, window_multiplications
from reprolib.drawing import layers
from reprolib.files import write_text
from reprolib.model import UNet

SIDE = 512  # px
PART = 64  # px: side of the part that is done window by window
REPEATS = 3
FILE = Path(__file__).with_suffix(".json")


def seconds(work: Callable, repeats: int = REPEATS) -> float:
    """Time of one call by the clock, the smallest of a few, after one that does not count."""
    times = []
    with torch.inference_mode():
        work()
        for _ in range(repeats):
            begin = time.perf_counter()
            work()
            times.append(time.perf_counter() - begin)
    return min(times)


def u_net(width: int, reduced: bool) -> float:
    """The U-Net on the mirrored image in one piece: 700 px in, 516 px out."""
    model, side = UNet(width=width).eval(), evaluate.covering_tile(SIDE)
    image = torch.randn(1, 1, side, side)
    if reduced:
        model, image = model.to(memory_format=torch.channels_last), image.to(memory_format=torch.channels_last)

    def work():
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            model(image).softmax(dim=1)

    return seconds(work)


def sliding(window: int) -> tuple[float, float]:
    """Window by window (in proportion), and fully convolutional."""
    model = SlidingWindow(window).eval()
    whole, part = (torch.randn(1, 1, side + window - 1, side + window - 1) for side in (SIDE, PART))
    one_by_one = seconds(lambda: model.by_window(part), 1)
    return one_by_one * (SIDE / PART) ** 2, seconds(lambda: model(whole))


def main(words: list[str]) -> int:
    torch.manual_seed(0)
    times = {
        "U-Net, width 64": u_net(64, False),
        "U-Net, width 64, bfloat16": u_net(64, True),
        "U-Net, width 16": u_net(16, False),
        "U-Net, width 16, bfloat16": u_net(16, True),
    }
    times["sliding window, window by window"], times["sliding window, fully convolutional"] = sliding(95)
    times["small sliding window, window by window"], times["small sliding window, fully convolutional"] = sliding(65)
    covering = evaluate.covering_tile(SIDE)
    counted = {
        "U-Net, width 64": sum(x.multiplications for x in layers(UNet(), covering)) / SIDE**2,
        "U-Net, width 16": sum(x.multiplications for x in layers(UNet(width=16), covering)) / SIDE**2,
        "sliding window, window by window": window_multiplications(95),
        "sliding window, fully convolutional": dense_multiplications(95),
        "small sliding window, window by window": window_multiplications(65),
        "small sliding window, fully convolutional": dense_multiplications(65),
    }
    processor, threads = records.processor_name(torch.device("cpu")), torch.get_num_threads()
    print(f"{SIDE} x {SIDE} px, {processor}, {threads} threads, PyTorch {torch.__version__}")
    for name, took in times.items():
        millions = f"{counted[name] / 1e6:10.3f} million multiplications per pixel" if name in counted else ""
        print(f"  {name:44s}{took:9.2f} s{millions}")
    if words == ["--write"]:
        body = {
            "processor": processor,
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "threads": threads,
            "torch": torch.__version__.split("+")[0],
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "seconds": {name: float(f"{took:.4g}") for name, took in times.items()},
            "multiplications_per_pixel": {name: round(value) for name, value in counted.items()},
        }
        write_text(FILE, json.dumps(body, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
