"""Objects found or not (F1 at IoU 0.5), and the settings that turn a probability into objects. Ours, not the paper's.

SEG cannot see false objects: a thousand specks cost it nothing. So the settings for images of one's own are chosen by
F1.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.segmentation import watershed

from reprolib.data.pages import brightness
from reprolib.evaluation import ctc

LEVELS = (0.3, 0.4, 0.5, 0.6, 0.7)  # thresholds on the probability
SEEDS = (None, 0.7, 0.8, 0.9)  # levels of a watershed's seeds; None: plain components
APART = (0.5, 1.0, 1.5, 2.0)  # of an object's radius, between the seeds of the watershed without a network
SMALLEST = (0.0, 0.25, 0.5, 1.0)  # of the size that one object in twenty does not reach


@dataclass(frozen=True)
class Settings:
    """How a probability becomes objects."""

    threshold: float
    seed: float | None  # of a seeded watershed; None: connected components, as the paper's
    smallest: int  # px; smaller objects are dropped
    smallest_seed: int = 1  # px
    connectivity: int = 8  # of components; a watershed's are always 8-connected

    def objects(self, probability: np.ndarray) -> np.ndarray:
        """(H, W) int32 object numbers from a probability (H, W): floating in [0, 1], or 8-bit, 255 = certain."""
        eight_bit = probability.dtype == np.uint8
        if self.seed is None:
            given = probability > 255 * self.threshold if eight_bit else probability
            return ctc.instances(given, self.threshold, self.smallest, self.connectivity)
        given = probability / np.float32(255) if eight_bit else probability
        return ctc.watershed(given, self.seed, self.threshold, self.smallest, self.smallest_seed)

    def __str__(self) -> str:
        how = "connected components" if self.seed is None else f"a watershed from {self.seed:g}"
        return f"{how} above {self.threshold:g}, of {self.smallest} px or more"


@dataclass(frozen=True)
class Counts:
    """Objects over some images at IoU 0.5."""

    found: int  # gold objects with a result object whose IoU is above 0.5; there is at most one
    missed: int
    false: int  # result objects without such a gold object

    @property
    def f1(self) -> float:
        """Of precision and recall, in [0, 1]; 1 where there is nothing to find and nothing is found."""
        wrong = self.missed + self.false
        return 2 * self.found / (2 * self.found + wrong) if self.found or wrong else 1.0

    @property
    def precision(self) -> float:
        return self.found / (self.found + self.false) if self.found + self.false else 1.0

    @property
    def recall(self) -> float:
        return self.found / (self.found + self.missed) if self.found + self.missed else 1.0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.found + other.found, self.missed + other.missed, self.false + other.false)


@dataclass(frozen=True)
class Detection:
    """What a record keeps: the settings that are delivered, and honest counts of the held-out images.

    The settings are the best on all held-out images. The counts are cross-fitted: each image is segmented at the
    settings that are best on the other ones; of a single one, at those of the training images. What is compared with
    has its settings from the training images.
    """

    settings: Settings
    counts: Counts
    otsu: Counts  # of a plain threshold on the brightness, by Otsu's method, for comparison
    otsu_watershed: Counts | None = None  # of the same, objects parted by a watershed of the distance to the ground


NOTHING = Counts(0, 0, 0)


def count(gold: np.ndarray, result: np.ndarray, smallest: int = 0) -> Counts:
    """Objects of one image, (H, W) integer numbers both, found at an IoU above 0.5; smaller result objects dropped."""
    return _counts(*_sizes(gold, result), smallest)


def matches(gold: np.ndarray, result: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the gold objects that are found at an IoU above 0.5, and of the result objects that find them."""
    in_gold, in_result = np.bincount(gold.ravel()), np.bincount(result.ravel())
    codes, overlaps = np.unique(gold.ravel().astype(np.int64) * len(in_result) + result.ravel(), return_counts=True)
    of_gold, of_result = np.divmod(codes, len(in_result))
    union = in_gold[of_gold] + in_result[of_result] - overlaps
    matched = (of_gold > 0) & (of_result > 0) & (2 * overlaps > union)
    return of_gold[matched], of_result[matched]


def _sizes(gold: np.ndarray, result: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
    """How many gold objects there are, the sizes (px) of all result objects, and of those that find one."""
    sizes = np.bincount(result.ravel())
    found = sizes[matches(gold, result)[1]]
    return int(np.count_nonzero(np.bincount(gold.ravel())[1:])), sizes[1:][sizes[1:] > 0], found


def _counts(objects: int, sizes: np.ndarray, matched: np.ndarray, smallest: int) -> Counts:
    found = int(np.count_nonzero(matched >= smallest))
    return Counts(found, objects - found, int(np.count_nonzero(sizes >= smallest)) - found)


def detection(
    gold: Sequence[np.ndarray],
    probability: Sequence[np.ndarray],
    images: Sequence[np.ndarray],
    training: tuple[Sequence[np.ndarray], Sequence[np.ndarray], Sequence[np.ndarray]],
) -> Detection:
    """Choose settings and count, see `Detection`.

    Args:
        gold, probability, images: of each held-out image: object numbers and P(object), (H, W), and the image itself.
        training: the same of training images.
    """
    sizes = np.concatenate([np.bincount(one.ravel())[1:] for one in training[0]])
    usual = float(np.quantile(sizes[sizes > 0], 0.05)) if (sizes > 0).any() else 1.0
    smallest, seed_size = [round(share * usual) for share in SMALLEST], max(1, round(usual / 4))
    ways = [Settings(level, seed, 0, seed_size) for level in LEVELS for seed in SEEDS if seed is None or seed >= level]
    grid = [replace(way, smallest=least) for way in ways for least in smallest]

    def table(gold: Sequence[np.ndarray], probability: Sequence[np.ndarray]) -> list[list[Counts]]:
        """A row an image, a column for each of the grid's settings."""
        found = [[_sizes(g, way.objects(p)) for way in ways] for g, p in zip(gold, probability, strict=True)]
        return [[_counts(*one, least) for one in row for least in smallest] for row in found]

    def best(rows: Sequence[Sequence[Counts]]) -> int:
        scores = [sum(column, NOTHING).f1 for column in zip(*rows, strict=True)]
        return scores.index(max(scores))

    rows = table(gold, probability)
    others = [rows[:k] + rows[k + 1 :] for k in range(len(rows))]
    if len(rows) == 1:
        others = [table(training[0], training[1])]
    counts = sum((row[best(rest)] for row, rest in zip(rows, others, strict=True)), NOTHING)

    radius = np.sqrt(float(np.median(sizes[sizes > 0])) / np.pi) if (sizes > 0).any() else 1.0
    plain, parted = (
        _without_network(gold, images, training, smallest, apart)
        for apart in ([0], [max(1, round(share * radius)) for share in APART])
    )
    return Detection(grid[best(rows)], counts, plain, parted)


def _without_network(gold, images, training, smallest: Sequence[int], apart: Sequence[int]) -> Counts:
    """Otsu's objects counted, by the brightness, size and distance that are best on the training images."""

    def counted(gold, images, bright: bool, apart: int, least: int) -> Counts:
        pairs = zip(gold, images, strict=True)
        return sum((count(one, otsu(image, bright, apart), least) for one, image in pairs), NOTHING)

    ways = list(itertools.product((True, False), apart, smallest))
    return counted(gold, images, *max(ways, key=lambda way: counted(training[0], training[2], *way).f1))


def otsu(image: np.ndarray, bright: bool, apart: int = 0) -> np.ndarray:
    """Objects without a network: (H, W) numbers of the components above Otsu's threshold on the brightness.

    Args:
        bright: False takes what is below the threshold.
        apart: px; above 0, components are parted by a watershed on the distance to the ground, whose seeds are its
            maxima that are so far from each other.
    """
    values = brightness(np.asarray(image))
    level = threshold_otsu(values)
    mask = values > level if bright else values <= level
    if not apart:
        return ctc.instances(mask, connectivity=8)
    distance = ndimage.distance_transform_edt(mask)
    seeds = np.zeros(mask.shape, np.int32)
    peaks = peak_local_max(distance, min_distance=apart, labels=mask.astype(np.int32), exclude_border=False)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return watershed(-distance, seeds, mask=mask, connectivity=2)
