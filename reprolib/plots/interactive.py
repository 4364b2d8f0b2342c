"""Figures that answer to mouse, touch and keys: HTML for the pages, drawn by book/_static/interactive.js.

A chapter makes a few small pictures and numbers; the page shows one of them at a time. Nothing is computed in the
browser and nothing fetched. Where there is no script (in print, in an editor), the first picture stands still.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image

from reprolib.errors import InputError
from reprolib.plots.drawing import FeatureMap
from reprolib.plots.figures import reduced

QUALITY = 72  # of JPEG: real images are shown lossy, as the terms of the data ask
EMPTY = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"  # one transparent pixel


def picture(grey: np.ndarray, limits: tuple[float, float] | None = None, reduce: int = 2) -> str:
    """A grey image as a data address that a page can show, reduced and lossy.

    Args:
        grey: (H, W) numbers, shown as block means of ``reduce`` x ``reduce`` px.
        limits: the values shown black and white; default: smallest and largest.

    Returns:
        "data:image/jpeg;base64,...".
    """
    shown = reduced(np.asarray(grey, np.float32), reduce)
    low, high = limits or (float(shown.min()), float(shown.max()))
    values = np.clip((shown - low) / max(high - low, 1e-9), 0, 1)
    return _address(Image.fromarray(np.round(255 * values).astype(np.uint8)), "JPEG", quality=QUALITY, optimize=True)


def marks(kinds: np.ndarray, colours: Mapping[int, str], alpha: float = 0.8, reduce: int = 2) -> str:
    """Coloured pixels to be laid over a picture of the same size; all others are transparent.

    Args:
        kinds: (H, W) integers or bools; where a block of ``reduce`` x ``reduce`` px holds a kind that has a colour, it
            is coloured (the last of several wins).
        colours: kind -> colour.
        alpha: opacity in (0, 1].

    Returns:
        "data:image/png;base64,...".
    """
    height, width = (side // reduce for side in kinds.shape)
    index = np.zeros((height, width), np.uint8)
    palette, opacity = [0, 0, 0], [0]
    for number, (kind, colour) in enumerate(colours.items(), start=1):
        index[reduced((kinds == kind).astype(np.float32), reduce) > 0] = number
        palette += [round(255 * part) for part in to_rgb(colour)]
        opacity.append(round(255 * alpha))
    image = Image.fromarray(index, "P")
    image.putpalette(palette)
    return _address(image, "PNG", transparency=bytes(opacity), optimize=True)


def _address(image: Image.Image, kind: str, **options) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def viewer(
    layers: Mapping[str, Sequence[tuple[str, ...]]],
    axes: Mapping[str, Sequence[str]],
    values: Mapping[str, Sequence[str]],
    caption: str,
    alt: str,
    start: Sequence[int] | None = None,
) -> str:
    """A picture chosen by a slider for each axis and a button for each layer, with numbers that follow.

    Args:
        layers: name -> frames: one, or one for each combination of the axes, the last axis fastest. A frame is
            (picture,) or (picture, marks). The first layer is shown at first.
        axes: name -> the labels of its steps.
        values: name -> numbers as text, in the same order as a layer's frames.
        caption: text below.
        alt: what the picture shows, for those who cannot see it.
        start: the step of each axis at first.

    Raises:
        ValueError: if a layer or a row of values has another number of entries.
    """
    sizes = [len(labels) for labels in axes.values()]
    count, start = math.prod(sizes), list(start or [0] * len(sizes))
    for kind, rows in (("layer", layers), ("value", values)):
        for name, row in rows.items():
            if len(row) not in (1, count):
                raise InputError(f"the {kind} {name!r} must have 1 or {count} entries, not {len(row)}")
    pictures = list(dict.fromkeys(part for frames in layers.values() for frame in frames for part in frame))
    place = {part: number for number, part in enumerate(pictures)}  # each is stored once
    data = {
        "pictures": pictures,
        "axes": [{"name": name, "labels": list(labels)} for name, labels in axes.items()],
        "layers": [
            {"name": name, "frames": [[place[part] for part in frame] for frame in frames]}
            for name, frames in layers.items()
        ],
        "values": {name: list(row) for name, row in values.items()},
        "alt": alt,
    }
    text = json.dumps(data).replace("<", "\\u003c")  # no word within may end the script, or open a comment in it
    controls = [
        f'<label>{escape(name)} <input type="range" min="0" max="{len(labels) - 1}" step="1" value="{begin}">'
        f"<output>{escape(labels[begin])}</output></label>"
        for (name, labels), begin in zip(axes.items(), start, strict=True)
    ]
    if len(layers) > 1:
        controls += [f'<button type="button" aria-pressed="false">{escape(name)}</button>' for name in layers]
    frames = next(iter(layers.values()))
    first, *over = frames[int(np.ravel_multi_index(start, sizes)) if len(frames) > 1 else 0]
    shown = (
        f'<img src="{escape(first)}" alt="{escape(alt)}">'
        f'<img class="viewer-over" src="{escape((over or [EMPTY])[0])}" alt="marks">'
    )
    return _figure(
        "viewer",
        f'<div class="viewer-stack">{shown}</div>',
        controls,
        caption,
        '<p class="viewer-values" aria-live="polite"></p>'
        f'<script type="application/json" class="viewer-data">{text}</script>',
    )


def divider(left: Sequence[str], right: Sequence[str], caption: str, alts: tuple[str, str]) -> str:
    """Two frames of the same size on top of each other, parted by a line that can be dragged.

    Args:
        left, right: (picture,) or (picture, marks), as ``picture`` and ``marks`` make them.
        caption: text below.
        alts: what each shows, for those who cannot see it.
    """

    def stack(frame: Sequence[str], alt: str) -> str:
        first, *over = frame
        laid = "".join(f'<img class="viewer-over" src="{escape(part)}" alt="marks" draggable="false">' for part in over)
        return f'<img src="{escape(first)}" alt="{escape(alt)}" draggable="false">{laid}'

    pictures = (
        f'<div class="divider-frame"><div class="viewer-stack">{stack(right, alts[1])}</div>'
        f'<div class="divider-upper viewer-stack">{stack(left, alts[0])}</div></div>'
    )
    slider = (
        '<label>divider <input type="range" min="0" max="100" value="50" aria-label="place of the divider"></label>'
    )
    return _figure("divider", pictures, [slider], caption, "")


def explorer(image: np.ndarray, output: int, halo: int, caption: str, alt: str, reduce: int = 4) -> str:
    """An output tile to be dragged over an image and its mirror image, with its input window beside it (Fig. 2).

    Args:
        image: (H, H) grey values.
        output: side of the output tile in px, smaller than the image.
        halo: px by which the input window is larger on each side.
        caption, alt: as for ``viewer``.
        reduce: the picture shows block means of ``reduce`` x ``reduce`` px.

    Raises:
        ValueError: if the image is not square, or the tile larger than it.
    """
    side = image.shape[0]
    if image.ndim != 2 or image.shape[1] != side or not 0 < output <= side:
        raise InputError(f"the image must be square and the tile fit into it, not {image.shape} px and {output} px")
    padding = halo + -(side + 2 * halo) % reduce // 2
    shown = picture(np.pad(image, padding, mode="reflect"), reduce=reduce)
    place = f"{100 * padding / (side + 2 * padding):.3f}%"
    frame = f'<div class="explorer-image" style="inset: {place}"></div>'
    panels = (
        f'<div class="explorer-panels"><div class="explorer-frame"><img src="{shown}" alt="{escape(alt)}" '
        f'draggable="false">{frame}<div class="explorer-input"></div><div class="explorer-output"></div></div>'
        f'<div class="explorer-window" role="img" aria-label="the input window, enlarged"></div></div>'
    )
    controls = [
        f'<label>{name} <input type="range" min="0" max="{side - output}" step="4" value="0">'
        "<output>0 px</output></label>"
        for name in ("top of the tile", "left of the tile")
    ]
    data = json.dumps({"side": side, "padding": padding, "output": output, "halo": halo})
    rest = f'<p class="viewer-values" aria-live="polite"></p><script type="application/json" class="viewer-data">{data}'
    return _figure("explorer", panels, controls, caption, f"{rest}</script>")


def reach(maps: Sequence[FeatureMap], caption: str) -> str:
    """The feature maps as bars below each other, in place over the tile; a row of the output lights up what it sees."""
    tile, middle = maps[0].side, maps[-1].side // 2

    def percent(px: float) -> str:
        return f"{100 * px / tile:.3f}%"

    bars = []
    for one in maps:
        whole = f"left: {percent(one.start)}; width: {percent(one.side * one.unit)}"
        first, rows = int(one.first[middle]), int(one.last[middle] - one.first[middle]) + 1
        part = f"left: {percent(one.start + first * one.unit)}; width: {percent(rows * one.unit)}"
        label = f"{one.name}, level {one.level}: {one.side}"
        bars.append(
            f'<div class="reach-row"><span>{escape(label)}</span><div class="reach-track">'
            f'<div class="reach-map" style="{whole}"></div><div class="reach-part" style="{part}"></div></div></div>'
        )
    pictures = f'<div class="reach-bars">{"".join(bars)}</div>'
    slider = (
        f'<label>row of the output <input type="range" min="0" max="{maps[-1].side - 1}" value="{middle}">'
        f"<output>{middle}</output></label>"
    )
    about = {
        "tile": tile,
        "maps": [
            {"start": one.start, "unit": one.unit, "first": one.first.tolist(), "last": one.last.tolist()}
            for one in maps
        ],
    }
    data = json.dumps(about, separators=(",", ":"))
    rest = f'<p class="viewer-values" aria-live="polite"></p><script type="application/json" class="viewer-data">{data}'
    return _figure("reach", pictures, [slider], caption, f"{rest}</script>")


def _figure(kind: str, pictures: str, controls: Sequence[str], caption: str, rest: str) -> str:
    return (
        f'<figure class="{kind}">{pictures}<div class="viewer-controls">{"".join(controls)}</div>{rest}'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
