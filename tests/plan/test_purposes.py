"""The protocol's runs: arms differ in one thing, nothing is scored on what trained, the plan counts what is there."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from invented import held_out, record

from reprolib.claims import done
from reprolib.data.dataset import Dataset, blocks
from reprolib.data.sources import SOURCES
from reprolib.experiment import parse_fields
from reprolib.own.folder import SHOWN, find_own
from reprolib.own.recipe import recipe
from reprolib.plan import purposes, recipes, runner
from reprolib.runs import records
from reprolib.splits import held_out_indices, training_indices

PURPOSES = purposes.purposes()
RUNS = list(dict.fromkeys(run for purpose in PURPOSES for run in purpose.runs))
PROTOCOL = [purpose for purpose in PURPOSES if purpose.priority]


def outline(name: str) -> Dataset:
    """A data set of the right names and folds, without pixels."""
    if name == "isbi2012":
        names, folds = [f"slice {k:02d}" for k in range(30)], blocks(30, 5)
    else:
        videos = [SOURCES[name].arrays[f"{video}_GT/SEG"].numbers for video in ("01", "02")]
        names = [f"{k:02d}/t{number:03d}" for k, numbers in enumerate(videos, 1) for number in numbers]
        folds = (tuple(range(len(videos[0]))), tuple(range(len(videos[0]), len(names))))
    images = np.zeros((len(names), 1, 1), np.uint8)
    return Dataset(name, images, images.astype(np.int32), images > 0, tuple(names), folds, {}, phantom=True)


def in_five_folds(count: int) -> Dataset:
    """A data set of so many images in five folds, without pixels."""
    images = np.zeros((count, 1, 1), np.uint8)
    names = tuple(f"image {k}" for k in range(count))
    return Dataset("own", images, images.astype(np.int32), images > 0, names, blocks(count, 5), {}, phantom=True)


NUCLEI = recipes.own_nuclei()
SETS = {name: outline(name) for name in SOURCES} | {NUCLEI.data: find_own(NUCLEI.data)[1]}
SETS |= {recipes.NUCLEI["fluorescence"]: in_five_folds(24), recipes.NUCLEI["histology"]: in_five_folds(16)}


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_every_run_can_be_made_and_is_scored_on_nothing_that_it_trains_on(run):
    held_out, training = (function(run, SETS[run.data]) for function in (held_out_indices, training_indices))
    assert training and not set(held_out) & set(training)
    assert held_out or run.test


def test_the_nuclei_network_is_the_recipes_for_the_images_that_the_project_holds():
    assert recipe(SETS[NUCLEI.data], 15, {"width": 8, "steps": NUCLEI.steps}) == NUCLEI
    assert find_own("own-nuclei-0000000000000000") is None and find_own("own-elsewhere-47cbe34b288b8183") is None
    for run in (NUCLEI, NUCLEI.replace(fold=5, normalisation="standard", grey=0.1)):  # defaults, but not the recipe's
        words = runner.Task(run, False, True).command(Path("to"))
        fields = parse_fields([word for word in words[words.index("train") + 1 :] if "=" in word])
        assert recipe(SETS[NUCLEI.data], 15, fields) == run
    command = runner.Task(NUCLEI, False, True).command(Path("to"))
    assert command[command.index("--images") + 1] == str(SHOWN / "nuclei") and not any("data=" in w for w in command)


@pytest.mark.parametrize("data", recipes.NUCLEI.values())
def test_the_folds_of_nuclei_are_trained_by_the_recipe_for_these_images_with_no_option_set(data):
    if not (place := find_own(data)):
        pytest.skip(f"{data} is not on this machine")
    run = recipes.own_fold(data, 1)
    assert recipe(place[1], 15, {"steps": run.steps}) == run
    assert [len(fold) for fold in place[1].folds] == [len(fold) for fold in SETS[data].folds]


def test_in_thirds_no_frame_trains_that_is_within_five_frames_of_a_scored_one():
    for run in RUNS:
        if run.split not in ("thirds", "inner-thirds", "parts"):
            continue
        names = SETS[run.data].names
        scored, trained = (
            [(names[index][:2], int(names[index][4:])) for index in function(run, SETS[run.data])]
            for function in (held_out_indices, training_indices)
        )
        for (video, frame), (other, at) in itertools.product(scored, trained):
            assert video != other or abs(frame - at) > 5, run


def test_the_choices_of_few_slices_share_none_and_those_of_many_leave_one_fold_out_each():
    for slices in (2, 6):
        chosen = [training_indices(recipes.few_slices(slices, choice), SETS["isbi2012"]) for choice in recipes.CHOICES]
        assert {len(one) for one in chosen} == {slices}
        assert len(set(itertools.chain(*chosen))) == 5 * slices
    left_out = [held_out_indices(recipes.few_slices(24, choice), SETS["isbi2012"]) for choice in recipes.CHOICES]
    assert sorted(itertools.chain(*left_out)) == list(range(30))


def test_primary_claims_are_at_most_eight_each_with_five_pairs_that_differ_in_the_arm_alone():
    claims = recipes.primary_claims()
    assert len(claims) <= 8 and len({claim.claim for claim in claims}) == len(claims)
    for claim in claims:
        assert len(claim.having) == len(claim.lacking) == 5
        differing = set()
        for a, b in zip(claim.having, claim.lacking, strict=True):
            assert (a.data, a.split, a.fold, a.images, a.choice, a.seed, a.test) == (
                b.data, b.split, b.fold, b.images, b.choice, b.seed, b.test,
            )  # fmt: skip
            differing.add(frozenset(k for k, v in a.to_dict().items() if getattr(b, k) != v))
        assert len(differing) == 1, "the pairs of a claim differ in the same fields"
        if "sliding window" not in claim.claim:  # another network has other steps, for as much time
            assert "steps" not in next(iter(differing))
        assert claim.delta == recipes.DELTA[claim.metric]


def test_training_sets_that_share_images_have_the_overlap_of_what_is_left_out():
    for claim in recipes.primary_claims():
        sets = [set(training_indices(run, SETS[run.data])) for run in claim.having]
        disjoint = all(not a & b for a, b in itertools.combinations(sets, 2))
        left_out = len(held_out_indices(claim.having[0], SETS[claim.having[0].data])) / len(sets[0])
        assert claim.overlap == (0 if disjoint else left_out)


def test_the_headline_is_five_seeds_of_one_recipe_on_all_slices_with_rotations():
    table_1 = PROTOCOL[0]
    assert table_1.rotations and [run.seed for run in table_1.runs] == list(range(5))
    assert {run.replace(seed=0) for run in table_1.runs} == {recipes.em_test(0)}
    assert [run.key for run in table_1.runs][:2] == ["e882f2cbddaffad4", "9a5fcd855e2ec791"]  # as committed first


def test_doubling_the_steps_changes_nothing_else():
    for purpose in PROTOCOL:
        if "twice the steps" in purpose.name:
            short, long = purpose.runs[:3], purpose.runs[3:]
            assert [run.replace(steps=2 * run.steps) for run in short] == list(long)


def test_no_run_takes_more_than_two_hours_but_those_that_double_the_steps():
    for purpose in PROTOCOL:
        if "twice the steps" not in purpose.name and "trials" not in purpose.name:
            assert max(purposes.minutes(run, purpose.rotations) for run in purpose.runs) <= 120, purpose.name


def test_weights_that_are_kept_stay_below_the_limit():
    kept = {run for purpose in PROTOCOL for run in purpose.kept}
    assert sum(15.6 * (run.width / 32) ** 2 for run in kept) < 120  # MB


def test_the_plan_counts_a_run_once_and_what_a_folder_holds_as_done(tmp_path):
    before = purposes.table((tmp_path,))
    assert sum(row[1] for row in before) == sum(row[2] for row in before) == len(RUNS)
    first = purposes.ordered()[0].runs[0]
    (tmp_path / f"{first.name}.json").touch()
    after = purposes.table((tmp_path,))
    assert after[0][2] == before[0][2] - 1 and after[0][4] < before[0][4]
    assert str(len(RUNS)) in purposes.text(tmp_path).splitlines()[-1]


def test_published_names_are_purposes():
    assert {purpose.name for purpose in PURPOSES} >= purposes.PUBLISHED


def test_a_training_is_done_if_twice_the_steps_change_the_mean_of_three_seeds_by_less_than_delta(monkeypatch):
    em = recipes.doubled()[0]
    scores: dict = {}

    def available(runs):
        return [record(run, held_out({"v_rand": scores[run]})) for run in runs if run in scores]

    monkeypatch.setattr(records, "available", available)
    assert done.is_done(em) is None and "not run yet" in done.table()
    scores |= dict(zip(em.short, (0.95, 0.96, 0.97), strict=True))
    assert done.is_done(em) is None
    scores |= dict(zip(em.long, (0.94, 0.96, 0.985), strict=True))
    assert done.change(em) == pytest.approx((0.96, 0.961667), abs=1e-6) and done.is_done(em) is True
    scores[em.long[0]] = 0.99
    assert done.is_done(em) is False and "not done" in done.table()


@pytest.mark.parametrize("doubled", recipes.doubled(), ids=lambda doubled: doubled.name)
def test_a_recorded_headline_recipe_is_done(doubled):
    if done.is_done(doubled) is None:
        pytest.skip("not all of its runs are recorded")
    assert done.is_done(doubled)
