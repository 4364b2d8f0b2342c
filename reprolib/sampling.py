"""Training samples (Sec. 3.1): the prepared training images, and the random numbers of each step.

All randomness of a tile comes from the seed, its step and its number within the step alone: so a training that was
killed goes on to the same bits, and a batch is the same whether one process takes its tiles or several do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from reprolib.augment import Draw, draw, normalise
from reprolib.data.annotated import untrained
from reprolib.data.dataset import Dataset
from reprolib.experiment import Experiment
from reprolib.loss import IGNORE, class_frequency_weights, separate, weight_map
from reprolib.resample import resample_image, resample_labels
from reprolib.splits import training_indices


def prepare(experiment: Experiment, dataset: Dataset, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """The training images: each normalised, (H, W) or (C, H, W), with label planes (2, H, W): class and weight.

    At another scale than 1 they are resampled first, so that separation borders are as wide as at full size.
    """
    samples, frequency = [], _class_weights(experiment, dataset)
    for index in training_indices(experiment, dataset):
        labels = resample_labels(dataset.own_part(dataset.instances[index], index), experiment.scale)
        ignore = resample_labels(dataset.own_part(untrained(dataset, index), index), experiment.scale)
        if experiment.classes:
            target, weights = np.where(ignore, IGNORE, labels), np.where(ignore, 0, frequency[labels])
        else:
            instances = separate(labels)
            target = np.where(ignore, IGNORE, instances > 0)
            weights = weight_map(
                instances,
                class_weights="balanced" if experiment.weights in ("balanced", "full") else None,
                w0=experiment.w0 if experiment.weights in ("borders", "full") else 0.0,
                sigma=experiment.sigma,
                ignore=ignore,
            )
        planes = torch.from_numpy(np.stack([target, weights]).astype(np.float32))
        image = normalise(resample_image(dataset.image(index), experiment.scale), experiment.normalisation)
        samples.append((image.to(device), planes.to(device)))
    return samples


def _class_weights(experiment: Experiment, dataset: Dataset) -> np.ndarray:
    """A weight for each class: balanced over all training images, where one alone may hold a few pixels of a class."""
    counts = np.zeros(max(2, experiment.classes), np.int64)
    if not experiment.classes or experiment.weights == "none":
        return np.ones(len(counts), np.float32)
    for index in training_indices(experiment, dataset):
        annotated = dataset.own_part(dataset.instances[index], index)[~dataset.own_part(dataset.ignore[index], index)]
        counts += np.bincount(annotated, minlength=len(counts))
    return class_frequency_weights(counts)


class Sample(NamedTuple):
    """Which training image a tile is of, and the random numbers of its augmentation and dropout."""

    image: int
    warp: Draw
    dropout: int  # a seed


def draw_samples(
    experiment: Experiment, steps: Iterable[int], images: int, device: torch.device, tiles: Iterable[int] | None = None
) -> list[list[Sample]]:
    """The random numbers of some steps, for each a list of its tiles; their grids go to the device in one transfer.

    Those of a tile come from (seed, step, its number within the step) alone.

    Args:
        tiles: numbers within the step, from 0 (default: the whole batch).
    """
    tiles = range(experiment.batch) if tiles is None else tiles
    drawn = [[draw_sample(experiment, step, tile, images) for tile in tiles] for step in steps]
    if device.type == "cpu" or experiment.elastic == 0:
        return drawn
    grids = iter(torch.stack([sample.warp.grid for step in drawn for sample in step]).to(device))
    return [[one._replace(warp=one.warp._replace(grid=next(grids))) for one in step] for step in drawn]


def draw_sample(experiment: Experiment, step: int, tile: int, images: int) -> Sample:
    """The random numbers of one tile, on the CPU."""
    seed = derived_seed(experiment.seed, step, tile)
    generator = torch.Generator().manual_seed(seed)
    image = int(torch.randint(images, (1,), generator=generator))
    return Sample(image, draw(generator, experiment.elastic, experiment.zoom), seed + 1)


def derived_seed(seed: int, step: int, tile: int = 0) -> int:
    """A seed for one tile of a step that depends on (seed, step, tile) alone, unlike its neighbours."""
    return int(np.random.SeedSequence([seed, step, tile]).generate_state(1)[0])
