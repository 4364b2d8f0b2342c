"""The U-Net of Sec. 2 and Fig. 1.

What the paper leaves open, or does otherwise in the authors' released code of 2015-10-02, and what is done here:

* ``variant="paper"`` is Fig. 1 as drawn: up-convolutions without an activation, each halving the channels
  (31,030,658 parameters). ``variant="release"`` is the released network: a ReLU after each up-convolution, and a last
  up-convolution that keeps 128 channels (31,100,354 parameters).
* Both concatenate [up-sampled, cropped skip], the release's order.
* Dropout of 0.5 at the end of the contracting path (Sec. 3.1 gives no rate): after the last ReLU of the two deepest
  levels, so the level-4 skip carries it too. Both as in the release.
* Skips are cropped about their centre. All the margins are even, so the centre is a whole pixel.

Three switches leave the paper on purpose, for ablations: ``skips``, ``padding`` and ``initialisation``.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reprolib.errors import InputError
from reprolib.geometry import DEPTH, INITIALISATIONS, PADDINGS, SAME, VALID, VARIANTS


class UNet(nn.Module):
    """The network of Fig. 1: (B, in_channels, H, W) float -> logits (B, classes, H - 184, W - 184).

    Args:
        in_channels: channels of the input image (1 for the paper's grey images).
        classes: number of classes K of the pixel-wise softmax (2 in the paper).
        width: channels of the first level, doubled at each level below (paper: 64).
        variant: "paper" or "release", see the head of this file.
        dropout: probability of a dropped unit at the end of the contracting path, in training only.
        skips: False leaves the skip connections out (their half of the concatenation is zero, so that the
            count of parameters stays the same).
        padding: "valid" as in the paper; "same" pads each 3x3 convolution with zeros (output as large as the input,
            sides must be multiples of 16).
        initialisation: "paper" draws weights from a Gaussian of standard deviation sqrt(2 / N), N the incoming nodes
            of a neuron (Sec. 3), biases zero; "pytorch" keeps the library's default.

    Raises:
        ValueError: on an unknown variant, padding or initialisation, or numbers out of range.
    """

    def __init__(
        self,
        in_channels: int = 1,
        classes: int = 2,
        width: int = 64,
        variant: str = "paper",
        dropout: float = 0.5,
        skips: bool = True,
        padding: str = "valid",
        initialisation: str = "paper",
    ):
        super().__init__()
        for name, value, allowed in (
            ("variant", variant, VARIANTS),
            ("padding", padding, PADDINGS),
            ("initialisation", initialisation, INITIALISATIONS),
        ):
            if value not in allowed:
                raise InputError(f"{name} {value!r} is unknown: choose one of {', '.join(allowed)}")
        if min(in_channels, width) < 1 or classes < 2 or not 0 <= dropout < 1:
            raise InputError("in_channels and width must be at least 1, classes at least 2, dropout in [0, 1)")
        self.variant, self.dropout, self.skips, self.padding = variant, dropout, skips, padding
        self.geometry = VALID if padding == "valid" else SAME
        channels = [width * 2**level for level in range(DEPTH + 1)]
        self.down = nn.ModuleList(
            two_convolutions(channels[level - 1] if level else in_channels, channels[level], padding)
            for level in range(DEPTH + 1)
        )
        self.up, self.expand = nn.ModuleList(), nn.ModuleList()
        for level in reversed(range(DEPTH)):
            keeps = variant == "release" and level == 0  # the release's last up-convolution keeps its channels
            up_channels = channels[level + 1] if keeps else channels[level]
            self.up.append(nn.ConvTranspose2d(channels[level + 1], up_channels, 2, stride=2))
            self.expand.append(two_convolutions(up_channels + channels[level], channels[level], padding))
        self.head = nn.Conv2d(width, classes, 1)
        if initialisation == "paper":
            self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:  # sides in the comments: a 572 tile
        self._check(x)
        skips = []
        for level in range(DEPTH):
            x = self.down[level](x)  # 568, 280, 136, 64
            if level == DEPTH - 1:
                x = F.dropout(x, self.dropout, self.training)
            skips.append(x)
            x = F.max_pool2d(x, 2)  # 284, 140, 68, 32
        x = F.dropout(self.down[DEPTH](x), self.dropout, self.training)  # 28
        for up, expand, skip in zip(self.up, self.expand, reversed(skips), strict=True):
            x = up(x)  # 56, 104, 200, 392
            if self.variant == "release":
                x = F.relu(x)
            skip = centre_crop(skip, x.shape[-2:])
            x = expand(torch.cat([x, skip if self.skips else torch.zeros_like(skip)], dim=1))  # 52, 100, 196, 388
        return self.head(x)

    def _check(self, x: Tensor) -> None:
        in_channels = self.down[0][0].in_channels
        if x.ndim != 4 or x.shape[1] != in_channels:
            raise InputError(f"the input must be (B, {in_channels}, H, W), not {tuple(x.shape)}")
        for side in x.shape[-2:]:
            self.geometry.output(side)


def two_convolutions(channels_in: int, channels_out: int, padding: str = "valid") -> nn.Sequential:
    """Two 3x3 convolutions with ReLU (Sec. 2): (B, channels_in, H, W) -> (B, channels_out, H - 4, W - 4)."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=padding),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels_out, channels_out, 3, padding=padding),
        nn.ReLU(inplace=True),
    )


def centre_crop(x: Tensor, sides: tuple[int, int]) -> Tensor:
    """The central ``sides`` = (height, width) px of the feature map x (B, C, H, W) (Fig. 1, grey arrows).

    By negative padding: its gradient keeps the memory layout of x, that of a slice does not, and all that follows on
    the way back would be slow (a training step by a third, at width 16).
    """
    top, left = (x.shape[-2] - sides[0]) // 2, (x.shape[-1] - sides[1]) // 2
    bottom, right = x.shape[-2] - sides[0] - top, x.shape[-1] - sides[1] - left
    return F.pad(x, (-left, -right, -top, -bottom))


def initialise(module: nn.Module) -> None:
    """Gaussian weights of standard deviation sqrt(2 / N), zero biases (Sec. 3, after He et al. 2015).

    N is the number of incoming nodes of one neuron: 9 x channels for a 3x3 convolution; just the channels for the
    1x1 convolution, and for the 2x2 up-convolution, whose stride of 2 lets each output see one kernel position only.
    """
    if isinstance(module, nn.Conv2d):
        incoming = module.in_channels * math.prod(module.kernel_size)
    elif isinstance(module, nn.ConvTranspose2d):
        incoming = module.in_channels
    else:
        return
    nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / incoming))
    nn.init.zeros_(module.bias)
