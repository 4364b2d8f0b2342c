"""Volumes: Zarr and OME-Zarr images of any size, opened without being read, and boxes of their pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr

from reprolib.data.limits import judge_kind
from reprolib.errors import InputError

AXES = "TCZYX"  # time, channel, depth, height, width: what an axis may be


@dataclass(frozen=True, eq=False)
class Volume:
    """An image of a Zarr store at its full size."""

    path: Path
    array: zarr.Array
    axes: str  # a letter for each axis of the array
    named: tuple[dict, ...]  # OME-Zarr's axes: name, type, unit; empty of a bare array
    scale: tuple[float, ...]  # of a pixel along each axis, in its unit; empty if the store does not say
    translation: tuple[float, ...]  # of the first pixel's centre

    def side(self, axis: str) -> int:
        """Pixels along an axis; 1 along one that it has not."""
        return self.array.shape[self.axes.index(axis)] if axis in self.axes else 1

    def chunk(self, axis: str) -> int:
        """Pixels along an axis that are stored as one piece."""
        return self.array.chunks[self.axes.index(axis)] if axis in self.axes else 1

    def read(self, time: int, planes: slice, rows: slice, columns: slice, channels: tuple[int, ...]) -> np.ndarray:
        """A box of pixels: (planes, h, w), or (planes, h, w, channels) of several channels.

        Args:
            channels: from 0 on.

        Raises:
            InputError: if what is stored there cannot be read.
        """
        box = {"T": slice(time, time + 1), "Z": planes, "Y": rows, "X": columns}
        box["C"] = slice(min(channels), max(channels) + 1)
        try:
            read = np.asarray(self.array[tuple(box[axis] for axis in self.axes)])
        except Exception as error:  # of a dozen kinds: of the codecs, of the disk
            where = f"plane {planes.start}, rows from {rows.start}, columns from {columns.start}"
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise InputError(f"{self.path} cannot be read at {where} ({reason}): restore it") from error
        lacking = "".join(axis for axis in AXES if axis not in self.axes)
        read = read.reshape(read.shape + (1,) * len(lacking))
        read = read.transpose([(self.axes + lacking).index(axis) for axis in "TZYXC"])[0]
        read = read[..., [channel - min(channels) for channel in channels]]
        return read if len(channels) > 1 else read[..., 0]

    def chosen(self, channels: str) -> tuple[int, ...]:
        """The channels, from 0 on, that a network takes, see `Experiment.channels`.

        Raises:
            InputError: if the volume has not got them.
        """
        count = self.side("C")
        if channels == "rgb":
            raise InputError(f"the network takes red, green and blue, and {self.path} has {count} channels of a volume")
        if channels == "grey":
            if count != 1:
                raise InputError(f"{self.path} has {count} channels, and the network takes grey values")
            return (0,)
        numbers = tuple(int(number) - 1 for number in channels.split(","))
        if max(numbers) >= count:
            raise InputError(f"{self.path} has {count} channel{'s' * (count > 1)}, and {channels} are asked for")
        return numbers


def open_volume(path: Path) -> Volume:
    """Open an image of a Zarr store: an array, or a group with OME-Zarr's multiscales, of which the first level counts.

    Raises:
        InputError: if it is no such store, or holds no pixels.
        FileNotFoundError: if there is nothing.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    judge_kind(path)
    try:
        volume = _opened(path)
    except InputError:
        raise
    except Exception as error:  # zarr raises a dozen kinds on damaged stores
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"{path} cannot be read as an image ({reason})") from error
    array = volume.array
    if array.dtype.kind not in "buif" or not math.prod(array.shape):
        raise InputError(f"{path} holds {array.dtype} pixels {array.shape}: that is no image")
    return volume


def _opened(path: Path) -> Volume:
    node = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array):
        return Volume(path, node, AXES[-node.ndim :], (), (), ())
    attributes = dict(node.attrs)
    scales = (attributes.get("ome") or attributes).get("multiscales")
    if not scales:
        raise InputError(f"{path} is a Zarr group without OME-Zarr's multiscales: name the array in it")
    level, named = scales[0]["datasets"][0], scales[0].get("axes")
    array = node[level["path"]]
    if not named:
        return Volume(path, array, AXES[-array.ndim :], (), (), ())
    named = tuple(one if isinstance(one, dict) else {"name": one} for one in named)
    transforms = {one["type"]: one for one in level.get("coordinateTransformations", ())}
    scale, translation = (tuple(transforms.get(name, {}).get(name, ())) for name in ("scale", "translation"))
    return Volume(path, array, "".join(one["name"] for one in named).upper(), named, scale, translation)
