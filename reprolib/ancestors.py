"""The two ancestors of the U-Net (Sec. 1): the sliding window of Ciresan et al. and the FCN of Long et al.

What was not at hand of their papers, or left out on purpose, and what is done here:

* ``SlidingWindow``: the layout of N4 is published (window 95 px, four convolutions with max-pools, 200 hidden units).
  Ciresan et al. (NIPS 2012) also use windows of 65 px; the layout of ours is our own, with as many layers. Activations
  are ReLU, weights drawn as for the U-Net. They average several networks over turned windows and calibrate the result;
  we take one network as it is.
* ``FCN``: Long et al. (CVPR 2015) convert VGG-16, trained on photographs before. Ours has VGG-16's layout at a fraction
  of its channels and is trained from scratch; its first "fully connected" layer is 3x3 px instead of 7x7, with half of
  the channels that the proportion would give, so that at width 16 it is about as large as the U-Net. Convolutions are
  padded with zeros; theirs pad the image by 100 px and crop.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reprolib.errors import InputError
from reprolib.geometry import ANCESTORS
from reprolib.model import initialise

KERNELS = {95: (4, 5, 4, 4), 65: (4, 4, 5, 4)}  # window (px): its convolutions, each followed by a 2x2 max-pool
HIDDEN = 200
VGG = (2, 2, 3, 3, 3)  # convolutions per stage of VGG-16


class SlidingWindow(nn.Module):
    """N4: the class of one pixel from the window around it; (B, 1, H, W) -> logits (B, 2, H - window + 1, ...).

    ``forward`` is the dilated, fully convolutional form: every max-pool moves by one pixel, and what follows it looks
    at each second, fourth ... pixel. It gives for every window exactly what ``by_window`` gives for that window alone,
    without computing overlaps again.

    Args:
        window: side of the window in px, 95 or 65.
        width: maps of each convolution (N4: 48).

    Raises:
        ValueError: for another window, or an image smaller than the window.
    """

    def __init__(self, window: int = 95, width: int = 48):
        super().__init__()
        if window not in KERNELS:
            raise InputError(f"window must be one of {', '.join(map(str, KERNELS))} px, not {window}")
        self.window, self.geometry = window, ANCESTORS["n4" if window == 95 else "n4-65"]
        channels, side = 1, window
        self.convolutions = nn.ModuleList()
        for kernel in KERNELS[window]:
            self.convolutions.append(nn.Conv2d(channels, width, kernel))
            channels, side = width, (side - kernel + 1) // 2
        self.hidden = nn.Conv2d(width, HIDDEN, side)  # fully connected: it sees all that is left of the window
        self.head = nn.Conv2d(HIDDEN, 2, 1)
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        self.geometry.output(min(x.shape[-2:]))
        apart = 1  # px between neighbours of the window's own feature map
        for convolution in self.convolutions:
            x = F.relu(F.conv2d(x, convolution.weight, convolution.bias, dilation=apart))
            x = F.max_pool2d(x, 2, stride=1, dilation=apart)
            apart *= 2
        return self.head(F.relu(F.conv2d(x, self.hidden.weight, self.hidden.bias, dilation=apart)))

    def by_window(self, x: Tensor, batch: int = 256) -> Tensor:
        """The same as ``forward``, window by window, as published: each window is cut out and classified by itself."""
        windows = x.unfold(2, self.window, 1).unfold(3, self.window, 1)  # (B, 1, H', W', window, window)
        count, _, height, width = windows.shape[:4]
        windows = windows.permute(0, 2, 3, 1, 4, 5).reshape(-1, 1, self.window, self.window)
        logits = torch.cat([self._classify(part) for part in windows.split(batch)])
        return logits.reshape(count, height, width, 2).permute(0, 3, 1, 2)

    def _classify(self, x: Tensor) -> Tensor:  # sides in the comments: N4
        for convolution in self.convolutions:
            x = F.max_pool2d(F.relu(convolution(x)), 2)  # 46, 21, 9, 3
        return self.head(F.relu(self.hidden(x))).flatten(1)


def window_multiplications(window: int = 95, width: int = 48) -> int:
    """Multiplications of N4 for one window, that is for one pixel of the result, window by window."""
    channels, side, total = 1, window, 0
    for kernel in KERNELS[window]:
        side = side - kernel + 1
        total += side**2 * channels * width * kernel**2
        channels, side = width, side // 2
    return total + side**2 * width * HIDDEN + HIDDEN * 2


def dense_multiplications(window: int = 95, width: int = 48) -> int:
    """Multiplications of the fully convolutional form for one pixel, edges of the image left out."""
    channels, side, total = 1, window, 0
    for kernel in KERNELS[window]:
        total += channels * width * kernel**2
        channels, side = width, (side - kernel + 1) // 2
    return total + side**2 * width * HIDDEN + HIDDEN * 2


class FCN(nn.Module):
    """FCN-8s: (B, 1, H, W) -> logits (B, 2, H, W); H and W multiples of 32.

    Class scores are predicted at 1/32 of the resolution; those of two finer levels are added, each after learned
    up-sampling by 2, which begins as bilinear. All the way up there are as many channels as classes: that is what the
    U-Net changes.

    Args:
        width: channels of the first stage (VGG-16: 64).
        dropout: after the two layers that were fully connected in VGG-16.

    Raises:
        ValueError: for sides that are no multiples of 32.
    """

    def __init__(self, width: int = 16, dropout: float = 0.5):
        super().__init__()
        self.dropout, self.geometry = dropout, ANCESTORS["fcn8"]
        channels, self.stages = 1, nn.ModuleList()
        for stage, convolutions in enumerate(VGG):
            layers: list[nn.Module] = []
            for _ in range(convolutions):
                layers += [nn.Conv2d(channels, width * min(2**stage, 8), 3, padding=1), nn.ReLU(inplace=True)]
                channels = width * min(2**stage, 8)
            self.stages.append(nn.Sequential(*layers, nn.MaxPool2d(2)))
        deep = 32 * width
        self.fc6, self.fc7 = nn.Conv2d(channels, deep, 3, padding=1), nn.Conv2d(deep, deep, 1)
        depths = (deep, 8 * width, 4 * width)  # channels that the scores of strides 32, 16 and 8 are predicted from
        self.scores = nn.ModuleList(nn.Conv2d(depth, 2, 1) for depth in depths)
        self.apply(initialise)
        self.ups = nn.ModuleList(upsampling(factor) for factor in (2, 2, 8))

    def forward(self, x: Tensor) -> Tensor:
        for side in x.shape[-2:]:
            self.geometry.output(side)
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)  # strides 2, 4, 8, 16, 32
        for layer in (self.fc6, self.fc7):
            x = F.dropout(F.relu(layer(x)), self.dropout, self.training)
        x = self.scores[0](x)
        for score, up, finer in zip(self.scores[1:], self.ups, (levels[3], levels[2]), strict=False):
            x = up(x) + score(finer)
        return self.ups[-1](x)


def upsampling(factor: int) -> nn.ConvTranspose2d:
    """Learned up-sampling of the two classes' scores by an even factor; bilinear at first (Long et al., Sec. 3.3)."""
    up = nn.ConvTranspose2d(2, 2, 2 * factor, stride=factor, padding=factor // 2, bias=False)
    along = 1 - (torch.arange(2 * factor) - factor + 0.5).abs() / factor
    with torch.no_grad():
        up.weight.copy_(torch.eye(2)[:, :, None, None] * along[:, None] * along)
    return up


def build(name: str, width: int, dropout: float = 0.5) -> SlidingWindow | FCN:
    """An ancestor by its name, a key of ``geometry.ANCESTORS``."""
    if name == "fcn8":
        return FCN(width, dropout)
    return SlidingWindow(65 if name == "n4-65" else 95, width)
