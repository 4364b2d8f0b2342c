"""The plan of runs: what it names is what is recorded, and no run is scored on what it trains on."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from reprolib import train
from reprolib.claims import method
from reprolib.data.dataset import Dataset, blocks
from reprolib.data.sources import SOURCES
from reprolib.plan import catalogue, purposes
from reprolib.runs import records
from reprolib.splits import held_out_indices, training_indices

PLAN = catalogue.plan()


def test_every_record_belongs_to_the_plan():
    planned = {run.name for purpose in purposes.purposes() for run in purpose.runs}
    assert {path.stem for path in records.PUBLISHED.glob("*.json")} <= planned


def test_the_weights_that_are_kept_are_those_that_the_plan_says():
    for path in records.PUBLISHED.glob("*.json"):
        record = records.read(path)
        wanted = any(record.experiment in purpose.kept for purpose in purposes.purposes())
        assert record.weights.kept == wanted, path.stem


def blank(name: str) -> Dataset:
    """A data set of the right shape in number and folds alone."""
    if name == "isbi2012":
        folds = blocks(30, 5)
    else:
        first, second = (len(SOURCES[name].arrays[f"{video}_GT/SEG"].numbers) for video in ("01", "02"))
        folds = (tuple(range(first)), tuple(range(first, first + second)))
    count = sum(map(len, folds))
    images = np.zeros((count, 1, 1), np.uint8)
    names = tuple(map(str, range(count)))
    return Dataset(name, images, images.astype(np.int32), images > 0, names, folds, {}, phantom=True)


SETS = {name: blank(name) for name in ("isbi2012", *catalogue.CELLS)}


def scored_and_trained(run) -> tuple[set[int], set[int]]:
    """The images that a run is scored on, and those that it trains on."""
    return set(held_out_indices(run, SETS[run.data])), set(training_indices(run, SETS[run.data]))


def test_no_run_is_scored_on_what_it_trains_on_and_every_run_can_be_made():
    for run in {run for group in PLAN.values() for run in group}:
        held_out, training = scored_and_trained(run)
        assert held_out and training and not held_out & training


@pytest.mark.parametrize("fold", catalogue.VIDEOS)
@pytest.mark.parametrize("data", catalogue.CELLS)
def test_the_trials_of_a_cell_recipe_never_see_the_video_that_its_headline_run_is_scored_on(data, fold):
    scored, trained = scored_and_trained(catalogue.cells(data, fold))
    assert scored | trained == set(range(len(SETS[data].images)))  # a whole video each
    for trial in catalogue.cell_trials(data, fold).values():
        seen = set.union(*scored_and_trained(trial))
        assert seen == trained and not seen & scored


@pytest.mark.parametrize(
    "kinds", [catalogue.em_ablations(), catalogue.long_ablations(), catalogue.long_hela_ablations()]
)
def test_an_ablation_is_another_training_on_the_images_of_its_baseline(kinds):
    for one in zip(*kinds.values(), strict=True):
        assert len({run.replace(seed=0).key for run in one}) == len(kinds), "two of them are the same"
        for run in one:
            assert run.seed == one[0].seed and scored_and_trained(run) == scored_and_trained(one[0])


def test_the_full_width_network_has_the_papers_31_million_weights():
    with torch.device("meta"):
        model = train.build(catalogue.full_width())
    assert sum(parameter.numel() for parameter in model.parameters()) == method.PARAMETERS


@pytest.mark.parametrize(("series", "every"), [(catalogue.few_images(), 24), (catalogue.few_frames(), 9)])
def test_fewer_images_are_among_more_and_end_with_all_of_them(series, every):
    by_number = {n: [scored_and_trained(run)[1] for run in runs] for n, runs in series.items()}
    assert all(len(trained) == n for n, seeds in by_number.items() for trained in seeds)
    assert max(by_number) == every and list(by_number) == sorted(by_number)
    for few, more in itertools.pairwise(by_number.values()):
        assert all(a < b for a, b in zip(few, more, strict=True))
    full = series[every][0]
    assert scored_and_trained(full) == scored_and_trained(full.replace(images=0))
