"""What a worker does with a region of a volume: each function is one task, and leaves the same when it is done twice.

Look: the grey values' moments and sample, of which each plane's levels are made. Predict: the tiles of a region.
Reduce: one level of the pyramid from the level below.
"""

from __future__ import annotations

import functools
import itertools
from pathlib import Path

import numpy as np
from torch import nn

from reprolib import train
from reprolib.augment import limits_of_sample, sampling_stride
from reprolib.cluster.store import (
    IMAGE,
    LABELS,
    Job,
    Region,
    array,
    check_seen,
    get,
    mark,
    put,
    read_mark,
    volume,
)
from reprolib.errors import InputError
from reprolib.own.large import BLOCK, Levels, between, covering, moments, predicted_region, together
from reprolib.runs import records
from reprolib.runs.machine import choose_device, number_format, set_threads
from reprolib.tiling import FLIPS, predict, tile_geometry

LOOK = 4 * BLOCK  # px, side of what one task looks at


def look(job: Job, part: str, region: Region) -> None:
    """Mark a square of LOOK px with the moments of its blocks, and the pixels that count for the percentiles."""
    check_seen(part)
    place = [slice(LOOK * k, min(LOOK * (k + 1), side)) for k, side in zip(region[2:4], job.shape[2:], strict=True)]
    stack = volume(job.source, job.source_metadata).read(region.time, job.planes(region), *place, job.channels)
    corners = list(itertools.product(*(range(0, side, BLOCK) for side in stack.shape[1:3])))
    found = [[moments(plane[top : top + BLOCK, left : left + BLOCK]) for top, left in corners] for plane in stack]
    sample = np.empty((len(stack), 0))
    if job.normalisation == "percentiles":
        stride = sampling_stride(job.shape[2:])
        first = [-part.start % stride for part in place]
        sample = stack[:, first[0] :: stride, first[1] :: stride]
        sample = sample.reshape(len(stack), -1, *stack.shape[3:])
    mark(part, "look", region, moments=np.array(found), sample=sample)


def levels_of(job: Job, part: str) -> dict[str, np.ndarray]:
    """Each plane's ``grey_levels``, to their bits, from the marks of its squares: centre, half, and which are blank.

    Raises:
        InputError: if a plane is not finite, or all planes are of one value.
    """
    levels, blank = [], []
    for time, first in itertools.product(range(job.shape[0]), range(0, job.shape[1], job.depth)):
        squares = [Region(time, first, *place) for place in itertools.product(*map(range, job.grid(side=LOOK)))]
        marks = [read_mark(part, "look", square) for square in squares]
        for k in range(len(marks[0]["moments"])):
            mean, deviation = together([one for mark in marks for one in mark["moments"][k]])
            if not np.isfinite(deviation).all():
                raise InputError(f"plane {first + k} of time {time} of {job.source} holds NaN or infinite values")
            blank.append(not np.any(deviation))
            levels.append(Levels(mean, np.where(deviation > 0, deviation, 1.0)))
            if job.normalisation == "percentiles":
                levels[-1] = between(*limits_of_sample(np.concatenate([mark["sample"][k] for mark in marks])[:, None]))
    if all(blank):
        raise InputError(f"{job.source} is constant: there is nothing to segment")
    centre, half = (np.array(values).reshape(*job.shape[:2], -1) for values in zip(*levels, strict=True))
    return {"centre": centre, "half": half, "blank": np.array(blank).reshape(job.shape[:2])}


@functools.lru_cache(maxsize=1)
def network(record: str, weights: str, device: str, reduced: bool) -> nn.Module:
    """The network, loaded once in each process.

    Raises:
        InputError: if the record there is of other weights, or the device does not compute in bfloat16 as is wanted.
    """
    run = records.read(Path(record))
    if run.weights.sha256 != weights:
        raise InputError(f"{record} on a worker is of other weights than here: put the record where all see it")
    chosen = choose_device(device)
    if reduced and number_format(chosen) != "bfloat16":
        raise InputError("a worker does not compute in bfloat16, and others do: leave out --fast")
    return train.network(run).to(chosen)


class Boxed:
    """A box of an image that is in memory, indexed as if the whole image were."""

    def __init__(self, pixels: np.ndarray, top: int, left: int, sides: tuple[int, int]):
        self.pixels, self.top, self.left, self.shape = pixels, top, left, sides

    def __getitem__(self, place: tuple[slice, slice]) -> np.ndarray:
        rows, columns = place
        return self.pixels[rows.start - self.top : rows.stop - self.top, columns.start - self.left :][
            :, : columns.stop - columns.start
        ]


def predict_region(job: Job, part: str, region: Region) -> None:
    """Write the probabilities of a region, 255 = certain, by the tiles that the whole image has there."""
    check_seen(part)
    set_threads(job.threads)
    model = network(job.record, job.weights, job.device, job.reduced)
    place, planes = job.predicted_place(region), job.planes(region)
    source = volume(job.source, job.source_metadata)
    result = np.zeros([one.stop - one.start for one in (planes, *place)], np.uint8)
    if job.whole:
        stack = source.read(region.time, planes, *place, job.channels)
        options = {"flips": job.flips, "scale": job.scale, "normalisation": job.normalisation, "reduced": job.reduced}
        for plane, out in zip(stack, result, strict=True):
            if np.ptp(plane):
                out[...] = np.round(255 * predict(model, plane, job.tile, **options)[1])
    else:
        with np.load(Path(part, "levels.npz")) as found:
            levels = {name: found[name][region.time, planes] for name in found}
        seen = seen_box(job, model, place)
        stack = source.read(region.time, planes, *seen, job.channels)
        for k, plane in enumerate(stack):
            if not levels["blank"][k]:
                image_there = Boxed(plane, seen[0].start, seen[1].start, job.shape[2:])
                own = Levels(*(np.squeeze(levels[name][k]) for name in ("centre", "half")))
                probability = predicted_region(model, image_there, place, job.tile, own, job.reduced, job.flips)
                result[k] = np.round(255 * probability)
    put(job, part, f"{IMAGE}/0", region, place, result)
    mark(part, "prediction", region)


def seen_box(job: Job, model: nn.Module, place: tuple[slice, slice]) -> list[slice]:
    """Rows and columns of the image that the tiles of a region see, those of the mirror images too."""
    geometry = tile_geometry(job.tile, True, model.geometry)
    box = []
    for axis, part, side in zip((-2, -1), place, job.shape[2:], strict=True):
        flips = {axis in flip for flip in (FLIPS if job.flips else FLIPS[:1])}
        seen = np.concatenate([covering(part, side, job.tile, geometry, flip).seen for flip in flips])
        box.append(slice(int(seen.min()), int(seen.max()) + 1))
    return box


def reduce(job: Job, part: str, region: Region, group: str = IMAGE) -> None:
    """Write a region of a level of the pyramid: the mean of 2 x 2 probabilities, or one of 2 x 2 numbers of cells."""
    level, planes, place = region.level, job.planes(region), job.place(region)
    below = [
        slice(2 * one.start, min(2 * one.stop, side)) for one, side in zip(place, job.sides(level - 1), strict=True)
    ]
    finer = get(job, array(job, part, f"{group}/{level - 1}"), region.time, planes, tuple(below))
    if group == LABELS:
        values = finer[:, ::2, ::2]
    else:
        even = np.pad(finer, [(0, 0), *((0, side % 2) for side in finer.shape[1:])], mode="edge").astype(np.uint16)
        four = even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]
        values = ((four + 2) // 4).astype(np.uint8)
    put(job, part, f"{group}/{level}", region, place, values)
    mark(part, reduction(group, level), region)


def reduction(group: str, level: int) -> str:
    """The name of a phase of `reduce`."""
    return f"{'cells' if group == LABELS else 'image'} at 1:{2**level}"
