"""What the chapters' figures have in common: style, colours, grey images, outlines, overlays, scale bars.

All positions are pixels of the full image, also where a picture is shown reduced: outlines, hatching and
scale bars fit on top of it as they are. Colours are those of Okabe and Ito (Color Universal Design, 2008),
which readers with any of the usual kinds of colour vision can tell apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize, to_rgb, to_rgba
from matplotlib.image import AxesImage
from matplotlib.patches import Patch, Rectangle
from scipy import ndimage
from skimage.color import rgb2lab
from skimage.measure import find_contours
from skimage.segmentation import expand_labels

from reprolib.errors import InputError
from reprolib.evaluation.ctc import CellScore
from reprolib.loss import check_instances

OKABE_ITO = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky blue": "#56B4E9",
    "green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "purple": "#CC79A7",
}
APART = 40.0  # in CIELAB: neighbours whose colours are nearer than this would be taken for one
TRUTH = OKABE_ITO["yellow"]  # outlines of the truth, as in Fig. 4 of the paper
RESULT = OKABE_ITO["sky blue"]  # a result's mask or outline (Fig. 4: cyan)
# What a pixel was wrong about; the last six are the kinds of the warping error (reprolib.evaluation.loops.KINDS).
ERROR_COLOURS = {
    "missed": OKABE_ITO["vermillion"],
    "extra": OKABE_ITO["sky blue"],
    "split": OKABE_ITO["orange"],
    "merger": OKABE_ITO["purple"],
    "object addition": OKABE_ITO["sky blue"],
    "object deletion": OKABE_ITO["blue"],
    "hole addition": OKABE_ITO["yellow"],
    "hole deletion": OKABE_ITO["green"],
}


def use_style() -> None:
    """Set matplotlib's defaults for the book: small sans-serif text, few spines, the Okabe-Ito colours."""
    cycle = [c for name, c in OKABE_ITO.items() if name not in ("black", "yellow")]  # yellow lines vanish on white
    mpl.rcParams.update(
        {
            "figure.dpi": 120,
            "savefig.dpi": 120,
            "figure.constrained_layout.use": True,
            "figure.facecolor": "white",
            "font.size": 9,
            "axes.titlesize": 9,
            "axes.prop_cycle": mpl.cycler(color=cycle),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.frameon": False,
            "lines.linewidth": 1.5,
            "hatch.linewidth": 0.7,
        }
    )


def reduced(image: np.ndarray, factor: int) -> np.ndarray:
    """Block means of an image: (H, W) -> (H // factor, W // factor) float32; what is left over is cut off.

    Raises:
        ValueError: if ``image`` is not 2-D, or ``factor`` no whole number from 1 to its shorter side.
    """
    _check_image(image)
    if not isinstance(factor, int) or not 1 <= factor <= min(image.shape):
        raise InputError(f"factor must be a whole number from 1 to {min(image.shape)}, not {factor!r}")
    height, width = (side // factor for side in image.shape)
    blocks = image[: height * factor, : width * factor].reshape(height, factor, width, factor)
    return blocks.mean(axis=(1, 3), dtype=np.float64).astype(np.float32)


def grey(
    axis: Axes,
    image: np.ndarray,
    title: str = "",
    reduce: int = 1,
    limits: tuple[float, float] | None = None,
) -> AxesImage:
    """Show an (H, W) image in grey, without ticks, in full-size pixel coordinates.

    Args:
        axis: where to draw.
        image: (H, W) numbers or bools.
        title: printed above it.
        reduce: show block means of ``reduce`` x ``reduce`` px; real images appear in the book only reduced.
        limits: the values shown black and white; default: the smallest and the largest of what is shown.
    """
    shown = reduced(image, reduce)
    height, width = (side * reduce for side in shown.shape)
    low, high = limits or (float(shown.min()), float(shown.max()))
    drawn = axis.imshow(shown, cmap="gray", vmin=low, vmax=high, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
    axis.set_title(title)
    axis.set_axis_off()
    return drawn


def outline(
    axis: Axes, instances: np.ndarray, colour: str | None = TRUTH, width: float = 1.0, seed: int = 0
) -> LineCollection:
    """Draw the border of every instance as a line between its pixels and all others.

    Args:
        axis: an axis in pixel coordinates, such as ``grey`` leaves it.
        instances: (H, W) integer instance labels, 0 = background.
        colour: one colour for all; None gives each instance that of ``instance_colours`` with ``seed``.
        width: of the line, in points.
        seed: of the colours.
    """
    check_instances(instances)
    table = _colour_table(instances, seed) if colour is None else None
    lines, colours = [], []
    for label, box in enumerate(ndimage.find_objects(instances), start=1):
        if box is None:
            continue
        corner = [s.start - 1 for s in box]  # the mask gets a ring of zeros, so that borders close at the edge
        for line in find_contours(np.pad(instances[box] == label, 1).astype(float), 0.5):
            lines.append((line + corner)[:, ::-1])
            colours.append(table[label] if colour is None else to_rgba(colour))
    drawn = LineCollection(lines, colors=colours, linewidths=width)
    axis.add_collection(drawn, autolim=False)
    return drawn


def instance_colours(instances: np.ndarray, seed: int = 0) -> np.ndarray:
    """A random colour per instance (Fig. 3b, 4): (H, W) labels -> (H, W, 4) float32 in [0, 1].

    The background is transparent. Instances that touch, or nearly so, get colours that are told apart.
    """
    check_instances(instances)
    return _colour_table(instances, seed)[instances]


def cell_scores(axis: Axes, gold: np.ndarray, cells: Sequence[CellScore], width: float = 1.6) -> ScalarMappable:
    """Outline each gold cell in a colour that tells its IoU, dashed where it has no match, and write the IoU into it.

    Args:
        axis: an axis in pixel coordinates.
        gold: (H, W) integer instance labels of one image.
        cells: that image's cells, as ``ctc.seg`` gives them; gold cells that are not among them stay undrawn.
        width: of the outlines, in points.

    Returns:
        What a colour bar needs: IoU 0 to 1, from dark to bright.
    """
    check_instances(gold)
    shades = ScalarMappable(Normalize(0, 1), "viridis")
    for cell in cells:
        mask = gold == cell.gold
        if not mask.any():
            continue
        drawn = outline(axis, mask.astype(np.int32), shades.to_rgba(cell.iou), width)
        drawn.set_linestyle("-" if cell.result else "--")
        inside = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        y, x = np.unravel_index(inside.argmax(), mask.shape)  # the point farthest from the border
        text = axis.text(x, y, f"{cell.iou:.2f}", ha="center", va="center", fontsize=7, color="white")
        text.set_bbox({"facecolor": "black", "alpha": 0.5, "pad": 1.0, "linewidth": 0})
    return shades


def overlay(axis: Axes, kinds: np.ndarray, colours: Mapping[int, str], alpha: float = 0.8) -> AxesImage:
    """Colour pixels by kind over what is drawn already; kinds without a colour stay transparent.

    Args:
        axis: an axis in pixel coordinates.
        kinds: (H, W) integers or bools.
        colours: kind -> colour, such as ``{1: ERROR_COLOURS["missed"], 2: ERROR_COLOURS["extra"]}``.
        alpha: opacity in (0, 1].
    """
    _check_image(kinds)
    layer = np.zeros((*kinds.shape, 4), np.float32)
    for kind, colour in colours.items():
        layer[kinds == kind] = (*to_rgb(colour), alpha)
    height, width = kinds.shape
    return axis.imshow(layer, extent=(-0.5, width - 0.5, height - 0.5, -0.5), interpolation="nearest")


def hatched(axis: Axes, region: np.ndarray, colour: str = OKABE_ITO["vermillion"]) -> None:
    """Hatch an (H, W) bool region, such as pixels that are not annotated; an empty one draws nothing."""
    _check_image(region)
    if not region.any():
        return
    framed = np.pad(region.astype(float), 1)
    rows, columns = (np.arange(-1, side + 1) for side in region.shape)
    limits = axis.get_xlim(), axis.get_ylim()
    drawn = axis.contourf(columns, rows, framed, levels=[0.5, 1.5], colors="none", hatches=["//"])
    drawn.set_edgecolor(colour)
    drawn.set_linewidth(0.8)
    axis.set(xlim=limits[0], ylim=limits[1])  # the frame of zeros must not widen the picture


def scale_bar(axis: Axes, length: int = 100, colour: str = "white", label: str | None = None) -> None:
    """A bar of ``length`` px in the lower left corner of an image, with its length written above it."""
    left, right = sorted(axis.get_xlim())
    bottom, top = axis.get_ylim()
    wide, high = right - left, bottom - top  # high > 0: rows count downwards
    x, y = left + 0.04 * wide, bottom - 0.06 * high
    edge = "black" if colour == "white" else "white"
    bar = Rectangle((x, y), length, 0.015 * high, facecolor=colour, edgecolor=edge, linewidth=0.4)
    axis.add_patch(bar)
    text = axis.text(x, y - 0.015 * high, label or f"{length} px", color=colour, fontsize=7, va="bottom")
    text.set_bbox({"facecolor": edge, "alpha": 0.45, "pad": 1.0, "linewidth": 0})


def legend(axis: Axes, colours: Mapping[str, str], **where) -> Artist:
    """A legend of filled squares: name -> colour. ``where`` goes to matplotlib's ``legend``."""
    patches = [Patch(facecolor=colour, edgecolor="black", linewidth=0.4, label=n) for n, colour in colours.items()]
    return axis.legend(handles=patches, **where)


def _colour_table(instances: np.ndarray, seed: int) -> np.ndarray:
    """(labels + 1, 4) float32 RGBA: row 0 transparent, then Okabe-Ito colours, their order and shade at random."""
    generator, count = np.random.default_rng(seed), int(instances.max())
    basic = np.array([to_rgb(c) for name, c in OKABE_ITO.items() if name != "black"])
    basic = basic[generator.permutation(len(basic))]
    shade = generator.uniform(-0.35, 0.35, (count, 1, 1))  # towards black, towards white
    shaded = np.where(shade < 0, basic * (1 + shade), basic + shade * (1 - basic))
    looks, chosen = rgb2lab(shaded), np.arange(count) % len(basic)
    for label, before in _neighbours(instances).items():
        known = np.array([looks[other - 1, chosen[other - 1]] for other in before])
        apart = np.linalg.norm(looks[label - 1][:, None] - known, axis=-1).min(axis=1)
        if apart[chosen[label - 1]] < APART:
            chosen[label - 1] = apart.argmax()
    table = np.zeros((count + 1, 4), np.float32)
    table[1:, :3], table[1:, 3] = shaded[np.arange(count), chosen], 1
    return table


def _neighbours(instances: np.ndarray) -> dict[int, list[int]]:
    """Of each label, ascending, the smaller ones whose instances are at most about 4 px away, if there are any."""
    wide = expand_labels(instances, 2)
    sides = ((wide[:-1], wide[1:]), (wide[:, :-1], wide[:, 1:]))
    pairs = np.concatenate([np.stack((a, b), axis=-1)[(a != b) & (a > 0) & (b > 0)] for a, b in sides])
    found: dict[int, list[int]] = {}
    for low, high in np.unique(np.sort(pairs, axis=1), axis=0).tolist():
        found.setdefault(high, []).append(low)
    return dict(sorted(found.items()))


def _check_image(image: np.ndarray) -> None:
    if not isinstance(image, np.ndarray) or image.ndim != 2 or image.size == 0:
        raise InputError(f"an image must be a 2-D array that is not empty, not {getattr(image, 'shape', type(image))}")
