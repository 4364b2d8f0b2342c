"""Phantoms: small synthetic images with exact instance labels, for tests and readers without the real data.

They look like the paper's three kinds of image and pose the same difficulties, no more: a score on them says
that a method works, never how well it does on cells. All are made from a seed with numpy's Generator.

* phantom-em: tissue in serial sections. Dark membranes part light, grainy cells; dark organelles with outlines
  of their own lie inside cells and are *not* membrane. Neighbouring slices are alike.
* phantom-phc: phase contrast. Few thin, irregular cells with bright halos on grey; debris that is no cell.
* phantom-dic: differential interference contrast. Large cells that touch, light from one side, faint borders.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from reprolib.data import Dataset, blocks
from reprolib.files import pixel_hash
from reprolib.sources import PHANTOM_OF, known

COUNT = {"phantom-em": 10, "phantom-phc": 6, "phantom-dic": 6}  # slices; two videos of three frames


def phantom(name: str, n: int | None = None, side: tuple[int, int] = (256, 256), seed: int = 0) -> Dataset:
    """A phantom of one kind: the same arguments give the same pixels.

    Args:
        name: "phantom-em", "phantom-phc" or "phantom-dic".
        n: number of images. Default: 10 slices in EM (five folds of contiguous slices), else 6 frames (two
            videos; fold 1 holds out video 01, fold 2 video 02).
        side: (height, width) in px, each from 128 to 2048.
        seed: 0 or more.

    Returns:
        A Dataset with phantom=True. EM: instance 0 = membrane. DIC: instances touch, with no background between.

    Raises:
        ValueError: unknown name, too few images for the folds, a side or seed out of range.
    """
    if known(name) not in COUNT:
        raise ValueError(f"{name} is a real data set, whose phantom is {PHANTOM_OF[name]}.")
    n = COUNT[name] if n is None else n
    fewest = 5 if name == "phantom-em" else 2
    if n < fewest:
        raise ValueError(f"{name} needs at least {fewest} images, one for each fold, not {n}.")
    if len(side) != 2 or not all(128 <= length <= 2048 for length in side):
        raise ValueError(f"side must be (height, width), each from 128 to 2048 px, not {side}.")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, not {seed}.")
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
    return Dataset(
        name=name,
        images=images,
        instances=instances,
        ignore=np.zeros(images.shape, dtype=bool),
        names=tuple(names),
        folds=folds,
        hashes={"images": pixel_hash(images), "instances": pixel_hash(instances)},
        phantom=True,
    )


def _em(n: int, height: int, width: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(n, H, W) uint8 sections and their int32 instance labels."""
    count = round(height * width / 1300)
    centres = rng.uniform((-20, -20), (height + 20, width + 20), size=(count, 2))
    reach = rng.lognormal(0, 0.45, size=count)  # neurites differ in calibre
    drift = rng.normal(0, 1.1, size=(count, 2))  # px per slice
    bent = _noise(rng, (2, height, width), 9) * 5  # px: cells are not polygons
    tone = rng.normal(0, 9, size=count)
    thick = np.argsort(reach)[-max(4, count // 3) :]  # the cells that have room for an organelle
    places = [(cell, rng.uniform(7, 12), rng.normal(0, 5, size=2)) for cell in thick]
    images, labels = [], []
    for _ in range(n):
        y, x = np.indices((height, width), dtype=np.float32) + bent
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
    u = (y - centre[0]) * np.cos(tilt) + (x - centre[1]) * np.sin(tilt)
    v = (x - centre[1]) * np.cos(tilt) - (y - centre[0]) * np.sin(tilt)
    far = (u / radius) ** 2 + (v / (0.65 * radius)) ** 2
    body, outline = inside & (far < 1), inside & (abs(far - 1) < 0.25)
    image[body] += 11 * np.sin(1.6 * u[body]) - 46
    image[outline] -= 32


def _phase_contrast(
    n: int, height: int, width: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(n, H, W) uint8 frames of one video and their int32 instance labels."""
    count = max(3, round(height * width / 11000))
    centres = _spread(rng, count, height, width, margin=18, apart=46)
    shapes = rng.uniform((13, 0.45, 0), (19, 0.95, np.pi), size=(count, 3))  # radius, flatness, tilt
    lobes = rng.normal(0, 1, size=(count, 2, 5))
    debris = rng.uniform((0, 0), (height, width), size=(max(2, count // 2), 2))
    shade = 6 * _noise(rng, (height, width), 60)  # uneven light stays as it is throughout a video
    images, labels = [], []
    for _ in range(n):
        y, x = np.indices((height, width), dtype=np.float64)
        cells, depth = np.zeros((height, width), dtype=np.int32), np.full((height, width), np.inf)
        bright = np.zeros((height, width))
        for number in range(count):
            angle = np.arctan2(y - centres[number, 0], x - centres[number, 1])
            turned = angle - shapes[number, 2]
            far = np.hypot(y - centres[number, 0], x - centres[number, 1])
            rim = shapes[number, 0] / np.hypot(np.cos(turned), np.sin(turned) / shapes[number, 1])
            for k, (a, b) in enumerate(lobes[number].T, start=2):
                rim = rim * (1 + 0.09 * (a * np.cos(k * angle) + b * np.sin(k * angle)) * 2 / k)
            outside = far - np.maximum(rim, 6)  # px, negative inside
            nearer = outside < depth
            cells[nearer & (outside < 0)] = number + 1
            depth = np.minimum(depth, outside)
            nucleus = centres[number] + lobes[number, :, 0] * 2
            bright = np.maximum(bright, np.exp(-((np.hypot(y - nucleus[0], x - nucleus[1]) - 5.5) ** 2) / 3))
        inside = depth < 0
        outer = np.maximum(depth, 0)
        image = 92 + shade + 62 * np.exp(-((outer - 2) ** 2) / 7) + 10 * np.exp(-outer / 12)  # the halo
        rim_dark = np.exp(-((depth + 2.5) ** 2) / 8)
        image = np.where(inside, 84 + shade - 42 * rim_dark + 14 * _noise(rng, (height, width), 1.6), image)
        image = np.where(inside & (depth < -3), image + 85 * bright, image)
        for row, column in debris:
            far = np.hypot((y - row) * 1.6, x - column)
            image = np.where(
                depth > 6, image + 75 * np.exp(-(far**2) / 9) - 30 * np.exp(-((far - 6) ** 2) / 5), image
            )
        images.append(ndimage.gaussian_filter(image, 0.8) + rng.normal(0, 2.2, size=image.shape))
        labels.append(cells)
        centres = np.clip(centres + rng.normal(0, 2.5, size=centres.shape), 8, (height - 8, width - 8))
        lobes = 0.85 * lobes + 0.5 * rng.normal(size=lobes.shape)
        shapes = shapes + rng.normal(0, (0.3, 0.01, 0.08), size=shapes.shape)
        shapes[:, 1] = np.clip(shapes[:, 1], 0.4, 1)
    return _grey(images), np.stack(labels)


def _interference(n: int, height: int, width: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(n, H, W) uint8 frames of one video and their int32 instance labels."""
    count = max(4, round(height * width / 4000))
    centres = _spread(rng, count, height, width, margin=0, apart=40)
    reach = rng.uniform(0.85, 1.15, size=count)
    bent = _noise(rng, (2, height, width), 14) * 5
    colony = _noise(rng, (height, width), 45)  # cells grow where it is high, the rest of the glass is bare
    row, column = np.minimum(centres, (height - 1, width - 1)).astype(int).T
    gone = colony[row, column] < np.quantile(colony[row, column], 0.25)
    images, labels = [], []
    for _ in range(n):
        y, x = np.indices((height, width), dtype=np.float32) + bent
        owner, far = _nearest(centres, reach, y, x)
        cells = _parted(owner, (far < 34 + 3 * _noise(rng, far.shape, 12)) & ~gone[owner], least=200)
        inside = cells > 0
        # optical thickness, whose slope towards the lamp is what the microscope shows
        thickness = (
            2.2 + 9 * np.sqrt(np.clip(1 - (far / 37) ** 2, 0, 1)) + 1.8 / (1 + np.exp(1.2 * (far - 11)))
        )
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


def _nearest(
    centres: np.ndarray, reach: np.ndarray, y: np.ndarray, x: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Index of the nearest centre, and the distance to it: pixels divided by that centre's reach."""
    owner, least = np.zeros(y.shape, dtype=np.int32), np.full(y.shape, np.inf, dtype=np.float32)
    for number, ((row, column), unit) in enumerate(zip(centres, reach, strict=True)):
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
        gaps = [min((np.hypot(*(one - other)) for other in chosen), default=np.inf) for one in tried]
        good = [index for index, gap in enumerate(gaps) if gap >= apart]
        chosen.append(tried[good[0] if good else int(np.argmax(gaps))])
    return np.array(chosen)


def _noise(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> np.ndarray:
    """Smooth noise of mean 0 and standard deviation 1 over the last two axes, with lumps of about `scale` px."""
    step = max(1, round(scale / 3))  # coarse lumps are made small and enlarged, which is far quicker
    small = (*shape[:-2], *(-(-length // step) + 1 for length in shape[-2:]))
    still = (0,) * (len(shape) - 2)
    noise = ndimage.gaussian_filter(rng.normal(size=small), (*still, scale / step, scale / step))
    if step > 1:
        noise = ndimage.zoom(noise, (*(1 for _ in still), step, step), order=1 if step < 3 else 3)
    noise = noise[..., : shape[-2], : shape[-1]]
    return (noise - noise.mean()) / noise.std()


def _grey(images: list[np.ndarray]) -> np.ndarray:
    """Stack of images, rounded and clipped to uint8."""
    return np.clip(np.rint(np.stack(images)), 0, 255).astype(np.uint8)
