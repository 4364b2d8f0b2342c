"""Cells of a volume in one numbering: components found region by region, joined across the borders, numbered again.

A component is what hangs together above the threshold, within a plane and from plane to plane, of one time. Its number
follows from where its first pixel lies, so that it does not depend on how the volume is cut.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components

from reprolib.cluster.store import IMAGE, LABELS, LOCAL, Job, Region, array, get, mark, put, read_mark
from reprolib.errors import InputError

NEIGHBOURS = {4: 1, 8: 3}  # within a plane -> axes that two neighbours in a volume may differ in: 6 or 26 neighbours


def label(job: Job, part: str, region: Region) -> None:
    """Number the components of a region by themselves, and mark their sizes and where their first pixels lie."""
    planes, place = job.planes(region), job.place(region)
    probability = get(job, array(job, part, f"{IMAGE}/0"), region.time, planes, place)
    structure = ndimage.generate_binary_structure(3, NEIGHBOURS[job.connectivity])
    numbers, count = ndimage.label(probability > 255 * job.threshold, structure)
    put(job, part, LOCAL, region, place, numbers.astype(np.uint32))
    inside = np.flatnonzero(numbers)
    owner, first = numbers.ravel()[inside], np.zeros(count + 1, np.int64)
    first[owner[::-1]] = inside[::-1]  # the last one that is assigned is the first one there
    z, y, x = np.unravel_index(first[1:], numbers.shape)
    height, width = job.shape[2:]
    plane = region.time * job.shape[1] + planes.start + z
    first = (plane * height + place[0].start + y) * width + place[1].start + x
    mark(part, "labelling", region, sizes=np.bincount(owner, minlength=count + 1)[1:], first=first)


def offsets_of(job: Job, part: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What makes the numbers of all regions differ, (times, depths, rows, columns); all sizes; all first pixels."""
    marks = [read_mark(part, "labelling", region) for region in job.regions(job.grid())]
    counts = [len(one["sizes"]) for one in marks]
    offsets = np.concatenate([[0], np.cumsum(counts)[:-1]]).reshape(job.shape[0], -1, *job.grid())
    return offsets, *(np.concatenate([one[name] for one in marks]) for name in ("sizes", "first"))


def join(job: Job, part: str, region: Region) -> None:
    """Mark which components of a region touch which of the regions after it."""
    local = array(job, part, LOCAL)
    planes, place = job.planes(region), job.place(region)
    inner = [planes, *place]
    outer = [slice(max(0, one.start - 1), min(one.stop + 1, n)) for one, n in zip(inner, job.shape[1:], strict=True)]
    outer[0] = slice(planes.start, outer[0].stop)
    numbers = get(job, local, region.time, outer[0], tuple(outer[1:]))
    within = [slice(a.start - b.start, a.stop - b.start) for a, b in zip(inner, outer, strict=True)]
    offsets, here = np.load(Path(part, "offsets.npy"), mmap_mode="r")[region.time], _place(job, region)
    pairs = [np.zeros((0, 2), np.int64)]
    for step in itertools.product((0, 1), (-1, 0, 1), (-1, 0, 1)):
        there = tuple(k + d for k, d in zip(here, step, strict=True))
        if step <= (0, 0, 0) or not all(0 <= k < n for k, n in zip(there, offsets.shape, strict=True)):
            continue
        for ours, theirs in _faces(within, step, NEIGHBOURS[job.connectivity]):
            a, b = numbers[ours], numbers[theirs]
            both = (a > 0) & (b > 0)
            codes = np.unique(a[both].astype(np.uint64) << np.uint64(32) | b[both])
            a, b = (codes >> np.uint64(32)).astype(np.int64), (codes & np.uint64(2**32 - 1)).astype(np.int64)
            pairs.append(np.stack([a + offsets[here], b + offsets[there]], axis=1))
    mark(part, "joining", region, pairs=np.unique(np.concatenate(pairs), axis=0))


def _faces(within: Sequence[slice], step: Sequence[int], neighbours: int) -> Iterator[tuple[tuple, tuple]]:
    """Where pixels of a region lie, and where their neighbours in the region a step on, in an array of both."""
    across = sum(map(abs, step))
    for shift in itertools.product(*((-1, 0, 1) if d == 0 else (d,) for d in step)):
        if across <= sum(map(abs, shift)) <= neighbours:
            ours = []
            for part, d, s in zip(within, step, shift, strict=True):
                start = part.stop - 1 if d > 0 else part.start - min(s, 0) * (d == 0)
                stop = part.start + 1 if d < 0 else part.stop - max(s, 0) * (d == 0)
                ours.append(slice(start, stop))
            yield tuple(ours), tuple(slice(p.start + s, p.stop + s) for p, s in zip(ours, shift, strict=True))


def _place(job: Job, region: Region) -> tuple[int, int, int]:
    return region.plane // job.depth, region.row, region.column


def numbers_of(job: Job, part: str, sizes: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The final number of each region's component, at offset + number: in the order of first pixels; 0 of small ones.

    Raises:
        InputError: if there are more cells than 32 bits can number.
    """
    if not len(sizes):
        return np.zeros(1, np.uint32)
    pairs = [read_mark(part, "joining", region)["pairs"] for region in job.regions(job.grid())]
    left, right = np.concatenate(pairs).T - 1
    touching = sparse.coo_array((np.ones(len(left), bool), (left, right)), shape=(len(sizes), len(sizes)))
    count, owner = connected_components(touching, directed=False)
    total, earliest = np.zeros(count, np.int64), np.full(count, np.iinfo(np.int64).max)
    np.add.at(total, owner, sizes)
    np.minimum.at(earliest, owner, first)
    order = np.argsort(earliest)
    kept = total[order] >= job.smallest
    if kept.sum() >= 2**32:
        raise InputError(f"there are {kept.sum()} cells, more than 32 bits can number: set --threshold or --smallest")
    final = np.zeros(count, np.uint32)
    final[order] = np.where(kept, np.cumsum(kept), 0)
    return np.concatenate([[0], final[owner]]).astype(np.uint32)


def number(job: Job, part: str, region: Region) -> None:
    """Write the final numbers of a region's cells."""
    planes, place = job.planes(region), job.place(region)
    local = get(job, array(job, part, LOCAL), region.time, planes, place)
    offset = int(np.load(Path(part, "offsets.npy"), mmap_mode="r")[region.time][_place(job, region)])
    numbers = np.load(Path(part, "numbers.npy"), mmap_mode="r")[offset : offset + int(local.max()) + 1].copy()
    numbers[0] = 0
    put(job, part, f"{LABELS}/0", region, place, numbers[local])
    mark(part, "numbering", region)
