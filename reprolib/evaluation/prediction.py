"""From a network to cell probabilities of whole images (Sec. 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from torch import nn

from reprolib.experiment import Experiment
from reprolib.geometry import VALID
from reprolib.progress import Report
from reprolib.resample import scaled_sides
from reprolib.tiling import predict


def predict_as_trained(
    experiment: Experiment,
    model: nn.Module,
    images: np.ndarray,
    report: Report | None = None,
    rotations: Sequence[float] = (0.0,),
) -> np.ndarray:
    """`predict_cells` at the scale that the network was trained at, averaged over flips if its experiment says so."""
    return predict_cells(model, images, report, rotations, experiment.scale, experiment.mean_of_flips)


def predict_cells(
    model: nn.Module,
    images: np.ndarray,
    report: Report | None = None,
    rotations: Sequence[float] = (0.0,),
    scale: float = 1.0,
    flips: bool = False,
) -> np.ndarray:
    """(N, H, W) float32 probability of class 1 (cell, not membrane) of images (N, H, W), each in one piece.

    rotations, scale, flips: as in ``tiling.predict``.
    """
    height, width = scaled_sides(images.shape[1:], scale) if scale != 1 else images.shape[1:]
    side = math.ceil(math.hypot(height, width)) if any(angle % 90 for angle in rotations) else max(height, width)
    tile = getattr(model, "geometry", VALID).covering(side)
    planes = []
    for count, image in enumerate(images, start=1):
        planes.append(predict(model, image, tile=tile, rotations=rotations, flips=flips, scale=scale)[1])
        if report and count == len(images):
            report(f"predicted {count} images")
    return np.stack(planes)


def covering_tile(side: int) -> int:
    """The smallest input tile (px) whose output covers an image of this side: 512 -> 700."""
    return VALID.covering(side)
