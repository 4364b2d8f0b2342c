"""The plan of runs: what it names is what is recorded, and it stays within its budget."""

from __future__ import annotations

import numpy as np
import pytest

from reprolib import catalogue, plan, records
from reprolib.data import Dataset, blocks
from reprolib.experiment import Experiment, held_out_indices, training_indices
from reprolib.sources import SOURCES

PLAN = catalogue.plan()


def test_every_record_belongs_to_the_plan():
    planned = {records.record_name(run) for purpose in plan.purposes() for run in purpose.runs}
    assert {path.stem for path in records.PUBLISHED.glob("*.json")} <= planned


def test_the_weights_that_are_kept_are_those_that_the_plan_says():
    kept = catalogue.kept_runs()
    assert sum(len(PLAN[name]) for name in catalogue.HEADLINE) == 9 and len(kept) == 11
    for path in records.PUBLISHED.glob("*.json"):
        record = records.read(path)
        run = Experiment.from_dict(record["experiment"])
        wanted = any(run in purpose.kept for purpose in plan.purposes())
        assert record["weights"]["kept"] == wanted, path.stem


@pytest.mark.parametrize("name", list(catalogue.ablations())[1:])
def test_an_ablation_differs_from_the_baseline_in_what_its_name_says(name):
    base, changed = (catalogue.ablations()[which].to_dict() for which in ("baseline", name))
    differs = {field for field in base if base[field] != changed[field]}
    expected = {
        "class balance only": {"weights"}, "border term only": {"weights"}, "no weight map": {"weights"},
        "no elastic deformation": {"elastic"}, "no augmentation": {"elastic", "rotate", "grey"},
        "no dropout": {"dropout"},
        "no skip connections": {"skips"}, "same padding": {"padding", "tile"},
        "PyTorch's initialisation": {"initialisation"}, "SGD, momentum 0.99": {"optimiser"},
        "the release's variant": {"variant"},
    }  # fmt: skip
    assert differs == expected[name]


def test_the_full_width_network_differs_in_width_alone():
    wide, narrow = catalogue.full_width().to_dict(), catalogue.em(5).to_dict()
    assert {field for field in wide if wide[field] != narrow[field]} == {"width"} and wide["width"] == 64


def test_fewer_images_end_with_all_of_them():
    assert all(run.images == (n if n < 24 else 0) for n, runs in catalogue.few_images().items() for run in runs)
    assert all(run.images == (n if n < 9 else 0) for n, runs in catalogue.few_frames().items() for run in runs)


def blank(name: str, folds: tuple[tuple[int, ...], ...]) -> Dataset:
    """A data set of the right shape in number and folds alone."""
    count = sum(map(len, folds))
    images = np.zeros((count, 1, 1), np.uint8)
    names = tuple(map(str, range(count)))
    return Dataset(name, images, images.astype(np.int32), images > 0, names, folds, {}, phantom=True)


def test_no_run_is_scored_on_what_it_trains_on_and_every_run_can_be_made():
    sets = {"isbi2012": blocks(30, 5)}
    for name in catalogue.CELLS:
        first, second = (len(SOURCES[name].arrays[f"{video}_GT/SEG"].numbers) for video in ("01", "02"))
        sets[name] = (tuple(range(first)), tuple(range(first, first + second)))
    for run in {run for group in PLAN.values() for run in group}:
        images = blank(run.data, sets[run.data])
        held_out, training = held_out_indices(run, images), training_indices(run, images)
        assert held_out and training and not set(held_out) & set(training)
