"""A recipe for images of one's own: what a network for them needs, read off the images; steps as time allows."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from reprolib import sampling, train
from reprolib.data.dataset import Dataset
from reprolib.errors import InputError
from reprolib.experiment import Experiment
from reprolib.files import cache_folder, write_text
from reprolib.geometry import VALID
from reprolib.resample import scaled_sides
from reprolib.runs import processes
from reprolib.runs.machine import choose_device

WIDEST = 90.0  # px, of an object's longer side: about half of what the network sees at once
LEAST = 0.05  # scale that an experiment takes
TILE = 380  # px
WARM, TIMED = 3, 8  # steps of the probe
FEWEST, MOST = 100, 60_000  # steps
SHARE = 0.9  # of the time is for steps; the rest for scores


def recipe(dataset: Dataset, minutes: float, fields: Mapping[str, object], device: str = "auto") -> Experiment:
    """The experiment for a data set of one's own, with the steps that the time allows on this machine.

    The images are reduced until the median object is at most WIDEST px long; the border term alone weighs, since
    objects are few in some images; grey values vary by 30 %, images are mirrored, predictions are the mean of four
    mirror images: what the book's cell networks have (chapter 9).

    The steps are chosen once: what a probe of some steps took is kept in the cache folder, so that the same command
    goes on with the same experiment. The record holds them.

    Args:
        minutes: for the training, above 0.
        fields: of the experiment, set by the user; they go before the recipe's. With ``steps`` there is no probe.

    Raises:
        InputError: if minutes or a field is out of range.
    """
    if not 0 < minutes < math.inf:
        raise InputError(f"minutes must be above 0 and finite, not {minutes}")
    side = 1.0 if dataset.classes else max(longest_side(dataset), 1.0)  # classes are regions of any size
    scale = float(f"{min(1.0, max(LEAST, WIDEST / side)):.2g}")
    largest = max(max(scaled_sides(dataset.image(k).shape[:2], scale)) for k in range(len(dataset.images)))
    chosen = {
        "data": dataset.name,
        "fold": 1,
        "channels": dataset.channels,
        "normalisation": "percentiles",
        "width": 16,
        "scale": scale,
        "tile": min(TILE, VALID.covering(largest)),
        "weights": "balanced" if dataset.classes else "borders",
        "classes": len(dataset.classes),
        "grey": 0.3,
        "flip": True,
        "mean_of_flips": True,
        "connectivity": 8,
        "optimiser": "adam",
        "fused": True,
        "schedule": "cosine",
    }
    experiment = Experiment(**(chosen | dict(fields)))
    if "steps" in fields:
        return experiment
    several = [processes.count()] if processes.count() > 1 else []
    name = hashlib.sha256(json.dumps([experiment.key, minutes, device, *several]).encode()).hexdigest()[:16]
    kept = cache_folder() / "probes" / f"{name}.json"
    if not processes.from_first(kept.exists):
        steps = round(SHARE * 60 * minutes / seconds_a_step(experiment, dataset, device))  # all take their part in it
        if processes.number() == 0:
            write_text(kept, json.dumps({"steps": min(MOST, max(FEWEST, steps))}) + "\n")
    steps = processes.from_first(lambda: json.loads(kept.read_text(encoding="utf-8"))["steps"])
    return experiment.replace(steps=steps)


def longest_side(dataset: Dataset) -> float:
    """Median, over the objects, of the longer side of the box around each, px; 0 where there is none."""
    boxes = [box for labels in dataset.instances for box in ndimage.find_objects(labels) if box is not None]
    return float(np.median([max(part.stop - part.start for part in box) for box in boxes])) if boxes else 0.0


def seconds_a_step(experiment: Experiment, dataset: Dataset, device: str = "auto") -> float:
    """What a step takes here: a few are run and thrown away."""
    chosen = choose_device(device)
    samples, state = sampling.prepare(experiment, dataset, chosen), train.initial_state(experiment, chosen)
    tiles = processes.share(experiment.batch)
    drawn = sampling.draw_samples(experiment, range(1, WARM + TIMED + 1), len(samples), chosen, tiles)
    for number, one in enumerate(drawn, start=1):
        if number == WARM + 1:
            begin = time.perf_counter()
        float(train.train_step(experiment, state, samples, number, one))  # waits for a GPU
    return (time.perf_counter() - begin) / TIMED
