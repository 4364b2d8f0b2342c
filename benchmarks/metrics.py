"""The ISBI 2012 metrics: one slice at one threshold, and the whole of Table 1.

Labels are the real ones where they are here, else a phantom's; the probabilities are these labels blurred, with smooth
noise from a seed: more mistakes than a trained network makes. The plain Python version of the tests, on a crop, is a
peer in the same run. The challenge's own program is not run here: it takes several seconds for one slice and
threshold, so one second is a bound in its favour. Times are of the processor, one core.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from scipy import ndimage

from benchmarks.timing import Row, alternate
from reprolib import data
from reprolib.evaluation import isbi2012
from reprolib.evaluation.metric import ISBI2012

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "evaluation"))
import plain_metrics

CROP = 128  # px: the plain version takes minutes for a whole slice
OWN_PROGRAM = 1.0  # s


def stack() -> tuple[np.ndarray, np.ndarray]:
    """Labels (30, 512, 512) uint8; probability of not membrane, float32."""
    cells = data.load("isbi2012" if data.present("isbi2012") else "phantom-em").instances > 0
    if cells.shape != (30, 512, 512):
        cells = np.resize(np.tile(cells, (1, 4, 4))[:, :512, :512], (30, 512, 512))
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=cells.shape), (0, 1.5, 1.5)) * 1.5
    probability = ndimage.gaussian_filter(cells.astype(float), (0, 1, 1)) + noise
    return cells.astype(np.uint8), probability.clip(0, 1).astype(np.float32)


def measure() -> tuple[list[Row], dict]:
    labels, probability = stack()
    one, values = labels[20], probability[20]
    small, few = one[:CROP, :CROP], values[:CROP, :CROP]
    fast = {"ours": lambda: isbi2012.evaluate_stack(small, few, (0.5,))}
    ours = alternate(fast, 20, time.process_time)["ours"]
    plain = {"plain": lambda: plain_metrics.row(small[None], few[None], 0.5)}
    slow = alternate(plain, 1, time.process_time)["plain"]
    rows = [Row(f"the five metrics, {CROP} x {CROP} px, one threshold", "plain Python", slow, ours, "s", 10)]
    together = {"ours": lambda: isbi2012.evaluate_stack(one, values)}
    ours = alternate(together, 3, time.process_time)["ours"] / len(isbi2012.THRESHOLDS)
    rows.append(Row("the five metrics, 512 x 512 px, one threshold", "the challenge's", OWN_PROGRAM, ours, "s", 10))
    each = {m.key: (lambda m=m: getattr(isbi2012, m.key)(one, values)) for m in ISBI2012}
    singly = alternate(each, 3, time.process_time)
    whole = alternate({"": lambda: isbi2012.evaluate_stack(labels, probability)}, 1)[""]
    rows.append(Row("Table 1: 30 slices x 10 thresholds", "a minute", 60.0, whole, "s", 1))
    count = len(isbi2012.THRESHOLDS)
    return rows, {"seconds": {name: float(f"{took / count:.3g}") for name, took in singly.items()}}
