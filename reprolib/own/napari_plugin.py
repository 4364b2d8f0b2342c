"""A widget for napari: segment a layer with a recorded network. Ours, not the paper's.

napari finds it by the manifest beside this file, and makes the form from the function's types. Its own types are given
as text, so that nothing here imports napari.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reprolib.data.pages import Page, select
from reprolib.errors import InputError
from reprolib.own.predict import cell_settings, find_cells
from reprolib.runs import records

if TYPE_CHECKING:
    import napari.layers
    import napari.types


def segment(image: "napari.layers.Image", record: Path, threshold: float = 0.0) -> "list[napari.types.LayerDataTuple]":
    """Probability and cells of an image layer, each slice of a stack by itself, as `reprolib predict` gives them.

    Args:
        image: a layer of images (..., H, W), or (..., H, W, 3 or 4) of colours.
        record: NAME.json of a run, its weights beside it.
        threshold: of the cells, which are then connected components; 0: the settings that the record has chosen.

    Returns:
        An image layer (..., H, W) of probabilities and a layer of labels, both placed as the image is.

    Raises:
        InputError: if there is no layer, the record is none, or the image lacks the network's channels.
    """
    if image is None:
        raise InputError("there is no image layer: open an image first")
    if not Path(record).is_file():
        raise InputError(f"choose the record of a run, NAME.json: {record} is no file")
    run, values = records.read(Path(record)), np.asarray(image.data)
    chosen = cell_settings(run, threshold or None)
    colours = values.shape[-1:] if image.rgb else ()
    slices = values.reshape(-1, *values.shape[values.ndim - len(colours) - 2 :])
    results = [find_cells(run, _taken(one, image.name, run.experiment.channels), chosen) for one in slices]
    probability, cells = (np.stack(part) for part in zip(*results, strict=True))
    shape = values.shape[: values.ndim - len(colours)]
    placed = {"scale": image.scale, "translate": image.translate}
    return [
        (probability.reshape(shape), {"name": f"{image.name}, probability", "visible": False, **placed}, "image"),
        (cells.reshape(shape), {"name": f"{image.name}, cells: {chosen}", **placed}, "labels"),
    ]


def _taken(values: np.ndarray, name: str, channels: str) -> np.ndarray:
    return select(Page(values[..., :3] if values.ndim == 3 else values), Path(name), channels)[0]
