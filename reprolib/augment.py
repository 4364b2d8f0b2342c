"""Data augmentation (Sec. 3.1): shift, rotation, smooth elastic deformation, grey values; image and labels in one warp.

What the paper leaves open, and what is done here:

* The coarse 3x3 grid of displacement vectors spans the input tile, its outer points on the tile's corners and edges.
* Bicubic interpolation of the vectors is cubic convolution (the library's, a = -0.75), constant beyond the grid.
* Rotation: any angle, uniformly. Shift: the tile's centre is any pixel of the image, uniformly.
* Grey values: contrast is scaled about the tile's mean by a factor from [1 - g, 1 + g], brightness shifted by up to g
  standard deviations of the image.
* Flips are not in the paper; ``flip`` adds them, and is off by default. Nor is ``zoom``: by a
  factor from [1 / z, z], its logarithm uniform.
* What lies beyond the image is its mirror image (Fig. 2), without repeating the edge pixel.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reprolib.errors import InputError
from reprolib.geometry import HALO

GRID = 3  # displacement vectors along each side of the tile (Sec. 3.1)


def displacement(tile: int, std: float = 10.0, generator: torch.Generator | None = None) -> Tensor:
    """Smooth random displacement field of a tile (Sec. 3.1).

    Args:
        tile: side of the field in px.
        std: standard deviation of each component of the grid's vectors, in px (paper: 10).
        generator: source of the randomness; the same state gives the same field.

    Returns:
        (2, tile, tile) float32, the displacement (dy, dx) of each pixel in px.

    Raises:
        ValueError: if tile < 2 or std < 0.
    """
    if tile < 2 or not (math.isfinite(std) and std >= 0):
        raise InputError(f"a displacement field needs a tile of at least 2 px and std >= 0, not {tile} and {std}")
    return field(std * torch.randn(1, 2, GRID, GRID, generator=generator), tile)


def field(grid: Tensor, tile: int) -> Tensor:
    """(2, tile, tile) displacements in px from the coarse grid's vectors (1, 2, 3, 3), by bicubic interpolation.

    Raises:
        ValueError: if tile < 2.
    """
    if tile < 2:
        raise InputError(f"a displacement field needs a tile of at least 2 px, not {tile}")
    return F.interpolate(grid, size=(tile, tile), mode="bicubic", align_corners=True)[0]


class Draw(NamedTuple):
    """The random numbers of one training sample: six of [0, 1), and the coarse grid's vectors in px (none: rigid)."""

    uniform: list[float]  # angle, row, column, flip, contrast, brightness
    grid: Tensor | None  # (1, 2, 3, 3) float32
    zoom: float = 1.0  # by this factor structures become larger


def draw(generator: torch.Generator, elastic: float = 10.0, zoom: float = 1.0) -> Draw:
    """Draw the random numbers of a sample, on the CPU: the same state gives the same sample on every device.

    Raises:
        ValueError: if elastic is negative or zoom below 1, or one is not finite.
    """
    if not (math.isfinite(elastic) and elastic >= 0):
        raise InputError(f"elastic must be a finite number of px >= 0, not {elastic}")
    if not (math.isfinite(zoom) and zoom >= 1):
        raise InputError(f"zoom must be a finite factor of 1 or more, not {zoom}")
    uniform = torch.rand(6, generator=generator).tolist()
    grid = elastic * torch.randn(1, 2, GRID, GRID, generator=generator) if elastic > 0 else None
    factor = zoom ** (2 * float(torch.rand(1, generator=generator)) - 1) if zoom > 1 else 1.0
    return Draw(uniform, grid, factor)


def augment(
    image: Tensor,
    labels: Tensor,
    tile: int,
    generator: torch.Generator,
    elastic: float = 10.0,
    rotate: bool = True,
    grey: float = 0.1,
    flip: bool = False,
    halo: int = HALO,
    zoom: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """One random training sample: an input tile and the labels of its output tile, warped alike (Sec. 3.1).

    Args:
        image: (H, W) float32 grey values, or (C, H, W) channels, as ``normalise`` gives them.
        labels: (L, H, W) float32 label planes (class, weight ...), sampled at the nearest pixel: no value is mixed.
        tile: side of the input tile in px, more than 2 halo.
        generator: source of the randomness; the same state gives the same sample.
        elastic: standard deviation of the 3x3 grid's displacement vectors in px; 0 switches the deformation off.
        rotate: turn by a random angle.
        grey: strength g of the grey-value variation, in [0, 1); 0 switches it off.
        flip: mirror half of the samples (not in the paper).
        halo: px by which the labels' tile is smaller than the input tile on each side (92; see ``model.Geometry``).
        zoom: enlarge or reduce by up to this factor (not in the paper); 1 switches it off.

    Returns:
        input tile (tile, tile), or (C, tile, tile), and label planes (L, tile - 2 halo, tile - 2 halo), float32.

    Raises:
        ValueError: on wrong shapes, an impossible tile, or numbers out of range.
    """
    return warp(image, labels, tile, draw(generator, elastic, zoom), rotate, grey, flip, halo)


def warp(
    image: Tensor,
    labels: Tensor,
    tile: int,
    drawn: Draw,
    rotate: bool = True,
    grey: float = 0.1,
    flip: bool = False,
    halo: int = HALO,
) -> tuple[Tensor, Tensor]:
    """`augment`, by random numbers that are drawn already; computes on the device that holds image, labels and grid."""
    sides = image.shape[-2:]
    if image.ndim not in (2, 3) or labels.ndim != 3 or labels.shape[1:] != sides or min(sides) < 2:
        raise InputError(
            f"image (H, W) or (C, H, W) and labels (L, H, W) do not fit: {tuple(image.shape)}, {tuple(labels.shape)}"
        )
    if not 0 <= grey < 1:
        raise InputError(f"grey must be in [0, 1), not {grey}")
    if tile <= 2 * halo:
        raise InputError(f"a tile of {tile} px leaves nothing within a halo of {halo} px on each side")
    height, width = sides
    uniform = drawn.uniform
    angle = 2 * math.pi * uniform[0] if rotate else 0.0
    mirror = -1.0 if flip and uniform[3] < 0.5 else 1.0

    along = torch.arange(tile, dtype=torch.float32, device=image.device) - (tile - 1) / 2
    if drawn.zoom != 1:
        along = along / drawn.zoom
    y, x = torch.meshgrid(along, mirror * along, indexing="ij")
    rows = math.cos(angle) * y - math.sin(angle) * x + uniform[1] * (height - 1)
    columns = math.sin(angle) * y + math.cos(angle) * x + uniform[2] * (width - 1)
    if drawn.grid is not None:
        dy, dx = field(drawn.grid, tile)
        rows, columns = rows + dy, columns + dx

    # grid_sample wants (x, y) in [-1, 1], pixel centres on the ends; "reflection" then does not repeat the edge pixel.
    where = torch.stack([2 * columns / (width - 1) - 1, 2 * rows / (height - 1) - 1], dim=-1)[None]
    options = {"padding_mode": "reflection", "align_corners": True}
    sampled = F.grid_sample(image.reshape(1, -1, *sides), where, mode="bilinear", **options)[0]
    sampled = sampled.reshape(*image.shape[:-2], tile, tile)
    inner = where[:, halo : tile - halo, halo : tile - halo]
    targets = F.grid_sample(labels[None], inner, mode="nearest", **options)[0]
    if grey:
        contrast, brightness = 1 + grey * (2 * uniform[4] - 1), grey * (2 * uniform[5] - 1)
        mean = sampled.mean((-2, -1), keepdim=True)
        sampled = (sampled - mean) * contrast + mean + brightness
    return sampled, targets


def normalise(image: np.ndarray, how: str = "standard") -> Tensor:
    """Values of any scale -> float32, each image and each of its channels by itself.

    Args:
        image: (H, W) grey values, or (H, W, C) channels.
        how: "standard": mean 0 and standard deviation 1, since the initialisation of Sec. 3 wants feature maps of unit
            variance, and the input is the first of them. "percentiles": the `limits` become -1 and 1, which a few very
            bright pixels do not move, nor how much of the image is background.

    Returns:
        (H, W), or (C, H, W).

    Raises:
        ValueError: if the array is no image, holds NaN or infinity, or is constant.
    """
    if image.ndim not in (2, 3) or image.dtype.kind not in "buif" or image.size == 0:
        raise InputError(f"an image must be (H, W) grey values or (H, W, C) channels, not {image.dtype} {image.shape}")
    values = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
    if not bool(torch.isfinite(values).all()):
        raise InputError("the image holds NaN or infinite values: all grey values must be finite")
    values = values if image.ndim == 2 else values.permute(2, 0, 1).contiguous()
    spread = values.std((-2, -1), correction=0, keepdim=True)
    if not bool((spread > 0).any()):
        raise InputError("the image is constant: there is nothing to segment")
    if how == "percentiles":
        low, high = (torch.from_numpy(level).reshape(spread.shape) for level in limits(image))
        return (values - low) * (2 / (high - low)) - 1
    return (values - values.mean((-2, -1), keepdim=True)) / torch.where(spread > 0, spread, 1)  # 0: an empty channel


PERCENTILES = (1.0, 99.8)  # dark background and bright objects; StarDist's
MOST_SAMPLED = 2**22  # px of an image that its percentiles are taken of


def limits(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The percentiles of an image's values that are scaled to -1 and 1, float32: scalars, or (C,) of (H, W, C).

    Of a large image every s-th row and column counts. Where both percentiles are one value, they are the least and the
    greatest instead; in an empty channel they stay one apart.
    """
    stride = sampling_stride(image.shape)
    return limits_of_sample(image[::stride, ::stride])


def sampling_stride(shape: tuple[int, ...]) -> int:
    """Every which row and column of an image of this shape counts for its `limits`."""
    return math.ceil(math.sqrt(shape[0] * shape[1] / MOST_SAMPLED))


def limits_of_sample(sample: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`limits` of the pixels that count, (h, w) or (h, w, C); their order does not."""
    sampled = np.asarray(sample, dtype=np.float32)
    low, high = np.percentile(sampled, PERCENTILES, axis=(0, 1))
    least, greatest = sampled.min((0, 1)), sampled.max((0, 1))
    low, high = np.where(high > low, (low, high), (least, greatest))
    return np.asarray(low, np.float32), np.asarray(np.where(high > low, high, low + 1), np.float32)
