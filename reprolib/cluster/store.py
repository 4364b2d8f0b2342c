"""Where the prediction of a volume is kept: an OME-Zarr image that grows region by region, and marks of what is done.

While it grows it lies in a folder beside its place, NAME.part; complete, it is renamed. A region is written by one
task, as whole pieces of the store; its mark is written after it.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import zarr

from reprolib.data.volumes import Volume, open_volume
from reprolib.errors import InputError
from reprolib.files import write_text
from reprolib.tiling import origins

SMALLEST_LEVEL = 512  # px: the pyramid ends with a level that is no larger
IMAGE, LABELS = "image", "image/labels/cells"  # groups of the store under way
LOCAL = "local"  # array: cells numbered in each region by itself


class Region(NamedTuple):
    """A part of a volume that one task is about: of which time, from which plane on, where on the regions' grid."""

    time: int
    plane: int
    row: int
    column: int
    level: int = 0  # of the pyramid

    def __str__(self) -> str:
        return f"the region in row {self.row}, column {self.column} of time {self.time}, plane {self.plane}"

    @property
    def name(self) -> str:
        """Of its mark."""
        return ".".join(map(str, self))


@dataclass(frozen=True)
class Job:
    """What is predicted, how, and how it is cut: all that a worker needs to know, beside the place."""

    record: str  # path of the network's record
    weights: str  # their SHA-256
    source: str  # path of the image
    source_metadata: str  # of its array
    axes: str  # of the result
    shape: tuple[int, int, int, int]  # times, planes, height, width
    channels: tuple[int, ...]  # of the source, from 0 on
    tile: int  # px, side of the input tile
    output: int  # px, side of what it gives
    chunk: int  # px, side of a piece of the store, and the step from tile to tile
    side: int  # px, side of a region: so many pieces
    depth: int  # planes of a region
    scale: float
    flips: bool
    normalisation: str
    reduced: bool  # in bfloat16
    threads: int
    device: str
    threshold: float | None  # of cells; None: no cells
    smallest: int  # px
    connectivity: int  # 4 or 8 within a plane; 6 or 26 in a volume

    def planes(self, region: Region) -> slice:
        return slice(region.plane, min(region.plane + self.depth, self.shape[1]))

    def sides(self, level: int = 0) -> tuple[int, int]:
        """Height and width of a level of the pyramid, px."""
        return tuple(-(-side // 2**level) for side in self.shape[2:])

    @property
    def levels(self) -> int:
        """How many the pyramid has."""
        return next(level for level in itertools.count() if max(self.sides(level)) <= SMALLEST_LEVEL) + 1

    def place(self, region: Region) -> tuple[slice, slice]:
        """Rows and columns of a region of the store's grid, px of its level."""
        at = zip((region.row, region.column), self.sides(region.level), strict=True)
        return tuple(slice(self.side * k, min(self.side * (k + 1), side)) for k, side in at)

    def grid(self, level: int = 0, side: int = 0) -> list[int]:
        """Rows and columns of regions on a level, or of squares of another side."""
        return [-(-length // (side or self.side)) for length in self.sides(level)]

    def predicted_grid(self) -> list[int]:
        """Rows and columns of the regions that the tiles fill."""
        tiles = (len(origins(length, self.output, self.chunk)) for length in self.sides())
        return self.grid() if self.whole else [-(-count // (self.side // self.chunk)) for count in tiles]

    def predicted_place(self, region: Region) -> tuple[slice, slice]:
        """Rows and columns (px) of such a region: the last one of a row or column has all that its last tile gives."""
        at = zip(region[2:4], self.predicted_grid(), self.sides(), strict=True)
        return tuple(slice(self.side * k, side if k == n - 1 else self.side * (k + 1)) for k, n, side in at)

    def regions(self, grid: list[int], level: int = 0) -> Iterator[Region]:
        """All regions of a grid, over times and planes."""
        planes = range(0, self.shape[1], self.depth)
        for place in itertools.product(range(self.shape[0]), planes, *map(range, grid)):
            yield Region(*place, level)

    @property
    def whole(self) -> bool:
        """Whether planes are predicted in one piece each: those that are resampled."""
        return self.scale != 1


@functools.lru_cache(maxsize=2)
def volume(path: str, metadata: str) -> Volume:
    """The source, opened once in each process.

    Raises:
        InputError: if it is another one by now.
    """
    found = open_volume(Path(path))
    if metadata_of(found) != metadata:
        raise InputError(f"{path} is not what it was when the prediction began: remove what is under way")
    return found


def metadata_of(source: Volume) -> str:
    """What tells an array from another without reading it: shape, type and pieces."""
    return f"{source.array.shape} {source.array.dtype} {source.array.chunks}"


@functools.lru_cache(maxsize=16)
def array(job: Job, part: str, name: str) -> zarr.Array:
    """An array of the store under way, opened once for each job in each process."""
    check_seen(part)
    return zarr.open_array(Path(part, name), mode="r+")


def check_seen(part: str) -> None:
    """Is the folder of what is under way seen from here?

    Raises:
        InputError: if not: it lies on a disk of another machine.
    """
    if not Path(part, "job.json").is_file():
        raise InputError(f"a worker does not see {part}: image, record and result must lie where all workers see them")


def box(job: Job, time: int, planes: slice, place: tuple[slice, slice]) -> tuple:
    """The index of planes (d, h, w) of one time in an array with the job's axes."""
    whole = {"T": slice(time, time + 1), "Z": planes, "Y": place[0], "X": place[1]}
    return tuple(whole[axis] for axis in job.axes)


def get(job: Job, found: zarr.Array, time: int, planes: slice, place: tuple[slice, slice]) -> np.ndarray:
    """Planes (d, h, w) of an array of the store."""
    return np.asarray(found[box(job, time, planes, place)]).reshape(
        [part.stop - part.start for part in (planes, *place)]
    )


def put(job: Job, part: str, name: str, region: Region, place: tuple[slice, slice], values: np.ndarray) -> None:
    """Write planes (d, h, w) of a region to an array of the store.

    Raises:
        InputError: if another job is under way by now: this one's command was killed, and another one was given.
    """
    if json.loads(Path(part, "job.json").read_text(encoding="utf-8")) != as_json(job):
        raise InputError(f"{part} is no longer this command's")
    index = box(job, region.time, job.planes(region), place)
    array(job, part, name)[index] = values.reshape([part.stop - part.start for part in index])


def as_json(job: Job) -> dict:
    """The job as it is read from a file."""
    return json.loads(json.dumps(asdict(job)))


def mark(part: str, phase: str, region: Region, **arrays: np.ndarray) -> None:
    """Say that a region's phase is done, with what later phases need of it; whole or not at all."""
    folder = Path(part, "done", phase)
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".{region.name}.{uuid.uuid4().hex}.part"  # of this process on this machine alone
    with open(aside, "wb") as file:
        np.savez(file, **arrays)
    os.replace(aside, folder / f"{region.name}.npz")


def marked(part: str, phase: str) -> set[str]:
    """The names of the regions whose phase is done."""
    folder = Path(part, "done", phase)
    return {one[:-4] for one in os.listdir(folder) if one.endswith(".npz")} if folder.is_dir() else set()


def read_mark(part: str, phase: str, region: Region) -> dict[str, np.ndarray]:
    """What was marked of a region."""
    with np.load(Path(part, "done", phase, f"{region.name}.npz")) as found:
        return dict(found)


def create(part: Path, job: Job, source: Volume) -> None:
    """Lay out an empty result; ``job.json``, which says that it is, comes last.

    Raises:
        OSError: if it cannot be written.
    """
    root = zarr.open_group(part / IMAGE, mode="w", zarr_format=3)
    groups = [(root, "uint8")]
    if job.threshold is not None:
        labels = root.create_group("labels")
        labels.attrs["ome"] = {"version": "0.5", "labels": ["cells"]}
        groups.append((labels.create_group("cells"), "uint32"))
        _create_array(zarr.open_group(part, mode="a"), LOCAL, job, 0, "uint32")
    for group, dtype in groups:
        for level in range(job.levels):
            _create_array(group, str(level), job, level, dtype)
        group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscales(job, source)]}
        if dtype == "uint32":
            group.attrs["ome"] |= {"image-label": {"source": {"image": "../../"}}}
    write_text(part / "job.json", json.dumps(asdict(job), indent=1) + "\n")


def _create_array(group: zarr.Group, name: str, job: Job, level: int, dtype: str) -> None:
    """An array of one level: pieces of one plane, a region's in one file."""

    def by_axis(time: int, planes: int, sides: tuple[int, int]) -> list[int]:
        known = {"T": time, "Z": planes, "Y": sides[0], "X": sides[1]}
        return [known[axis] for axis in job.axes]

    several = job.side > job.chunk or job.depth > 1
    group.create_array(
        name,
        shape=by_axis(*job.shape[:2], job.sides(level)),
        chunks=by_axis(1, 1, (job.chunk, job.chunk)),
        shards=by_axis(1, job.depth, (job.side, job.side)) if several else None,
        dtype=dtype,
        fill_value=0,
        dimension_names=[axis.lower() for axis in job.axes],
        overwrite=True,
    )


KINDS = {"T": "time", "Z": "space", "Y": "space", "X": "space"}


def multiscales(job: Job, source: Volume) -> dict:
    """OME-Zarr's description of the levels: the source's axes but for channels, a pixel twice as wide on each level."""
    places = [source.axes.index(axis) for axis in job.axes]
    named = [dict(source.named[k]) if source.named else {"name": source.axes[k].lower()} for k in places]
    scale = [source.scale[k] if source.scale else 1.0 for k in places]
    translation = [source.translation[k] if source.translation else 0.0 for k in places]
    datasets = []
    for level in range(job.levels):
        wider = [2.0**level if axis in "YX" else 1.0 for axis in job.axes]
        steps = [one * factor for one, factor in zip(scale, wider, strict=True)]
        middles = [t + s * (f - 1) / 2 for t, s, f in zip(translation, scale, wider, strict=True)]
        transforms = [{"type": "scale", "scale": steps}, {"type": "translation", "translation": middles}]
        datasets.append({"path": str(level), "coordinateTransformations": transforms})
    axes = [{"type": KINDS[axis]} | one for axis, one in zip(job.axes, named, strict=True)]
    return {"name": Path(job.source).stem, "axes": axes, "datasets": datasets}
