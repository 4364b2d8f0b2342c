"""Trainings of seconds, and what of them must be the same bits."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch

from reprolib import train
from reprolib.data.dataset import Dataset
from reprolib.experiment import Experiment
from reprolib.runs.checkpoints import State

CPU = torch.device("cpu")
SMALL = Experiment(data="phantom-dic", fold=2, width=2, tile=188, steps=6)


def tiny(name: str = "phantom-dic") -> Dataset:
    """Three images of 64 x 64 px: two bright cells that touch, on a dark noisy ground, partly annotated."""
    rng = np.random.default_rng(0)
    instances = np.zeros((3, 64, 64), np.int32)
    for k in range(3):
        instances[k, 6 + 4 * k : 30 + 4 * k, 8:56] = 1
        instances[k, 30 + 4 * k : 50 + 4 * k, 8:56] = 2
    images = (np.where(instances > 0, 180, 60) + rng.normal(0, 8, instances.shape)).round().astype(np.uint8)
    ignore = np.zeros(instances.shape, bool)
    ignore[:, :, :5] = True
    return Dataset(name, images, instances, ignore, ("a", "b", "c"), ((0,), (2,)), {"images": "0" * 64}, True)


def bits(state: State) -> dict[str, torch.Tensor]:
    """All that goes on with a training: weights, the optimiser's memory, losses."""
    found = dict(state.model.state_dict())
    for index, slots in state.optimiser.state_dict()["state"].items():
        found |= {f"{index}.{name}": value for name, value in slots.items()}
    return found | {"losses": torch.tensor(state.losses, dtype=torch.float64)}


def same(one: State, other: State) -> bool:
    a, b = bits(one), bits(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def run(experiment: Experiment, steps: int, checkpoint: Path | None = None) -> State:
    torch.manual_seed(time.time_ns() % 2**31)  # whatever went on before must not matter
    return train.run_steps(experiment, tiny(), CPU, steps, checkpoint=checkpoint)
