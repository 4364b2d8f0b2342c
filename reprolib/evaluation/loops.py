"""The compiled loops behind `metrics`: warping, kinds of mismatches, thinning, overlaps.

Images are flat here, with a ring of one pixel around the slice, so that every pixel has 8 neighbours: pixel
(y, x) of an (H, W) slice lies at (y + 1) * (W + 2) + x + 1. The loops are single-threaded and deterministic.
Arganda-Carreras et al. 2015 (Front. Neuroanat. 9:142) describe the metrics that need them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numba import njit

# Kinds of the mismatches that warping leaves, by their code.
KINDS = ("none", "object addition", "object deletion", "hole addition", "hole deletion", "merger", "split")
_OBJECT_ADDITION, _OBJECT_DELETION, _HOLE_ADDITION, _HOLE_DELETION, MERGER, SPLIT = range(1, 7)
RADIUS = 20  # px; half side of the window in which a split is looked for


def _compiled(function: Callable) -> Callable:
    """Compile; keep the machine code on disk where some folder for it can be written, else in memory only."""
    try:
        return njit(cache=True)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return njit(function)


def _simple_table() -> np.ndarray:
    """(256,) bool: is a pixel with these 8 neighbours simple (foreground 4-, background 8-connected)?

    Bit k is neighbour k around the circle E, NE, N, NW, W, SW, S, SE. Yokoi's connectivity number must be 1.
    """
    n = [np.arange(256) >> (k % 8) & 1 for k in range(10)]
    return sum(n[k] * (1 - n[k + 1] * n[k + 2]) for k in (0, 2, 4, 6)) == 1


_SIMPLE = _simple_table()


@_compiled
def _neighbours(width):
    """Steps to the 8 neighbours in a flat image `width` px wide, in the table's order."""
    return np.array([1, 1 - width, -width, -width - 1, -1, width - 1, width, width + 1])


@_compiled
def flip_simple(work, order, width):
    """Flip the simple pixels of `order` in the flat, ringed image `work`, pass after pass; give those left.

    A pixel left over keeps its key, so going through the rest in the same order is the same as sorting anew.
    """
    steps = _neighbours(width)
    left = order.size
    while True:
        kept = 0
        for n in range(left):
            pixel = order[n]
            code = 0
            for k in range(8):
                code |= np.int64(work[pixel + steps[k]]) << k
            if _SIMPLE[code]:
                work[pixel] = 1 - work[pixel]
            else:
                order[kept] = pixel
                kept += 1
        if kept == left:
            return order[:left]
        left = kept


@_compiled
def classify(components, remaining, height, width):
    """Kinds of the `remaining` pixels; `components` is flat, (height + 2) x (width + 2), its ring is -1."""
    wide = width + 2
    steps = _neighbours(wide)
    seen = np.zeros(components.size, np.int32)  # which search came by here last
    queue = np.empty(components.size, np.int64)
    kinds = np.empty(remaining.size, np.uint8)
    for n in range(remaining.size):
        pixel = remaining[n]
        first, several, any_background, foreground, runs = 0, False, False, 0, 0
        for k in range(8):
            here = components[pixel + steps[k]]
            if here == 0:
                any_background = True
            elif here > 0:
                foreground += 1
                several |= first > 0 and here != first
                first = here
                runs += components[pixel + steps[(k + 1) % 8]] <= 0
        if components[pixel] == 0:
            if foreground == 0:
                kinds[n] = _OBJECT_ADDITION
            elif several:
                kinds[n] = MERGER
            else:
                kinds[n] = _HOLE_ADDITION if any_background else _HOLE_DELETION
        elif foreground == 0:
            kinds[n] = _OBJECT_DELETION
        elif several:
            kinds[n] = SPLIT
        elif not any_background:
            kinds[n] = _HOLE_ADDITION
        # One run of foreground round the circle is connected there already; else look in the window.
        elif runs > 1 and _falls_apart(components, pixel, runs, height, width, seen, n + 1, queue):
            kinds[n] = SPLIT
        else:
            kinds[n] = _HOLE_DELETION
    return kinds


@_compiled
def _falls_apart(components, pixel, runs, height, width, seen, mark, queue):
    """Are the `runs` of foreground around `pixel` apart, inside the window, once `pixel` is taken out?

    One search starts from all runs at once. It ends when all have met, or when one (or some that have met) is
    closed off from the rest. `seen` is 4 * mark + the group that came by there.
    """
    wide = width + 2
    steps = _neighbours(wide)
    y, x = pixel // wide, pixel % wide  # the ring's corner is (0, 0)
    top, bottom, left, right = 1, height, 1, width
    if height >= RADIUS and width >= RADIUS:  # else the whole slice takes the window's place
        top, bottom, left, right = y - RADIUS, y + RADIUS, x - RADIUS, x + RADIUS  # the ring ends it earlier
    group_of = np.arange(4)  # runs that have met share a group
    waiting = np.zeros(4, np.int64)  # pixels of each group in the queue
    run = start = end = 0
    for k in range(8):
        there = pixel + steps[k]
        if components[there] > 0:
            queue[end] = there
            end += 1
            seen[there] = 4 * mark + run % runs  # the last run may go on as the first
            waiting[run % runs] += 1
            run += components[pixel + steps[(k + 1) % 8]] <= 0
    while start < end:
        here = queue[start]
        start += 1
        group = group_of[seen[here] % 4]
        waiting[group] -= 1
        for k in (0, 2, 4, 6):
            there = here + steps[k]
            if components[there] <= 0 or there == pixel:
                continue
            if seen[there] // 4 == mark:
                other = group_of[seen[there] % 4]
                if other != group:
                    runs -= 1
                    if runs == 1:
                        return False
                    waiting[group] += waiting[other]
                    for n in range(4):
                        if group_of[n] == other:
                            group_of[n] = group
            elif top <= there // wide <= bottom and left <= there % wide <= right:
                seen[there] = 4 * mark + group
                waiting[group] += 1
                queue[end] = there
                end += 1
        if waiting[group] == 0:
            return True
    return True


@_compiled
def grow(regions, queue, end, queued, wide):
    """Give every queued pixel of the flat, ringed `regions` (ring -1) its region, or 0 for a line pixel."""
    steps = np.array([-1, -wide, 1, wide])  # left, up, right, down
    start = 0
    while start < end:
        pixel = queue[start]
        start += 1
        found, line = 0, False
        for step in steps:
            here = regions[pixel + step]
            if here > 0:
                line |= found > 0 and here != found
                found = here
            elif here == 0 and not queued[pixel + step]:
                queued[pixel + step] = True
                queue[end] = pixel + step
                end += 1
        if not line:
            regions[pixel] = found  # 0 where all neighbours decided so far are lines


@_compiled
def overlap(pixels, ends, regions, count):
    """Sums over the table of true cells i and regions j of one slice, within the true cells.

    pixels: flat places (no ring) of the true cells' pixels, cell after cell; ends: where each ends there.
    regions: flat, 0 = membrane or line, 1..count. A pixel in no region is a cluster of its own.
    Gives the sums of c_ij ** 2 and b_j ** 2, of c_ij ln c_ij and b_j ln b_j, and the number of clusters used.
    """
    within = np.zeros(count + 1, np.int64)  # b_j
    shared = np.zeros(count + 1, np.int64)  # c_ij of the current cell
    touched = np.empty(count + 1, np.int64)
    squares = alone = start = used = 0
    joint = entropy = 0.0
    for end in ends:
        many = 0
        for n in range(start, end):
            region = regions[pixels[n]]
            if region == 0:
                alone += 1
                continue
            if shared[region] == 0:
                touched[many] = region
                many += 1
            shared[region] += 1
        for region in touched[:many]:
            size = shared[region]
            squares += size * size
            joint += size * math.log(size)
            within[region] += size
            shared[region] = 0
        start = end
    proposal = alone
    for size in within[1:]:
        if size > 0:
            proposal += size * size
            entropy += size * math.log(size)
            used += 1
    # A pixel on its own adds 1 * 1 to the squares and 1 ln 1 = 0 to the logarithms.
    return squares + alone, proposal, joint, entropy, used + alone
