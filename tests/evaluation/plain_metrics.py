"""The ISBI 2012 metrics once more, slow and plain: the reference that `reprolib.evaluation.isbi2012` is held against.

Nothing here is shared with the fast code. Images are sets of pixels (x, y), so that sorting them gives column
order, and everything is said by its definition: simple points by counting components, passes by listing anew,
windows by cutting them out, clusters by dictionaries. Only for small images.
"""

from __future__ import annotations

from collections import Counter, deque
from math import log

import numpy as np

EDGE = ((-1, 0), (0, -1), (1, 0), (0, 1))
CORNER = ((-1, -1), (1, -1), (-1, 1), (1, 1))


def pixels_of(mask):
    return {(int(x), int(y)) for y, x in np.argwhere(mask)}


def around(pixel, steps):
    return {(pixel[0] + dx, pixel[1] + dy) for dx, dy in steps}


def components(pixels, steps=EDGE):
    rest, found = set(pixels), []
    while rest:
        part, front = set(), [rest.pop()]
        while front:
            part.add(front[-1])
            new = around(front.pop(), steps) & rest
            rest -= new
            front.extend(new)
        found.append(part)
    return found


def owner_of(parts):
    return {pixel: number for number, part in enumerate(parts, start=1) for pixel in part}


def above(probability, threshold):
    height, width = probability.shape
    grid = [(x, y) for x in range(width) for y in range(height)]
    return {(x, y) for x, y in grid if float(probability[y, x]) > threshold}


def is_simple(pixel, foreground):
    eight = around(pixel, EDGE + CORNER)
    cells = [part for part in components(eight & foreground) if part & around(pixel, EDGE)]
    return len(cells) == 1 and len(components(eight - foreground, EDGE + CORNER)) == 1


def warp(truth, probability, threshold):
    """The warped cells and what is left, as sets; outside the image all is membrane."""
    target, work = above(probability, threshold), set(truth)
    while True:
        moved = False
        for pixel in sorted(
            sorted(work ^ target),
            key=lambda p: np.float32(abs(float(probability[p[1], p[0]]) - threshold)),
            reverse=True,  # sorted() keeps equal keys in their order also here
        ):
            if is_simple(pixel, work):
                work ^= {pixel}
                moved = True
        if not moved:
            return work, work ^ target


def kind(pixel, work, owner, height, width, radius=20):
    inside = {(x, y) for x, y in around(pixel, EDGE + CORNER) if 0 <= x < width and 0 <= y < height}
    foreground = inside & work
    objects = len({owner[p] for p in foreground})
    if pixel not in work:
        if objects == 0:
            return "object addition"
        if objects > 1:
            return "merger"
        return "hole deletion" if foreground == inside else "hole addition"
    if objects == 0:
        return "object deletion"
    if objects > 1:
        return "split"
    if foreground == inside:
        return "hole addition"
    window = work - {pixel}
    if height >= radius and width >= radius:
        window = {(x, y) for x, y in window if max(abs(x - pixel[0]), abs(y - pixel[1])) <= radius}
    touching = [part for part in components(window) if part & foreground]
    return "split" if len(touching) > 1 else "hole deletion"


def warping(truth, probability, threshold):
    """Kinds of what is left, by pixel."""
    height, width = probability.shape
    work, left = warp(truth, probability, threshold)
    owner = owner_of(components(work))
    return work, {pixel: kind(pixel, work, owner, height, width) for pixel in left}


def thinned(foreground, height, width):
    """Region of every pixel (0: line) after flooding the membrane."""
    membrane = {(x, y) for x in range(width) for y in range(height)} - foreground
    if not foreground or not membrane:
        return dict.fromkeys(membrane | foreground, 1)
    region = owner_of(components(foreground))
    queue = deque(sorted(p for p in membrane if around(p, EDGE) & foreground))
    waiting = membrane - set(queue)
    while queue:
        pixel = queue.popleft()
        beside = {region.get(p, 0) for p in around(pixel, EDGE)} - {0}
        region[pixel] = beside.pop() if len(beside) == 1 else 0
        for dx, dy in EDGE:  # left, up, right, down
            neighbour = (pixel[0] + dx, pixel[1] + dy)
            if neighbour in waiting:
                waiting.remove(neighbour)
                queue.append(neighbour)
    return region


def clusters(truth, region):
    """Sizes of the true cells, of the proposal's clusters within them, and of what both share."""
    true, proposed, shared = Counter(), Counter(), Counter()
    for number, part in enumerate(components(truth)):
        for pixel in part:
            other = region.get(pixel, 0) or pixel  # a pixel in no region is a cluster of its own
            true[number] += 1
            proposed[other] += 1
            shared[number, other] += 1
    return true.values(), proposed.values(), shared.values()


def pairs(sizes):
    return sum(size * size for size in sizes)


def entropy(sizes):
    total = sum(sizes)
    return -sum(size / total * log(size / total) for size in sizes)


def information_f(true, proposed, shared):
    if len(true) < 2 or len(proposed) < 2:
        return 0.0
    mutual = entropy(true) + entropy(proposed) - entropy(shared)
    return 2 * mutual / (entropy(true) + entropy(proposed))


def row(labels, probability, threshold):
    """Every entry of a golden's row; labels and probability are (D, H, W)."""
    depth, height, width = labels.shape
    count, pooled, v_rand, v_info = Counter(), Counter(), [], []
    for slice_labels, slice_probability in zip(labels, probability, strict=True):
        truth = pixels_of(slice_labels > 0)
        proposal = above(slice_probability, threshold)
        _, kinds = warping(truth, slice_probability, threshold)
        count["left"] += len(kinds)
        if len(truth) < height * width:  # the challenge's program loses the warped labels of an all-cell slice
            count += Counter(kinds.values())
        count["tp"] += len(truth & proposal)
        count["fp"] += len(proposal - truth)
        count["fn"] += len(truth - proposal)
        for name, sizes in zip(
            ("true", "proposed", "shared"), clusters(truth, owner_of(components(proposal))), strict=True
        ):
            pooled[name] += pairs(sizes)
        table = clusters(truth, thinned(proposal, height, width))
        true, proposed, shared = (pairs(sizes) for sizes in table)
        v_rand.append(2 * shared / (true + proposed) if truth else 0.0)
        v_info.append(information_f(*table))
    size = depth * height * width
    precision = count["tp"] / (count["tp"] + count["fp"]) if count["fp"] else 1.0
    recall = count["tp"] / (count["tp"] + count["fn"]) if count["fn"] else 1.0
    return {
        "threshold": threshold,
        "warping_all": count["left"] / size,
        "warping_splits_mergers": (count["split"] + count["merger"]) / size,
        "splits": count["split"],
        "mergers": count["merger"],
        "rand_f": 2 * pooled["shared"] / (pooled["true"] + pooled["proposed"]) if pooled["true"] else 0.0,
        "rand_precision": pooled["shared"] / pooled["proposed"] if pooled["proposed"] else 0.0,
        "rand_recall": pooled["shared"] / pooled["true"] if pooled["true"] else 0.0,
        "pixel_misclassified": (count["fp"] + count["fn"]) / size,
        "pixel_f": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        "v_rand_thin": sum(v_rand) / depth,
        "v_info_thin": sum(v_info) / depth,
    }
