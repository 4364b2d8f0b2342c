"""Phantoms: small synthetic images with exact instance labels, for tests and readers without the real data.

They look like the paper's three kinds of image and pose the same difficulties, no more: a score on them says
that a method works, never how well it does on cells. All are made from a seed with numpy's Generator.

* phantom-em: tissue in serial sections. Dark membranes part light, grainy cells; dark organelles with
  outlines of their own lie inside cells and are *not* membrane. Neighbouring slices are alike.
* phantom-phc: phase contrast. Few thin, irregular cells with bright halos on grey; debris that is no cell.
* phantom-dic: differential interference contrast. Large cells that touch, light from one side, faint borders.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from reprolib.data.dataset import Dataset, blocks
from reprolib.data.sources import PHANTOM_OF, check_name
from reprolib.errors import InputError
from reprolib.files import pixel_hash

COUNT = {"phantom-em": 10, "phantom-phc": 6, "phantom-dic": 6}  # slices; two videos of three frames


def phantom(name: str, n: int | None = None, side: tuple[int, int] = (256, 256), seed: int = 0) -> Dataset:
    """A phantom of one kind: the same arguments give the same pixels (on another machine, but for rounding).

    Args:
        name: "phantom-em", "phantom-phc" or "phantom-dic".
        n: number of images. Default: 10 slices in EM (five folds of contiguous slices), else 6 frames (two
            videos; fold 1 holds out video 01, fold 2 video 02).
        side: (height, width) in px, each from 128 to 2048.
        seed: 0 or more.

    Returns:
        A Dataset with phantom=True. EM: instance 0 = membrane. DIC: instances touch with no gap between.

    Raises:
        ValueError: unknown name, too few images for the folds, a side or seed out of range.
    """
    if check_name(name) not in COUNT:
        raise InputError(f"{name} is a real data set, whose phantom is {PHANTOM_OF[name]}.")
    n = COUNT[name] if n is None else n
    fewest = 5 if name == "phantom-em" else 2
    if n < fewest:
        raise InputError(f"{name} needs at least {fewest} images, one for each fold, not {n}.")
    if len(side) != 2 or not all(128 <= length <= 2048 for length in side):
        raise InputError(f"side must be (height, width), each from 128 to 2048 px, not {side}.")
    if seed < 0:
        raise InputError(f"seed must be 0 or more, not {seed}.")
    height, width = (int(length) for length in side)
    if name == "phantom-em":
        images, instances = _em(n, height, width, np.random.default_rng([seed, 1]))
        names = [f"slice {index:02d}" for index in range(n)]
        folds = blocks(n, 5)
    else:
        make, kind = (_phase_contrast, 2) if name == "phantom-phc" else (_interference, 3)
        folds = blocks(n, 2)
        videos = [
            make(len(frames), height, width, np.random.default_rng([seed, kind, number]))
            for number, frames in enumerate(folds)
        ]
        images, instances = (np.concatenate(parts) for parts in zip(*videos, strict=True))
        names = [f"{video:02d}/t{t:03d}" for video, frames in enumerate(folds, 1) for t in range(len(frames))]
    ignore = np.zeros(images.shape, dtype=bool)
    hashes = {"images": pixel_hash(images), "instances": pixel_hash(instances)}
    return Dataset(name, images, instances, ignore, tuple(names), folds, hashes, phantom=True)


def _em(n: int, height: int, width: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(n, H, W) uint8 sections and their int32 instance labels."""
    count = round(height * width / 1300)
    centres = rng.uniform((-20, -20), (height + 20, width + 20), size=(count, 2))
    reach = rng.lognormal(0, 0.45, size=count)  # neurites differ in calibre
    drift = rng.normal(0, 1.1, size=(count, 2))  # px per slice
    bent = _noise(rng, (2, height, width), 9) * 5  # px: cells are not polygons
    tone = rng.normal(0, 9, size=count)
    thick = np.argsort(reach)[-max(4, count // 3) :]  # the cells that have room for an organelle
    places = [(cell, rng.uniform(9, 15), rng.normal(0, 5, size=2)) for cell in thick]
    images, labels = [], []
    for _ in range(n):
        y, x = (np.indices((height, width)) + bent).astype(np.float32)
        owner, _ = _nearest(centres, reach, y, x)
        same = np.ones((height, width), dtype=bool)
        same[1:] &= owner[1:] == owner[:-1]
        same[:, 1:] &= owner[:, 1:] == owner[:, :-1]
        border = ndimage.distance_transform_edt(same)  # px to where two cells meet
        cells = _parted(owner, border > 1.6 + 0.5 * _noise(rng, same.shape, 14), least=12)
        image = 176 + tone[owner] + 7 * _noise(rng, same.shape, 2.2) + 6 * _noise(rng, same.shape, 20)
        image -= 85 * np.exp(-((border / 2.4) ** 2))
        for cell, radius, offset in places:
            inside = (owner == cell) & (border > 5)
            _organelle(image, inside, centres[cell] + offset, radius, y, x)
        vesicles = (_noise(rng, same.shape, 1.4) < -2.2) & (border > 4)
        image -= 34 * ndimage.gaussian_filter(vesicles.astype(float), 0.8)
        images.append(ndimage.gaussian_filter(image, 0.7) + rng.normal(0, 11, size=image.shape))
        labels.append(cells)
        drift = 0.8 * drift + rng.normal(0, 0.6, size=drift.shape)
        centres = centres + drift
        bent = 0.92 * bent + 0.39 * 5 * _noise(rng, bent.shape, 9)
    return _grey(images), np.stack(labels)


def _organelle(image, inside, centre, radius: float, y: np.ndarray, x: np.ndarray) -> None:
    """Draw a dark, striped ellipse with an outline into the part of the image that is inside one cell."""
    tilt = (centre[0] + centre[1]) / 40
    near = _box(centre, radius + 15)
    image, inside, y, x = image[near], inside[near], y[near] - centre[0], x[near] - centre[1]
    u, v = y * np.cos(tilt) + x * np.sin(tilt), x * np.cos(tilt) - y * np.sin(tilt)
    far = (u / radius) ** 2 + (v / (0.65 * radius)) ** 2
    body, outline = inside & (far < 1), inside & (abs(far - 1) < 0.25)
    image[body] += 11 * np.sin(1.6 * u[body]) - 54
    image[outline] -= 32


def _phase_contrast(n: int, height: int, width: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(n, H, W) uint8 frames of one video and their int32 instance labels."""
    count = max(3, round(height * width / 11000))
    centres = _spread(rng, count, height, width, margin=18, apart=46)
    shapes = rng.uniform((14, 0.45, 0), (20, 0.95, np.pi), size=(count, 3))  # radius, flatness, tilt
    lobes = rng.normal(0, 1, size=(count, 2, 5))
    debris = rng.uniform((0, 0), (height, width), size=(max(2, count // 2), 2))
    shade = 6 * _noise(rng, (height, width), 60)  # uneven light stays as it is throughout a video
    y, x = np.indices((height, width), dtype=np.float32)
    images, labels = [], []
    for _ in range(n):
        cells, nuclei = np.zeros((height, width), dtype=np.int32), np.zeros((height, width))
        for number, ((row, column), (radius, flat, tilt)) in enumerate(zip(centres, shapes, strict=True), 1):
            box = _box((row, column), 2 * radius)
            angle, far = np.arctan2(y[box] - row, x[box] - column), np.hypot(y[box] - row, x[box] - column)
            rim = radius / np.hypot(np.cos(angle - tilt), np.sin(angle - tilt) / flat)
            for k, (a, b) in enumerate(lobes[number - 1].T, start=2):
                rim = rim * (1 + (a * np.cos(k * angle) + b * np.sin(k * angle)) * 0.18 / k)
            cells[box][(far < np.maximum(rim, 6)) & (cells[box] == 0)] = number
            row, column = (row, column) + 2 * lobes[number - 1, :, 0]
            ring = np.exp(-((np.hypot(y[box] - row, x[box] - column) - 5.5) ** 2) / 3)
            nuclei[box] = np.maximum(nuclei[box], ring)
        outside = ndimage.distance_transform_edt(cells == 0)  # px
        depth = ndimage.distance_transform_edt(cells > 0)
        halo = 92 + shade + 62 * np.exp(-((outside - 2.5) ** 2) / 7) + 10 * np.exp(-outside / 12)
        body = 84 + shade - 42 * np.exp(-((depth - 2.5) ** 2) / 8) + 14 * _noise(rng, depth.shape, 1.6)
        image = np.where(cells > 0, body + 85 * nuclei * (depth > 3), halo)
        for row, column in debris:
            box = _box((row, column), 15)
            far = np.hypot((y[box] - row) * 1.6, x[box] - column)
            speck = 75 * np.exp(-(far**2) / 9) - 30 * np.exp(-((far - 6) ** 2) / 5)
            image[box] += speck * (outside[box] > 6)
        images.append(ndimage.gaussian_filter(image, 0.8) + rng.normal(0, 2.2, size=image.shape))
        labels.append(cells)
        centres = np.clip(centres + rng.normal(0, 2.5, size=centres.shape), 8, (height - 8, width - 8))
        lobes = 0.85 * lobes + 0.5 * rng.normal(size=lobes.shape)
        shapes = shapes + rng.normal(0, (0.3, 0.01, 0.08), size=shapes.shape)
        shapes[:, 1] = np.clip(shapes[:, 1], 0.4, 1)
    return _grey(images), np.stack(labels)


def _box(centre, half: float) -> tuple[slice, slice]:
    """Where an image lies within `half` px of a centre, row- and column-wise."""
    return tuple(slice(max(0, int(at - half)), max(0, int(at + half) + 1)) for at in centre)


def _interference(n: int, height: int, width: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(n, H, W) uint8 frames of one video and their int32 instance labels."""
    count = max(4, round(height * width / 3600))
    centres = _spread(rng, count, height, width, margin=0, apart=40)
    reach = rng.uniform(0.85, 1.15, size=count)
    bent = _noise(rng, (2, height, width), 14) * 5
    colony = _noise(rng, (height, width), 45)  # cells grow where it is high, the rest of the glass is bare
    row, column = np.minimum(centres, (height - 1, width - 1)).astype(int).T
    gone = colony[row, column] < np.quantile(colony[row, column], 0.2)
    images, labels = [], []
    for _ in range(n):
        y, x = (np.indices((height, width)) + bent).astype(np.float32)
        owner, far = _nearest(centres, reach, y, x)
        cells = _parted(owner, (far < 36 + 3 * _noise(rng, far.shape, 12)) & ~gone[owner], least=200)
        inside = cells > 0
        # optical thickness, whose slope towards the lamp is what the microscope shows
        thickness = 2.2 + 9 * np.sqrt(np.clip(1 - (far / 37) ** 2, 0, 1)) + 0.9 * (1 - np.tanh(0.6 * (far - 11)))
        thickness += 0.55 * _noise(rng, far.shape, 1.6) + _noise(rng, far.shape, 5)
        granules = (_noise(rng, far.shape, 1.3) > 2.1) & (far < 28)
        thickness += 9 * ndimage.gaussian_filter(granules.astype(float), 1.1)
        smooth = ndimage.gaussian_filter(np.where(inside, thickness, 0), 0.9)
        slope = (ndimage.sobel(smooth, axis=0) + ndimage.sobel(smooth, axis=1)) / 8
        images.append(128 + 30 * slope + 3 * _noise(rng, far.shape, 40) + rng.normal(0, 5, size=far.shape))
        labels.append(cells)
        centres = centres + rng.normal(0, 1.5, size=centres.shape)
        bent = 0.92 * bent + 0.39 * 5 * _noise(rng, bent.shape, 14)
    return _grey(images), np.stack(labels)


def _nearest(centres: np.ndarray, reach: np.ndarray, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the nearest centre, and the distance to it: pixels divided by that centre's reach."""
    owner, least = np.zeros(y.shape, dtype=np.int32), np.full(y.shape, np.inf, dtype=np.float32)
    table = np.column_stack([centres, reach]).astype(np.float32)
    for number, (row, column, unit) in enumerate(table):
        square = ((y - row) ** 2 + (x - column) ** 2) / unit**2
        owner[square < least] = number
        least = np.minimum(least, square)
    return owner, np.sqrt(least)


def _parted(owner: np.ndarray, inside: np.ndarray, least: int) -> np.ndarray:
    """int32 labels 1..: each 4-connected piece of one cell is an instance if it has `least` px."""
    labels, count = np.zeros(owner.shape, dtype=np.int32), 0
    for number, place in enumerate(ndimage.find_objects(owner + 1)):
        if place is None:
            continue
        pieces, _ = ndimage.label(inside[place] & (owner[place] == number))
        for piece in np.flatnonzero(np.bincount(pieces.ravel())[1:] >= least) + 1:
            count += 1
            labels[place][pieces == piece] = count
    return labels


def _spread(rng, count: int, height: int, width: int, margin: int, apart: float) -> np.ndarray:
    """(count, 2) centres at least `apart` px from one another, as far as there is room."""
    chosen = []
    while len(chosen) < count:
        tried = rng.uniform((margin, margin), (height - margin, width - margin), size=(60, 2))
        between = tried[:, None] - np.array(chosen).reshape(1, -1, 2)
        gaps = np.hypot(between[..., 0], between[..., 1]).min(axis=1, initial=apart)
        chosen.append(tried[np.argmax(gaps)])  # the first with room enough, else the loneliest
    return np.array(chosen)


def _noise(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> np.ndarray:
    """Smooth noise, mean 0, standard deviation 1, over the last two axes, in lumps of about `scale` px."""
    step = max(1, int(scale / 2))  # bumps of Gaussian shape and random height on a lattice, wider than its step
    spread = []
    for length in shape[-2:]:
        lattice = np.arange(-3 * scale, length + 3 * scale, step)
        spread.append(np.exp(-((np.arange(length)[:, None] - lattice) ** 2) / (2 * scale**2)))
    heights = rng.normal(size=(*shape[:-2], spread[0].shape[1], spread[1].shape[1]))
    noise = spread[0] @ heights @ spread[1].T
    return (noise - noise.mean()) / noise.std()


def _grey(images: list[np.ndarray]) -> np.ndarray:
    """Stack of images, rounded and clipped to uint8."""
    return np.clip(np.rint(np.stack(images)), 0, 255).astype(np.uint8)
