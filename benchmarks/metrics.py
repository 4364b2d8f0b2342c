"""How long the ISBI 2012 metrics take: python benchmarks/metrics.py

Each metric by itself; all together against the plain Python version of the tests, on the same pixels in the same run;
and the whole of Table 1, 30 slices at ten thresholds. Labels are the real ones where they are here, else a phantom's;
the probabilities are these labels blurred, with smooth noise from a seed: more mistakes than a trained network makes.
Times are of the processor (one core), the smallest of several repeats, so that other programs disturb them little.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from reprolib import data, metrics, records

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import plain_metrics

CROP = 128  # px: the plain version takes minutes for a whole slice


def stack() -> tuple[str, np.ndarray, np.ndarray]:
    """Where the labels are from; labels (30, 512, 512) uint8; probability of not membrane, float32."""
    name = "isbi2012" if data.present("isbi2012") else "phantom-em"
    cells = data.load(name).instances > 0
    if cells.shape != (30, 512, 512):
        cells = np.resize(np.tile(cells, (1, 4, 4))[:, :512, :512], (30, 512, 512))
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=cells.shape), (0, 1.5, 1.5)) * 1.5
    probability = ndimage.gaussian_filter(cells.astype(float), (0, 1, 1)) + noise
    return name, cells.astype(np.uint8), probability.clip(0, 1).astype(np.float32)


def seconds(work: Callable, repeats: int = 3) -> float:
    """Processor time of one call, the smallest of a few."""
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return min(times)


def main() -> None:
    name, labels, probability = stack()
    one, values = labels[20], probability[20]
    small, few = one[:CROP, :CROP], values[:CROP, :CROP]
    metrics.evaluate_stack(small, few, (0.5,))  # compiled on first use
    print(f"{records.processor_name(torch.device('cpu'))}, one core; labels: {name}\n")
    print(f"{'512 x 512 px, one threshold':44s}{'s':>8s}")
    for metric in metrics.METRICS:
        took = seconds(lambda m=metric: getattr(metrics, m)(one, values)) / len(metrics.THRESHOLDS)
        print(f"  {metric:42s}{took:8.4f}")
    together = seconds(lambda: metrics.evaluate_stack(one, values)) / len(metrics.THRESHOLDS)
    print(f"  {'all five together':42s}{together:8.4f}   (wanted: below 0.05)")
    fast = seconds(lambda: metrics.evaluate_stack(small, few, (0.5,)), 20)
    plain = seconds(lambda: plain_metrics.row(small[None], few[None], 0.5), 1)
    print(
        f"\n{CROP} x {CROP} px, one threshold, all five: plain Python {plain:.2f} s, ours {fast:.4f} s: "
        f"{plain / fast:.0f} x"
    )
    begin, used = time.perf_counter(), time.process_time()
    metrics.evaluate_stack(labels, probability)
    wall, used = time.perf_counter() - begin, time.process_time() - used
    print(f"Table 1, 30 slices x 10 thresholds, all five: {used:.1f} s, {wall:.1f} s by the clock   (wanted: below 60)")


if __name__ == "__main__":
    main()
