"""Segment a volume of any size, OME-Zarr to OME-Zarr, here or on the workers of a Dask scheduler.

Four phases, each of tasks that do not depend on each other: look at the grey values, predict the tiles, number the
cells, reduce to the pyramid. Each task leaves a mark; started again after whatever ended it, the same command does what
has none.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import zarr
from filelock import FileLock, Timeout
from torch import nn

from reprolib.cluster import labels, work
from reprolib.cluster.connect import connected, each
from reprolib.cluster.store import IMAGE, LABELS, Job, Region, as_json, create, marked, metadata_of
from reprolib.data.volumes import AXES, Volume, open_volume
from reprolib.errors import Busy, InputError
from reprolib.files import check_room, replacing
from reprolib.own.predict import cell_settings
from reprolib.progress import Report
from reprolib.resample import scaled_sides
from reprolib.runs import records
from reprolib.tiling import GIBIBYTE, fitting_tile, origins, tile_geometry
from reprolib.train import network

LARGEST_CHUNK = 2048  # px of a side
LARGEST_REGION = 4096  # px of a side: 16 MiB of probabilities
MANY = 10_000  # tasks: with so many, each takes several tiles
VOXELS = 2**25  # of a region with several planes
PIECE = 512  # px of a side, where planes are predicted whole


def predict_volume(
    record: Path,
    source: Path,
    target: Path,
    scheduler: str | None = None,
    workers: int = 0,
    tile: int | None = None,
    memory: float = 1.0,
    fast: bool = False,
    threshold: float | None = None,
    smallest: int | None = None,
    cells: bool = True,
    report: Report = print,
    device: str = "auto",
    threads: int = 1,
) -> Iterator[str]:
    """Segment an OME-Zarr image; yields lines of what is done.

    The result is an OME-Zarr image of the probability (8-bit, 255 = certainly cell) with its pyramid, and
    ``labels/cells`` in it: a number a cell over the whole volume. Equal to `large.predict_image` of each plane, to the
    bit, with the same tile and threads on the same kind of processor. It appears when it is complete; until then it
    grows in TARGET.part, and the same command goes on with that.

    Args:
        record: of a run, with its weights beside it; like source and target, where all workers see it.
        source: .zarr, with axes of TCZYX. Planes are normalised one by one, as images are in training.
        target: .zarr, which is not there yet.
        scheduler, workers: see `connect.connected`.
        tile: px, side of the input tile; None: the one that computes least, of those that ``memory`` (GiB) allows.
        fast: compute in bfloat16.
        threshold, smallest: see `own.predict.cell_settings`; no watershed is done. In a volume, voxels count.
        cells: False leaves the cells out.
        device, threads: of each worker.

    Raises:
        InputError, FileNotFoundError: if something that is given is not as it should be.
        Busy: if another process is at this target.
        Failed: if tasks failed, see `connect.each`.
    """
    record, source, target = (Path(path).resolve() for path in (record, source, target))
    volume, job = _job(record, source, tile, memory, fast, threshold, smallest, cells, device, threads, report)
    part = target.with_name(f"{target.name}.part")
    if target.suffix != ".zarr":
        raise InputError(f"{target} must end in .zarr: the result is an OME-Zarr image")
    if target in (source, *source.parents) or source in target.parents or part in source.parents:
        raise InputError(f"{target} and the image {source} lie in each other: give --to a place of its own")
    if _finished(target, job):
        shutil.rmtree(part, ignore_errors=True)
        yield f"{target}: done before"
        return
    check_room(target.parent)
    part.mkdir(parents=True, exist_ok=True)
    with _alone(part):
        _begin(part, job, volume)
        with connected(scheduler, workers, report) as client:
            yield f"{source.name}: {_told(job)}"

            def phase(name: str, task: Callable, regions: Iterable[Region]) -> None:
                done = marked(str(part), name)
                missing = [region for region in regions if region.name not in done]
                if done and missing:
                    report(f"{name}: {len(done)} done before, {len(missing)} missing")
                for _ in each(client, functools.partial(task, job, str(part)), missing, name, report):
                    pass

            _predict(job, part, phase, report)
            count = _number(job, part, phase) if cells else None
            for group, level in itertools.product([IMAGE] + [LABELS] * cells, range(1, job.levels)):
                reduce = functools.partial(work.reduce, group=group)
                phase(work.reduction(group, level), reduce, job.regions(job.grid(level), level))
        _finish(part, target, job)
    shutil.rmtree(part)
    yield f"{target}: {'probabilities' if count is None else f'{count} cells'}"


def _predict(job: Job, part: Path, phase: Callable, report: Report) -> None:
    """Look at the grey values, and predict all regions."""
    levels = part / "levels.npz"
    if not job.whole and not levels.exists():
        phase("look", work.look, job.regions(job.grid(side=work.LOOK)))
        found = work.levels_of(job, str(part))
        with replacing(levels) as aside, open(aside, "wb") as file:
            np.savez(file, **found)
        if blank := int(found["blank"].sum()):
            report(f"{blank} of {found['blank'].size} planes are of one value each: their probability is 0")
    phase("prediction", work.predict_region, job.regions(job.predicted_grid()))


def _number(job: Job, part: Path, phase: Callable) -> int:
    """Number the cells; gives how many there are."""
    regions = list(job.regions(job.grid()))
    phase("labelling", labels.label, regions)
    offsets, sizes, first = labels.offsets_of(job, str(part))
    _save(part / "offsets.npy", offsets)
    phase("joining", labels.join, regions)
    numbers = labels.numbers_of(job, str(part), sizes, first)
    _save(part / "numbers.npy", numbers)
    phase("numbering", labels.number, regions)
    return int(numbers.max())


def _save(path: Path, values: np.ndarray) -> None:
    with replacing(path) as aside, open(aside, "wb") as file:
        np.save(file, values)


def _job(
    record: Path,
    source: Path,
    tile: int | None,
    memory: float,
    reduced: bool,
    threshold: float | None,
    smallest: int | None,
    cells: bool,
    device: str,
    threads: int,
    report: Report,
) -> tuple[Volume, Job]:
    """The volume, and how it is cut and predicted: the same for the same command, however many workers there are."""
    run, volume = records.read(record), open_volume(source)
    experiment = run.experiment
    if experiment.classes:
        raise InputError("this network tells classes apart, and volumes are segmented into cells: give its planes")
    if not {"Y", "X"} <= set(volume.axes) <= set(AXES) or len(set(volume.axes)) < len(volume.axes):
        raise InputError(f"{source} has the axes {volume.axes}: those of {AXES} are known, and Y and X are needed")
    if (piece := math.prod(volume.array.chunks) * volume.array.dtype.itemsize) > GIBIBYTE:
        raise InputError(f"{source} has pieces of {piece / GIBIBYTE:.1f} GiB, and 1 GiB is allowed: save smaller ones")
    if not 0 < memory < math.inf or threads < 1:
        raise InputError(f"memory must be above 0 GiB, and threads 1 or more: not {memory} and {threads}")
    channels, settings, model = (
        volume.chosen(experiment.channels),
        cell_settings(run, threshold, smallest),
        network(run),
    )
    if cells and settings.seed is not None:
        report(f"this network's cells are {settings}; in a volume they are components above {settings.threshold:g}")
    sides = volume.side("Y"), volume.side("X")
    if experiment.scale != 1:
        tile = tile or fitting_tile(model, max(scaled_sides(sides, experiment.scale)), memory * GIBIBYTE)
        chunk, depth = PIECE, 1
        count = -(-max(sides) // PIECE)
    else:
        tile = tile or cheapest_tile(model, sides, memory * GIBIBYTE)
        chunk = tile_geometry(tile, True, model.geometry)[1]
        count, depth = cut(volume, sides, chunk)
    job = Job(
        record=str(record),
        weights=run.weights.sha256,
        source=str(source),
        source_metadata=metadata_of(volume),
        axes="".join(axis for axis in volume.axes if axis != "C"),
        shape=(volume.side("T"), volume.side("Z"), *sides),
        channels=channels,
        tile=tile,
        output=tile_geometry(tile, True, model.geometry)[0],
        chunk=chunk,
        side=count * chunk,
        depth=depth,
        scale=experiment.scale,
        flips=experiment.mean_of_flips,
        normalisation=experiment.normalisation,
        reduced=reduced,
        threads=threads,
        device=device,
        threshold=settings.threshold if cells else None,
        smallest=settings.smallest,
        connectivity=settings.connectivity,
    )
    return volume, job


def cheapest_tile(model: nn.Module, sides: tuple[int, int], memory: float) -> int:
    """Side (px) of the input tile that covers a plane with the least computing, of those that a budget allows.

    Args:
        sides: of the plane, px.
        memory: bytes for the features of one tile.
    """
    geometry = model.geometry
    smallest, largest = geometry.covering(geometry.stride), fitting_tile(model, max(sides), memory)

    def computed(tile: int) -> tuple[int, int]:
        output, step, _ = tile_geometry(tile, True, geometry)
        return math.prod(len(origins(side, output, step)) for side in sides) * tile**2, tile

    tiles = range(smallest, max(smallest, largest) + 1, geometry.stride)
    return min((tile for tile in tiles if tile - 2 * geometry.halo <= LARGEST_CHUNK), key=computed)


def cut(volume: Volume, sides: tuple[int, int], step: int) -> tuple[int, int]:
    """How many tiles along its side, and how many planes, a region has.

    A region of several planes reads a source whose pieces have several planes only once. Regions have several tiles
    where there are so many tiles that the scheduler's cost a task counts (book/cluster.md).
    """
    tiles = math.prod(-(-side // step) for side in sides)
    depth = min(volume.chunk("Z"), volume.side("Z"), max(1, VOXELS // step**2))
    count = math.isqrt(volume.side("T") * -(-volume.side("Z") // depth) * tiles // MANY)
    count = min(max(1, count), max(1, LARGEST_REGION // step))
    return count, min(depth, max(1, VOXELS // (count * step) ** 2))


def _told(job: Job) -> str:
    times, planes, height, width = job.shape
    count = times * -(-planes // job.depth) * math.prod(job.predicted_grid())
    return f"{times * planes} planes of {height} x {width} px, in {count} regions, tiles of {job.tile} px"


@contextlib.contextmanager
def _alone(part: Path) -> Iterator[None]:
    """One process at a time is at a target."""
    try:
        with FileLock(part / "lock", timeout=0):
            yield
    except Timeout:
        raise Busy(f"another process is at {part}: wait for it, or end it") from None


def _begin(part: Path, job: Job, source: Volume) -> None:
    """Lay out the result, or find what is under way."""
    path = part / "job.json"
    if not path.exists():
        for name in os.listdir(part):
            if name != "lock":
                shutil.rmtree(part / name)
        create(part, job, source)
    elif other := _other(json.loads(path.read_text(encoding="utf-8")), job):
        raise InputError(f"{part} holds what another command began ({other}): remove it, or give another --to")


def _other(held: dict, job: Job) -> str:
    """In what a job that was begun or done before differs from this one."""
    now = as_json(job)
    return ", ".join(f"{name} {held.get(name)} then and {now[name]} now" for name in now if held.get(name) != now[name])


def _finished(target: Path, job: Job) -> bool:
    """Whether the result is there already.

    Raises:
        InputError: if something else is there.
    """
    if not os.path.lexists(target):
        return False
    try:
        held = dict(zarr.open_group(target, mode="r").attrs)["reprolib"]
    except (OSError, KeyError, ValueError):
        raise InputError(f"{target} is there already, and no result of this program: give another --to") from None
    if other := _other(held, job):
        raise InputError(f"{target} is there already, made otherwise ({other}): give another --to, or remove it")
    return True


def _finish(part: Path, target: Path, job: Job) -> None:
    """Put the complete result in its place."""
    for left in (part / IMAGE).rglob("*.partial"):  # of a worker that was killed while it wrote
        left.unlink()
    zarr.open_group(part / IMAGE, mode="r+").attrs["reprolib"] = asdict(job)
    os.rename(part / IMAGE, target)
