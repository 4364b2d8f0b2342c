"""Fig. 1, drawn from the network itself: forward hooks see what goes into and out of every layer.

Nothing here knows the architecture beyond what the hooks report: were the network built otherwise, table and
drawing would show it. On PyTorch's "meta" device a forward pass computes shapes, no values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from reprolib.errors import InputError
from reprolib.model import UNet
from reprolib.plots.figures import OKABE_ITO

KINDS = ("3x3 convolution", "up-convolution", "1x1 convolution")
GAP = 0.62  # between two boxes, in the drawing's unit
LABEL = 0.42  # height that the label of a box takes
SIDES = "#666666"  # colour of the sides' labels
ARROWS = {  # operation: its colour, its name in the legend
    "conv": (OKABE_ITO["blue"], "3x3 convolution, ReLU"),
    "pool": (OKABE_ITO["vermillion"], "2x2 max-pool"),
    "up": (OKABE_ITO["green"], "2x2 up-convolution"),
    "copy": ("#8c8c8c", "copy and crop"),
    "head": (OKABE_ITO["orange"], "1x1 convolution"),
}


@dataclass(frozen=True)
class Layer:
    """One convolutional layer of a network at work on a tile; sides in px, for square feature maps."""

    number: int  # 1, 2, ... in the order of computation
    kind: str  # one of KINDS
    level: int  # 0 at full resolution, one more below each max-pool
    expanding: bool  # on the way up
    pooled: bool  # a 2x2 max-pool comes first
    skip_channels: int  # channels that the concatenation before this layer adds
    channels_in: int
    channels: int
    side_in: int
    side: int
    parameters: int  # weights and biases
    multiplications: int  # for the whole tile


def layers(model: UNet, tile: int = 572) -> tuple[Layer, ...]:
    """Send one tile through the network and record its convolutional layers.

    Args:
        model: a UNet on any device, best built inside ``torch.device("meta")``.
        tile: side of the input tile in px.

    Raises:
        ValueError: if the tile does not fit the network.
    """
    found: list[Layer] = []

    def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        (_, channels_in, side_in, _), (_, channels, side, _) = inputs[0].shape, output.shape
        before = found[-1] if found else None
        up = isinstance(module, nn.ConvTranspose2d)
        pooled = before is not None and side_in < before.side
        kernel = module.kernel_size[0]
        # Kernel and stride of an up-convolution are both 2: each output pixel is made from one input pixel.
        per_pixel = channels_in * channels * (1 if up else kernel**2)
        found.append(
            Layer(
                number=len(found) + 1,
                kind="up-convolution" if up else f"{kernel}x{kernel} convolution",
                level=(before.level if before else 0) + pooled - up,
                expanding=up or (before is not None and before.expanding),
                pooled=pooled,
                skip_channels=channels_in - before.channels if before else 0,
                channels_in=channels_in,
                channels=channels,
                side_in=side_in,
                side=side,
                parameters=sum(p.numel() for p in module.parameters()),
                multiplications=per_pixel * side**2,
            )
        )

    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    hooks = [module.register_forward_hook(record) for module in convolutions]
    weight = next(model.parameters())
    try:
        with torch.inference_mode():
            model(weight.new_zeros(1, convolutions[0].in_channels, tile, tile))
    finally:
        for hook in hooks:
            hook.remove()
    return tuple(found)


def receptive_fields(found: Sequence[Layer]) -> list[tuple[np.ndarray, np.ndarray]]:
    """First and last input row (px) that each row of each layer's output depends on (unpadded convolutions).

    A 3x3 convolution joins the intervals of three neighbours, a max-pool of two, a concatenation of both;
    an up-convolution repeats each. Columns are alike.

    Returns:
        For each layer two int arrays (side,); the receptive field of a row is last - first + 1.

    Raises:
        ValueError: if a 3x3 convolution keeps the side: padded networks are not covered.
    """
    first = last = np.arange(found[0].side_in)
    skips, fields = [], []
    for layer in found:
        if layer.pooled:
            skips.append((first, last))
            first, last = first[0::2], last[1::2]
        if layer.skip_channels:
            margin = (len(skips[-1][0]) - layer.side_in) // 2
            skip_first, skip_last = (ends[margin : margin + layer.side_in] for ends in skips.pop())
            first, last = np.minimum(first, skip_first), np.maximum(last, skip_last)
        if layer.kind == "up-convolution":
            first, last = first.repeat(2), last.repeat(2)
        elif layer.kind == "3x3 convolution":
            first, last = first[:-2], last[2:]
        if len(first) != layer.side:
            raise InputError("receptive fields are worked out for unpadded convolutions only")
        fields.append((first, last))
    return fields


@dataclass(frozen=True)
class FeatureMap:
    """A feature map along one side: where it lies in the tile, and which of its rows each output row depends on."""

    name: str
    level: int
    start: int  # px of the tile, of its first row
    unit: int  # px of the tile that a row stands for
    side: int  # rows
    first: np.ndarray  # (output rows,) int: the first row that the output row depends on
    last: np.ndarray


def dependence(found: Sequence[Layer]) -> list[FeatureMap]:
    """The tile and each layer's output, and which of their rows an output row depends on, by whatever path.

    Worked out backwards from the output: `receptive_fields` gives the tile's rows forwards.
    """
    here = np.arange(found[-1].side)
    rows: dict[int, tuple[np.ndarray, np.ndarray]] = {len(found) - 1: (here, here)}

    def join(index: int, first: np.ndarray, last: np.ndarray) -> None:
        known_first, known_last = rows.get(index, (first, last))
        rows[index] = np.minimum(first, known_first), np.maximum(last, known_last)

    for index in reversed(range(len(found))):
        layer, (first, last) = found[index], rows[index]
        if layer.kind == "3x3 convolution":
            last = last + 2
        elif layer.kind == "up-convolution":
            first, last = first // 2, last // 2
        if layer.skip_channels:
            source = max(k for k, one in enumerate(found) if one.level == layer.level and not one.expanding)
            margin = (found[source].side - layer.side_in) // 2
            join(source, first + margin, last + margin)
        join(index - 1, *((2 * first, 2 * last + 1) if layer.pooled else (first, last)))

    maps, start, unit = [FeatureMap("tile", 0, 0, 1, found[0].side_in, *rows[-1])], 0, 1
    for index, layer in enumerate(found):
        unit *= 2 if layer.pooled else 1
        if layer.kind == "up-convolution":
            unit //= 2
        elif layer.kind == "3x3 convolution":
            start += unit
        maps.append(FeatureMap(layer.kind, layer.level, start, unit, layer.side, *rows[index]))
    return maps


def table(found: Sequence[Layer]) -> str:
    """The layers as a Markdown table: sides, channels, parameters, and the range of the receptive field."""
    lines = [
        "| | layer | level | channels | side (px) | parameters | receptive field (px) |",
        "|--:|:--|--:|--:|--:|--:|--:|",
    ]
    for layer, (first, last) in zip(found, receptive_fields(found), strict=True):
        wide = last - first + 1
        field = f"{wide.min()}" if wide.min() == wide.max() else f"{wide.min()} or {wide.max()}"
        before = "max-pool, " if layer.pooled else "copy, " if layer.skip_channels else ""
        channels, sides = f"{layer.channels_in} → {layer.channels}", f"{layer.side_in} → {layer.side}"
        cells = (
            layer.number,
            before + layer.kind,
            layer.level,
            channels,
            sides,
            f"{layer.parameters:,}",
            field,
        )
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def draw(axis: Axes, found: Sequence[Layer], title: str = "") -> None:
    """Draw Fig. 1 on an empty axis, about 1.6 times as wide as high.

    A box per feature map: taller with its side, wider with its channels; an arrow per operation.
    """
    scale = _Scale(found)
    floor = scale.floors
    shown = [scale.box(axis, 0.0, 0, found[0].side_in, found[0].channels_in)]
    skips = []
    for layer, following in zip(found, (*found[1:], None), strict=True):
        last = shown[-1]
        if layer.pooled:
            skips.append(last)
            shown.append(scale.box(axis, last.get_x(), layer.level, layer.side_in, layer.channels_in))
            middle = last.get_x() + last.get_width() / 2
            below = last.get_y() - LABEL
            last = shown[-1]
            _arrow(axis, "pool", (middle, below), (middle, last.get_y() + last.get_height() + LABEL))
        if layer.kind == "up-convolution":
            shown.append(scale.box(axis, last.get_x(), layer.level, layer.side, layer.channels))
            middle = last.get_x() + last.get_width() / 2
            above = last.get_y() + last.get_height() + LABEL
            _arrow(axis, "up", (middle, above), (middle, floor[layer.level] - LABEL))
            channels = following.skip_channels if following else 0
            if channels:
                left = last.get_x() - scale.width(channels)
                copied = scale.box(axis, left, layer.level, layer.side, channels, copied=True)
                source, high = skips.pop(), copied.get_height()
                height = floor[layer.level] + high / 2
                _arrow(axis, "copy", (source.get_x() + source.get_width(), height), (left, height))
                _crop_marks(axis, source, high)
        else:
            start = last.get_x() + last.get_width()
            shown.append(scale.box(axis, start + GAP, layer.level, layer.side, layer.channels))
            kind = "head" if layer.kind == "1x1 convolution" else "conv"
            _arrow(axis, kind, (start, floor[layer.level] + 0.2), (start + GAP, floor[layer.level] + 0.2))
    top = scale.height(found[0].side_in) + LABEL
    axis.set(xlim=(-0.3, shown[-1].get_x() + 0.6), ylim=(floor[-1] - LABEL, top))
    axis.set_title(title)
    axis.set_axis_off()
    _legend(axis)


class _Scale:
    """How sides, channels and levels become lengths in the drawing, whose unit is arbitrary."""

    def __init__(self, found: Sequence[Layer]):
        self.largest_side = found[0].side_in
        self.most_channels = max(layer.channels for layer in found)
        self.floors = [0.0]
        for level in range(1, 1 + max(layer.level for layer in found)):
            tallest = max(layer.side_in for layer in found if layer.pooled and layer.level == level)
            self.floors.append(self.floors[-1] - self.height(tallest) - 2 * LABEL - GAP)

    def height(self, side: int) -> float:
        return 0.4 + 3.0 * side / self.largest_side

    def width(self, channels: int) -> float:
        return 0.15 + 1.1 * (channels / self.most_channels) ** 0.5

    def box(self, axis: Axes, left: float, level: int, side: int, channels: int, copied: bool = False) -> Rectangle:
        """Draw a feature map, its channels above and its side below."""
        wide, high, floor = self.width(channels), self.height(side), self.floors[level]
        face, edge = ("white", ARROWS["copy"][0]) if copied else ("#d5e6f3", ARROWS["conv"][0])
        drawn = Rectangle((left, floor), wide, high, facecolor=face, edgecolor=edge, zorder=2)
        axis.add_patch(drawn)
        middle = left + wide / 2
        above = middle - 0.05 * copied  # the labels of both halves of a concatenation must not touch
        axis.text(above, floor + high + 0.05, f"{channels}", ha="center", va="bottom", fontsize=7)
        if not copied:  # the up-sampled half beside it has the same side
            axis.text(middle, floor - 0.07, f"{side}²", ha="center", va="top", fontsize=7, color=SIDES)
        return drawn


def _arrow(axis: Axes, kind: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    style = {"arrowstyle": "-|>", "color": ARROWS[kind][0], "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0}
    axis.annotate("", end, start, arrowprops=style, zorder=3)


def _crop_marks(axis: Axes, source: Rectangle, high: float) -> None:
    """Dashed, the part of a feature map that the skip connection keeps: about its centre."""
    margin = (source.get_height() - high) / 2
    inside = Rectangle((source.get_x(), source.get_y() + margin), source.get_width(), high, fill=False)
    inside.set(edgecolor=ARROWS["copy"][0], linestyle="--", linewidth=0.8, zorder=3)
    axis.add_patch(inside)


def _legend(axis: Axes) -> None:
    lines = [Line2D([], [], color=colour, linewidth=2, label=name) for colour, name in ARROWS.values()]
    axis.legend(handles=lines, loc="lower right", fontsize=7, borderaxespad=0)
