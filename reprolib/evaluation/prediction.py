"""From a network to cell probabilities of whole images (Sec. 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from torch import nn

from reprolib.data.dataset import padded
from reprolib.experiment import Experiment
from reprolib.geometry import VALID
from reprolib.model import UNet
from reprolib.progress import Report
from reprolib.resample import scaled_sides
from reprolib.tiling import GIBIBYTE, fitting_tile, predict

MEMORY = 2 * GIBIBYTE  # for the features of one tile; all that the book shows fits in one


def predict_as_trained(
    experiment: Experiment,
    model: nn.Module,
    images: Sequence[np.ndarray],
    report: Report | None = None,
    rotations: Sequence[float] = (0.0,),
) -> np.ndarray:
    """`predict_cells` at the scale that the network was trained at, averaged over flips if its experiment says so."""
    scale, flips, normalisation = experiment.scale, experiment.mean_of_flips, experiment.normalisation
    return predict_cells(model, images, report, rotations, scale=scale, flips=flips, normalisation=normalisation)


def predict_cells(
    model: nn.Module,
    images: Sequence[np.ndarray],
    report: Report | None = None,
    rotations: Sequence[float] = (0.0,),
    scale: float = 1.0,
    flips: bool = False,
    normalisation: str = "standard",
) -> np.ndarray:
    """(N, H, W) float32 probability of class 1 (cell, not membrane) of images, each in one piece if that fits MEMORY.

    Args:
        images: N arrays (H, W), or (H, W, C) of a network for C channels, or one array of them. Where they differ in
            size, the result is padded with 0.
        rotations, scale, flips, normalisation: as in ``tiling.predict``.
    """
    planes, options = [], {"rotations": rotations, "flips": flips, "scale": scale, "normalisation": normalisation}
    for count, image in enumerate(images, start=1):
        planes.append(predict(model, image, tile=whole_tile(model, image, rotations, scale), **options)[1])
        if report and count == len(images):
            report(f"predicted {count} images")
    return padded(planes)


def predict_classes(experiment: Experiment, model: nn.Module, image: np.ndarray) -> np.ndarray:
    """(H, W) uint8: the most probable class of each pixel, as the network was trained."""
    tile = whole_tile(model, image, (0.0,), experiment.scale)
    options = {"flips": experiment.mean_of_flips, "scale": experiment.scale, "normalisation": experiment.normalisation}
    return predict(model, image, tile=tile, **options).argmax(axis=0).astype(np.uint8)


def whole_tile(model: nn.Module, image: np.ndarray, rotations: Sequence[float], scale: float) -> int:
    """Side (px) of the input tile that covers an image, turned too, in one piece if that fits MEMORY."""
    height, width = scaled_sides(image.shape[:2], scale)
    side = math.ceil(math.hypot(height, width)) if any(angle % 90 for angle in rotations) else max(height, width)
    covering = getattr(model, "geometry", VALID).covering(side)
    return fitting_tile(model, side, MEMORY) if isinstance(model, UNet) else covering


def covering_tile(side: int) -> int:
    """The smallest input tile (px) whose output covers an image of this side: 512 -> 700."""
    return VALID.covering(side)
