"""The arithmetic of the sides of tiles (Sec. 2, Fig. 1), and the names of the networks: known without building one."""

from __future__ import annotations

import math
from dataclasses import dataclass

from reprolib.errors import InputError

DEPTH = 4  # max-pools on the way down
LOSS_OF_SIDE = 184  # px that the unpadded convolutions take from the side of a tile
STRIDE = 2**DEPTH  # px; the network commutes with shifts by multiples of this
HALO = LOSS_OF_SIDE // 2  # px of context on each side of an output tile
SMALLEST_INPUT = 188
VARIANTS = ("paper", "release")
PADDINGS = ("valid", "same")
INITIALISATIONS = ("paper", "pytorch")


@dataclass(frozen=True)
class Geometry:
    """Which input tile gives which output tile of a network: sides in px."""

    halo: int  # context on each side: an output tile is 2 halo smaller than its input tile
    stride: int  # the network commutes with shifts by multiples of this; valid sides are so far apart
    smallest: int  # input side

    def output(self, tile: int) -> int:
        """Side of the output tile for an input tile; ValueError, with the nearest sides that fit, for other sides."""
        check_side("an input tile", tile, self.smallest, self.stride)
        return tile - 2 * self.halo

    def covering(self, side: int) -> int:
        """The smallest input tile whose output covers an image of this side."""
        return self.smallest + self.stride * max(0, math.ceil((side + 2 * self.halo - self.smallest) / self.stride))


def check_side(what: str, side: int, smallest: int, step: int) -> None:
    """Raise ValueError, with the nearest ones that fit, unless a side is ``smallest`` or whole steps more (px)."""
    if side < smallest or (side - smallest) % step:
        below = smallest + step * max(0, (side - smallest) // step)
        near = f"{smallest}" if side < smallest else f"{below} and {below + step}"
        first = ", ".join(str(smallest + k * step) for k in range(3))
        raise InputError(f"{what} of side {side} px does not fit: sides are {first} ... px; nearest: {near}")


VALID = Geometry(halo=HALO, stride=STRIDE, smallest=SMALLEST_INPUT)  # unpadded convolutions: 188, 204, ... 572 ...
SAME = Geometry(halo=0, stride=STRIDE, smallest=STRIDE)
ANCESTORS = {  # by the name of the variant
    "n4": Geometry(halo=47, stride=1, smallest=95),
    "n4-65": Geometry(halo=32, stride=1, smallest=65),
    "fcn8": Geometry(halo=0, stride=32, smallest=32),
}


def output_side(input_side: int) -> int:
    """Side of the output tile (px) for an input tile of side ``input_side`` (px); Fig. 1: 572 -> 388.

    Every 2x2 max-pool must meet an even side (Sec. 2), which holds for 16 k + 60, k >= 8: 188, 204, ... 572 ...

    Raises:
        ValueError: for any other side; names the nearest sides that fit.
    """
    return VALID.output(input_side)


def input_side(output_side: int) -> int:
    """Side of the input tile (px) that gives an output tile of side ``output_side`` (px): 388 -> 572.

    Raises:
        ValueError: unless the side is 16 k + 4, k >= 0; names the nearest sides that fit.
    """
    check_side("an output tile", output_side, SMALLEST_INPUT - LOSS_OF_SIDE, STRIDE)
    return output_side + LOSS_OF_SIDE
