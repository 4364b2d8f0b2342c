"""The weight map (Eq. 2) of a crowded EM slice, against one distance transform per cell over the whole image."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from benchmarks.timing import Row, alternate
from reprolib import data
from reprolib.data import phantoms
from reprolib.loss import separate, weight_map
from reprolib.plan import facts


def plain(instances: np.ndarray, w0: float = 10.0, sigma: float = 5.0) -> np.ndarray:
    """Eq. 2 as it stands: all distances of all pixels to all cells, sorted; classes balanced."""
    distances = [ndimage.distance_transform_edt(instances != label) for label in np.unique(instances[instances > 0])]
    nearest, second = np.sort(distances, axis=0)[:2]
    share = (instances > 0).mean()
    weights = np.where(instances > 0, 0.5 / share, 0.5 / (1 - share))
    return weights + np.where(instances > 0, 0, w0 * np.exp(-((nearest + second) ** 2) / (2 * sigma**2)))


def crowded() -> tuple[str, np.ndarray]:
    """The training slice with most cells, or four phantoms side by side: (512, 512)."""
    name = facts.source("isbi2012", "auto")
    dataset = data.load(name) if name == "isbi2012" else phantoms.phantom(name)
    most = max(range(len(dataset.instances)), key=lambda index: dataset.instances[index].max())
    instances = dataset.instances[most]
    if instances.shape != (512, 512):
        count = math.ceil(512 / instances.shape[0])
        offsets = instances.max() * np.arange(count * count).reshape(count, count)
        tiles = [[np.where(instances > 0, instances + offset, 0) for offset in row] for row in offsets]
        instances = np.block(tiles)[:512, :512].astype(np.int32)
    return dataset.name, separate(instances)


def measure() -> tuple[list[Row], dict]:
    name, instances = crowded()
    difference = float(np.abs(plain(instances) - weight_map(instances)).max())
    if difference > 1e-5:
        raise ValueError(f"the fast weight map differs from the plain one by {difference}")
    took = alternate({"plain": lambda: plain(instances), "ours": lambda: weight_map(instances)}, 5)
    cells = len(np.unique(instances)) - 1
    row = Row(f"weight map, {cells} cells ({name})", "a transform per cell", took["plain"], took["ours"], "s", 10)
    return [row], {"largest_difference": difference}
