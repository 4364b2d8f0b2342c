"""The energy of Sec. 3: separation borders, weight map (Eq. 2) and weighted cross entropy (Eq. 1).

What the paper leaves open, and what is done here:

* w_c, "the weight map to balance the class frequencies": inverse class frequency, n / (K n_c), whose mean over the
  image is 1. None and explicit weights are possible.
* The second term of Eq. 2 is added on background pixels only. Inside a cell d1 is not defined by the paper, and its
  Fig. 3d shows the term on the borders alone.
* "Separation borders are computed using morphological operations": a pixel of a cell becomes background where its 3x3
  neighbourhood holds another cell, so that touching cells end up two pixels apart.
* Eq. 1 is a sum. Here it is divided by the number of annotated pixels: that leaves the minimum where it is and makes
  the learning rate independent of the size of a tile. The sign is that of a loss to be minimised.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from reprolib.errors import InputError

IGNORE = 255  # target value of pixels that are neither trained on nor scored
NEGLIGIBLE = 1e-7  # the second term of Eq. 2 is left out where it is below this


def separate(instances: np.ndarray) -> np.ndarray:
    """Draw the separation borders: cell pixels next to another cell become background (Sec. 3).

    Args:
        instances: (H, W) integer instance labels, 0 = background.

    Returns:
        A copy, same shape and dtype, in which no two different cells are 8-neighbours.

    Raises:
        ValueError: if ``instances`` is not a 2-D array of integers >= 0.
    """
    check_instances(instances)
    highest = ndimage.maximum_filter(instances, size=3, mode="nearest")
    # The lowest *cell* label around: background must not win, so it is lifted to the highest label first. (Not to the
    # type's largest number: the filters compute in float64, which cannot hold that of int64.)
    lifted = np.where(instances == 0, instances.max(), instances)
    lowest = ndimage.minimum_filter(lifted, size=3, mode="nearest")
    return np.where((instances > 0) & (lowest < highest), 0, instances).astype(instances.dtype)


def weight_map(
    instances: np.ndarray,
    class_weights: str | Sequence[float] | None = "balanced",
    w0: float = 10.0,
    sigma: float = 5.0,
    ignore: np.ndarray | None = None,
) -> np.ndarray:
    """Eq. 2: w(x) = w_c(x) + w0 exp(-(d1(x) + d2(x))^2 / (2 sigma^2)), pre-computed per image.

    d1 and d2 are the distances (px) from a background pixel to the nearest and to the second nearest cell.

    Args:
        instances: (H, W) integer instance labels, 0 = background; separate touching cells first (``separate``).
        class_weights: w_c: "balanced", None (1 everywhere), or two numbers (background, cell).
        w0: height of the second term (paper: 10); 0 leaves it out.
        sigma: its width in px (paper: about 5).
        ignore: (H, W) bool; these pixels get weight 0 and do not count in the class frequencies.

    Returns:
        (H, W) float32 weights, >= 0.

    Raises:
        ValueError: on wrong shapes or dtypes, labels without any annotated pixel, or parameters out of range.
    """
    check_instances(instances)
    if not (np.isfinite(w0) and w0 >= 0 and np.isfinite(sigma) and sigma > 0):
        raise InputError(f"w0 must be >= 0 and sigma > 0, both finite, not {w0} and {sigma}")
    if ignore is None:
        ignore = np.zeros(instances.shape, bool)
    elif ignore.shape != instances.shape or ignore.dtype != bool:
        raise InputError(f"ignore must be a bool array of shape {instances.shape}, not {ignore.dtype} {ignore.shape}")
    cell, annotated = instances > 0, ~ignore
    if not annotated.any():
        raise InputError("there is no annotated pixel: every pixel is ignored")
    background_weight, cell_weight = _class_weights(class_weights, cell[annotated])
    weights = np.where(cell, cell_weight, background_weight)
    if w0 > 0:
        nearest, second = two_nearest_cells(instances, reach=sigma * math.sqrt(2 * math.log(w0 / NEGLIGIBLE + 1)))
        weights = weights + np.where(cell, 0.0, w0 * np.exp(-((nearest + second) ** 2) / (2 * sigma**2)))
    return np.where(annotated, weights, 0.0).astype(np.float32)


def _class_weights(choice: str | Sequence[float] | None, cell: np.ndarray) -> tuple[float, float]:
    if choice is None:
        return 1.0, 1.0
    if isinstance(choice, str):
        if choice != "balanced":
            raise InputError(f"class_weights {choice!r} is unknown: use 'balanced', None or two numbers >= 0")
        share = float(cell.mean())
        if share in (0.0, 1.0):
            raise InputError("class_weights 'balanced' needs both classes: the labels hold only one; give two numbers")
        return 0.5 / (1 - share), 0.5 / share
    if len(choice) != 2 or not all(np.isfinite(w) and w >= 0 for w in choice):
        raise InputError(f"class_weights must be two finite numbers >= 0 (background, cell), not {choice!r}")
    return float(choice[0]), float(choice[1])


def class_frequency_weights(counts: Sequence[int]) -> np.ndarray:
    """w_c of Eq. 2 for any number of classes: inverse frequency, n / (K n_c), 0 for a class that does not occur.

    Args:
        counts: pixels of each class.

    Returns:
        (len(counts),) float32; their mean over the pixels is 1.
    """
    numbers = np.asarray(counts, np.float64)
    present = numbers > 0
    return np.where(present, numbers.sum() / (present.sum() * np.where(present, numbers, 1)), 0).astype(np.float32)


def two_nearest_cells(instances: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Distances d1 <= d2 (px, float64 (H, W)) to the nearest and the second nearest cell; infinite beyond ``reach`` px.

    One distance transform per cell, each only within ``reach`` of the cell's bounding box: exact there, and the cost
    grows with the cells' area, not with their number times the image.
    """
    nearest = np.full(instances.shape, np.inf)
    second = np.full(instances.shape, np.inf)
    margin = math.ceil(reach)
    for label, box in enumerate(ndimage.find_objects(instances), start=1):
        if box is None:
            continue
        window = tuple(slice(max(0, s.start - margin), s.stop + margin) for s in box)
        distance = ndimage.distance_transform_edt(instances[window] != label)
        distance[distance > reach] = np.inf
        d1, d2 = nearest[window], second[window]  # views
        np.minimum(d2, np.maximum(d1, distance), out=d2)
        np.minimum(d1, distance, out=d1)
    return nearest, second


def weighted_cross_entropy(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Eq. 1 as a loss: -sum_x w(x) log p_l(x)(x) over the annotated pixels, divided by their number.

    Args:
        logits: (B, K, H, W) float, the activations a_k(x) before the soft-max.
        target: (B, H, W) int64 classes 0..K-1, or IGNORE (255). Ignored pixels give a gradient of exactly zero.
        weights: (B, H, W) float w(x) >= 0.

    Returns:
        A scalar in float32 or wider; zero, with zero gradient, if all pixels are ignored.

    Raises:
        ValueError: on shapes that do not fit together, or a target class out of range.
    """
    if logits.ndim != 4 or target.shape != weights.shape or target.shape != logits[:, 0].shape:
        raise InputError(
            f"logits (B, K, H, W), target and weights (B, H, W) do not fit: "
            f"{tuple(logits.shape)}, {tuple(target.shape)}, {tuple(weights.shape)}"
        )
    annotated = target != IGNORE
    classes = logits.shape[1]
    # On a GPU this look at the values would wait for all that is under way; there the library's own check must do.
    if target.device.type == "cpu" and bool(((target < 0) | (target >= classes))[annotated].any()):
        raise InputError(f"target classes must be 0..{classes - 1}, or {IGNORE} for ignored pixels")
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    energy = F.cross_entropy(logits, target, ignore_index=IGNORE, reduction="none")
    return (energy * weights.to(energy.dtype) * annotated).sum() / annotated.sum().clamp(min=1)


def check_instances(instances: np.ndarray) -> None:
    """Raise ValueError unless ``instances`` is a 2-D array of integers >= 0."""
    if not isinstance(instances, np.ndarray) or instances.ndim != 2 or instances.dtype.kind not in "iu":
        is_array = isinstance(instances, np.ndarray)
        given = f"{instances.dtype} {instances.shape}" if is_array else type(instances).__name__
        raise InputError(f"instance labels must be an (H, W) array of integers, not {given}")
    if instances.size == 0 or instances.min() < 0:
        raise InputError("instance labels must be 0 (background) or positive, in an image that is not empty")
