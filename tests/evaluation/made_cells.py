"""Frames of square cells and noisy probabilities, for the tests of what is scored on cells."""

from __future__ import annotations

import numpy as np

NAMES = ("01/t000", "01/t003", "02/t001")


def frames(seed: int = 0):
    """Three frames of four square cells, with probabilities that are higher inside but noisy."""
    rng = np.random.default_rng(seed)
    gold = np.zeros((3, 40, 40), np.int32)
    for frame in gold:
        for label, (y, x) in enumerate(((3, 3), (3, 22), (22, 3), (22, 22)), start=1):
            y, x = rng.integers(-2, 3, 2) + (y, x)
            frame[y : y + 13, x : x + 13] = label
    gold[0][gold[0] > 2] = 0  # fewer cells in video 01
    noise = rng.normal(0, 0.25, gold.shape)
    probability = np.clip(0.2 + 0.5 * (gold > 0) + noise, 0, 1).astype(np.float32)
    return gold, probability, np.zeros(gold.shape, bool)
