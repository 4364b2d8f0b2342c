"""Networks with random weights, small volumes, and results to compare, for the tests of the cluster."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
import zarr
from scipy import ndimage

from reprolib.experiment import Experiment
from reprolib.runs import records
from reprolib.runs.records import Record, Weights
from reprolib.runs.weights import save_weights
from reprolib.train import build
from tests import invented

TILE = 204  # px; gives 20 px, steps by 16


def network(folder: Path, **fields) -> Record:
    """A record of a network of width 2 with random weights, as it was read from a file."""
    experiment = Experiment(**({"data": "phantom-em", "fold": 1, "width": 2, "tile": 188, "steps": 1} | fields))
    torch.manual_seed(3)
    path = folder / f"{experiment.name}.safetensors"
    sha256 = save_weights(build(experiment), path)
    made = invented.record(experiment, invented.held_out({"rand_error": 0.1}))
    made = dataclasses.replace(made, weights=Weights(sha256, path.stat().st_size, kept=True))
    return records.read(records.write(made, folder))


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    """Smooth 8-bit noise: what a threshold makes of it has some size."""
    noise = np.random.default_rng(seed).normal(size=shape)
    smooth = ndimage.gaussian_filter(noise, (0,) * (len(shape) - 2) + (3, 3))
    return np.interp(smooth, (smooth.min(), smooth.max()), (0, 255)).astype(np.uint8)


def write(path: Path, values: np.ndarray, axes: str = "ZYX", chunks: tuple[int, ...] | None = None, **about) -> Path:
    """An OME-Zarr image with one level."""
    group = zarr.open_group(path, mode="w")
    group.create_array("0", data=values, chunks=chunks or (1,) * (values.ndim - 2) + (32, 32))
    named = [{"name": axis.lower(), **({"unit": "micrometer"} if axis in "ZYX" else {})} for axis in axes]
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [0.5] * values.ndim}]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": named, "datasets": [level | about]}]}
    return path


def files(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, by its name within."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
