"""From a network to cell probabilities of whole images (Sec. 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from torch import nn

from reprolib.data.dataset import padded
from reprolib.experiment import Experiment
from reprolib.geometry import VALID
from reprolib.progress import Report
from reprolib.resample import scaled_sides
from reprolib.tiling import predict


def predict_as_trained(
    experiment: Experiment,
    model: nn.Module,
    images: Sequence[np.ndarray],
    report: Report | None = None,
    rotations: Sequence[float] = (0.0,),
) -> np.ndarray:
    """`predict_cells` at the scale that the network was trained at, averaged over flips if its experiment says so."""
    return predict_cells(model, images, report, rotations, experiment.scale, experiment.mean_of_flips)


def predict_cells(
    model: nn.Module,
    images: Sequence[np.ndarray],
    report: Report | None = None,
    rotations: Sequence[float] = (0.0,),
    scale: float = 1.0,
    flips: bool = False,
) -> np.ndarray:
    """(N, H, W) float32 probability of class 1 (cell, not membrane) of images (H, W), each in one piece.

    Args:
        images: N arrays (H, W), or one array (N, H, W). Where they differ in size, the result is padded with 0.
        rotations, scale, flips: as in ``tiling.predict``.
    """
    planes = []
    for count, image in enumerate(images, start=1):
        height, width = scaled_sides(image.shape, scale) if scale != 1 else image.shape
        side = math.ceil(math.hypot(height, width)) if any(angle % 90 for angle in rotations) else max(height, width)
        tile = getattr(model, "geometry", VALID).covering(side)
        planes.append(predict(model, image, tile=tile, rotations=rotations, flips=flips, scale=scale)[1])
        if report and count == len(images):
            report(f"predicted {count} images")
    return padded(planes)


def covering_tile(side: int) -> int:
    """The smallest input tile (px) whose output covers an image of this side: 512 -> 700."""
    return VALID.covering(side)
