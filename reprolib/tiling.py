"""The overlap-tile strategy (Sec. 2, Fig. 2): segment an image of any size, tile by tile.

Each output tile is computed from an input tile larger by 92 px on every side; what that reads beyond the image is the
image mirrored, without repeating the edge pixel (as in the release).

Four 2x2 max-pools make the network commute only with shifts by multiples of 16 px, and a valid output side is 4 more
than a multiple of 16. So stepping by the whole output tile, as Fig. 2 draws it, shifts the pooling phase from tile to
tile: seamless to the eye, but not the network's answer for the image in one piece. ``lattice=True`` steps by the next
smaller multiple of 16 (tiles overlap by 4 px) and gives that answer.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reprolib.augment import normalise
from reprolib.errors import InputError
from reprolib.geometry import VALID, Geometry
from reprolib.model import UNet
from reprolib.resample import resample_image, resize_planes

SEVEN_ROTATIONS = tuple(360.0 * k / 7 for k in range(7))  # degrees; the paper gives the number, not the angles
GIBIBYTE = 2**30
PLANES = 7.5  # feature maps of the first level, in float32, that are held at the worst moment (measured: 5.6 to 7.0)
FLIPS: tuple[tuple[int, ...], ...] = ((), (-2,), (-1,), (-2, -1))  # axes along which an image is mirrored


def predict(
    model: nn.Module,
    image: np.ndarray,
    tile: int = 572,
    lattice: bool = True,
    rotations: Sequence[float] = (0.0,),
    reduced: bool = False,
    flips: bool = False,
    scale: float = 1.0,
    normalisation: str = "standard",
) -> np.ndarray:
    """Class probabilities of an image of any size (Fig. 2), averaged over rotated versions of it (Table 1).

    Args:
        model: a network with a ``geometry``, or any module (B, C, h, w) -> logits (B, K, h - 184, w - 184).
        image: (H, W) grey values, or (H, W, C) channels, integer or float; it is normalised here as in training.
        tile: side of the input tile in px (16 k + 60; for padding "same" a multiple of 16, without any context).
        lattice: put the tiles' origins on a 16 px lattice (see the head of this file).
        rotations: angles in degrees, anticlockwise; multiples of 90 turn pixels exactly, others interpolate linearly.
        reduced: convolve in bfloat16, which is faster on devices that compute in it (``machine.number_format``) and
            leaves two or three digits of a probability.
        flips: average over the image, its two mirror images and both mirrored (the release), at every angle.
        scale: resample the image to this share of its sides first, and the probabilities back.
        normalisation: see ``augment.normalise``.

    Returns:
        (K, H, W) float32 probabilities (float64 for a float64 model), summing to 1 over the classes.

    Raises:
        ValueError: if the image is not finite, varying and of that shape, the tile does not fit, or no angle is given.
    """
    if len(rotations) == 0 or not all(math.isfinite(angle) for angle in rotations):
        raise InputError("rotations must hold at least one finite angle in degrees")
    parameter = next(model.parameters(), torch.empty(0))
    values = normalise(resample_image(image, scale), normalisation).to(parameter.dtype)
    total, mirrored_along = 0, FLIPS if flips else FLIPS[:1]
    for axes in mirrored_along:
        flipped = torch.flip(values, axes)
        turned = sum(_predict_rotated(model, flipped, tile, lattice, angle, reduced) for angle in rotations)
        total = total + torch.flip(turned, axes)
    return resize_planes((total / (len(rotations) * len(mirrored_along))).numpy(), image.shape[:2])


def _predict_rotated(model, values: Tensor, tile: int, lattice: bool, angle: float, reduced: bool) -> Tensor:
    quarters, rest = divmod(angle, 90.0)
    if rest == 0:
        turned = torch.rot90(values, int(quarters), (-2, -1))
        return torch.rot90(predict_tiles(model, turned, tile, lattice, reduced), -int(quarters), (-2, -1))
    radians, (height, width) = math.radians(angle), values.shape[-2:]
    cosine, sine = abs(math.cos(radians)), abs(math.sin(radians))
    canvas = (math.ceil(height * cosine + width * sine), math.ceil(height * sine + width * cosine))
    turned = _resample(values.reshape(-1, height, width), canvas, radians).reshape(*values.shape[:-2], *canvas)
    return _resample(predict_tiles(model, turned, tile, lattice, reduced), (height, width), -radians)


def _resample(planes: Tensor, sides: Sequence[int], radians: float) -> Tensor:
    """Turn (C, H, W) about its centre onto (C, *sides), bilinear, mirrored beyond the edges."""
    height, width = planes.shape[-2:]
    y, x = (torch.arange(n, dtype=planes.dtype) - (n - 1) / 2 for n in sides)
    y, x = torch.meshgrid(y, x, indexing="ij")
    rows = math.cos(radians) * y + math.sin(radians) * x
    columns = math.cos(radians) * x - math.sin(radians) * y
    where = torch.stack([2 * columns / max(1, width - 1), 2 * rows / max(1, height - 1)], dim=-1)[None]
    return F.grid_sample(planes[None], where, mode="bilinear", padding_mode="reflection", align_corners=True)[0]


def predict_tiles(model: nn.Module, values: Tensor, tile: int, lattice: bool, reduced: bool = False) -> Tensor:
    """(K, H, W) probabilities of normalised values (H, W) or (C, H, W), tile by tile, in evaluation mode; on the CPU.

    Raises:
        ValueError: if the tile does not fit the network.
    """
    output, step, halo = tile_geometry(tile, lattice, getattr(model, "geometry", VALID))
    height, width = values.shape[-2:]
    tops, lefts = origins(height, output, step), origins(width, output, step)
    pixels, result = (values if values.ndim == 2 else values.permute(1, 2, 0)).numpy(), None
    with evaluating(model, reduced):
        for top in tops:
            for left in lefts:
                probability = probabilities(model, window(pixels, top - halo, left - halo, tile), reduced)
                if result is None:
                    result = probability.new_empty(probability.shape[0], tops[-1] + output, lefts[-1] + output)
                result[:, top : top + output, left : left + output] = probability
    return result[:, :height, :width].clone()


@contextlib.contextmanager
def evaluating(model: nn.Module, reduced: bool = False) -> Iterator[None]:
    """Evaluation mode without gradients, convolutions in bfloat16 if ``reduced``; then the mode that it was in."""
    device = next(model.parameters(), torch.empty(0)).device
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=reduced):
            yield
    finally:
        model.train(was_training)


def probabilities(model: nn.Module, values: np.ndarray, reduced: bool = False) -> Tensor:
    """What a network, within ``evaluating``, makes of an input tile (h, w) or (h, w, C): (K, h', w') probabilities.

    Channels lie last in memory, which makes convolutions faster (a prediction in float32 by 1.6, at width 16 and 32).
    """
    parameter = next(model.parameters(), torch.empty(0))
    planes = torch.from_numpy(values)
    planes = planes[None] if planes.ndim == 2 else planes.permute(2, 0, 1)
    batch = planes[None].to(parameter.device, parameter.dtype)
    logits = model(batch.to(memory_format=torch.channels_last))
    return (logits.float() if reduced else logits).softmax(dim=1)[0].contiguous().cpu()


def window(image: np.ndarray, top: int, left: int, side: int) -> np.ndarray:
    """A copy of a square window of an image (H, W) or (H, W, C); beyond its edges, it holds the mirror image (Fig. 2).

    Args:
        top, left: its first row and column, also negative.
        side: in px.
    """
    return picked(image, *(mirrored(*span) for span in ((top, side, image.shape[0]), (left, side, image.shape[1]))))


def picked(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """A copy of some rows and columns of an image (H, W) or (H, W, C); only the box around them is read."""
    box = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return np.asarray(box[np.ix_(rows - rows.min(), columns - columns.min())])


def mirrored(start: int, count: int, side: int) -> np.ndarray:
    """Indices of ``count`` pixels from ``start`` on along an image side; beyond it back and forth, the edge once."""
    if side == 1:
        return np.zeros(count, int)
    there = np.arange(start, start + count) % (2 * (side - 1))
    return np.minimum(there, 2 * (side - 1) - there)


def tile_geometry(tile: int, lattice: bool = True, geometry: Geometry = VALID) -> tuple[int, int, int]:
    """(output side, step from tile to tile, halo) in px of an input tile of side ``tile``.

    A network with padding "same" has no halo: it must make do with what the tile holds.

    Raises:
        ValueError: if the tile does not fit the network.
    """
    output, stride = geometry.output(tile), geometry.stride
    if lattice and output < stride:
        smallest = geometry.covering(stride)
        raise InputError(f"a tile of {tile} px is too small to step on the lattice: the smallest is {smallest}")
    return output, output // stride * stride if lattice else output, geometry.halo


def fitting_tile(model: nn.Module, side: int, memory: float = GIBIBYTE) -> int:
    """Side (px) of the largest input tile that a budget allows, or of the one that covers the image if that is smaller.

    The larger the tile, the smaller the share of the halo, whose work is repeated by the next tile.

    Args:
        model: a U-Net, or another network with a ``geometry`` (which gets the paper's 572 px or the next that fits).
        side: the image's longer side in px.
        memory: bytes for the features of one tile.

    Raises:
        ValueError: if not even the smallest tile that can step on the lattice fits; says how much that takes.
    """
    geometry = getattr(model, "geometry", VALID)
    covering = geometry.covering(side)
    if not isinstance(model, UNet):
        return min(covering, geometry.covering(388))
    per_pixel = PLANES * model.down[0][0].out_channels * next(model.parameters()).element_size()
    affordable = math.isqrt(int(memory / per_pixel))
    smallest = geometry.covering(geometry.stride)
    if affordable < smallest:
        needed = per_pixel * smallest**2 / GIBIBYTE
        raise InputError(f"a tile takes at least {needed:.2f} GiB here, more than the {memory / GIBIBYTE:.2f} allowed")
    return min(covering, affordable - (affordable - geometry.smallest) % geometry.stride)


def origins(side: int, output: int, step: int) -> list[int]:
    """Where the output tiles begin (px) along an image side: 0, step, 2 step, ... until the side is covered."""
    count = 1 + max(0, math.ceil((side - output) / step))
    return [step * k for k in range(count)]
