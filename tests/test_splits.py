"""Which images train and which are scored: folds, thirds and parts of videos, a few images."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from reprolib.data import sources
from reprolib.data.dataset import Dataset
from reprolib.experiment import Experiment
from reprolib.splits import apart_from, held_out_indices, training_indices


def blank(folds: tuple[tuple[int, ...], ...], name: str = "toy") -> Dataset:
    count = sum(map(len, folds))
    planes = np.zeros((count, 4, 4), np.uint8)
    names = tuple(f"image {k}" for k in range(count))
    return Dataset(name, planes, planes.astype(np.int32), planes.astype(bool), names, folds, {}, False)


FIVE = blank(tuple(tuple(range(6 * k, 6 * k + 6)) for k in range(5)))


@pytest.mark.parametrize("fold", [1, 2, 3, 4, 5])
def test_a_fold_trains_on_all_that_it_does_not_hold_out(fold):
    experiment = Experiment(fold=fold)
    held_out, training = held_out_indices(experiment, FIVE), training_indices(experiment, FIVE)
    assert held_out == FIVE.folds[fold - 1]
    assert not set(held_out) & set(training)
    assert sorted(held_out + training) == list(range(30))


@pytest.mark.parametrize("fold", [1, 2, 3, 4, 5])
def test_the_inner_split_never_sees_the_outer_fold(fold):
    experiment = Experiment(fold=fold, split="inner")
    held_out, training = held_out_indices(experiment, FIVE), training_indices(experiment, FIVE)
    outer = set(FIVE.folds[fold - 1])
    assert not outer & set(held_out) and not outer & set(training) and not set(held_out) & set(training)
    assert len(held_out) == 6 and len(training) == 18
    assert held_out == FIVE.folds[(fold - 2) % 5]  # the fold before; before the first comes the last


def test_fewer_images_are_the_first_ones():
    every = training_indices(Experiment(fold=1), FIVE)
    assert training_indices(Experiment(fold=1, images=4), FIVE) == every[:4]
    assert training_indices(Experiment(fold=1, images=24), FIVE) == every
    with pytest.raises(ValueError, match="fold 1 of toy has 24 training images, not 25"):
        training_indices(Experiment(fold=1, images=25), FIVE)


def test_a_fold_that_is_not_there_is_refused():
    for function in (held_out_indices, training_indices):
        with pytest.raises(ValueError, match="toy has no fold 6: choose 1 to 5"):
            function(Experiment(fold=6), FIVE)


def test_an_inner_split_of_two_videos_scores_the_last_third_of_the_one_that_trains():
    videos = blank((tuple(range(9)), tuple(range(9, 28))))
    second, first = (Experiment(fold=fold, split="inner") for fold in (2, 1))
    assert held_out_indices(second, videos) == (6, 7, 8) and training_indices(second, videos) == tuple(range(6))
    assert held_out_indices(first, videos) == tuple(range(21, 28))
    assert training_indices(first, videos) == tuple(range(9, 21))


def test_the_blocks_split_holds_out_a_third_of_every_video_and_trains_on_the_rest_of_both():
    videos = blank((tuple(range(9)), tuple(range(9, 28))))
    seen = []
    for fold in (1, 2, 3):
        experiment = Experiment(fold=fold, split="blocks")
        held_out, training = held_out_indices(experiment, videos), training_indices(experiment, videos)
        assert sorted(held_out + training) == list(range(28))
        first = [index for index in held_out if index < 9]
        assert first == list(range(3 * fold - 3, 3 * fold))
        assert np.diff(held_out).tolist().count(1) == len(held_out) - 2  # two contiguous runs, one per video
        seen += held_out
    assert sorted(seen) == list(range(28))
    with pytest.raises(ValueError, match="choose 1 to 3"):
        held_out_indices(Experiment(fold=4, split="blocks"), videos)


# --- splits of videos, told by brute force over pairs of frames


def video(name: str) -> Dataset:
    """The gold frames of a published cell set by name and fold, without their pixels."""
    numbers = [sources.SOURCES[name].arrays[f"{k:02d}_GT/SEG"].numbers for k in (1, 2)]
    first = len(numbers[0])
    folds = (tuple(range(first)), tuple(range(first, first + len(numbers[1]))))
    names = tuple(f"{k:02d}/t{number:03d}" for k, video in enumerate(numbers, 1) for number in video)
    return dataclasses.replace(blank(folds, name), names=names)


def near(dataset: Dataset, one: int, other: int) -> bool:
    """Whether two images are of one video and at most 5 frames apart."""
    (video, frame), (its, number) = (dataset.names[index].split("/t") for index in (one, other))
    return video == its and abs(int(frame) - int(number)) <= 5


SETS = pytest.mark.parametrize("name", ["phc-u373", "dic-hela"])


@SETS
@pytest.mark.parametrize("fold", [1, 2, 3])
def test_thirds_train_on_every_frame_that_is_not_near_a_scored_one_and_on_no_other(name, fold):
    dataset, experiment = video(name), Experiment(fold=fold, split="thirds")
    held_out, training = held_out_indices(experiment, dataset), training_indices(experiment, dataset)
    assert held_out == held_out_indices(experiment.replace(split="blocks"), dataset)
    for index in range(len(dataset.names)):
        assert (index in training) == (not any(near(dataset, index, scored) for scored in held_out))


@SETS
@pytest.mark.parametrize("fold", [1, 2, 3])
def test_inner_thirds_neither_train_on_nor_score_what_is_near_the_frames_that_thirds_score(name, fold):
    dataset, experiment = video(name), Experiment(fold=fold, split="inner-thirds")
    held_out, training = held_out_indices(experiment, dataset), training_indices(experiment, dataset)
    outer = experiment.replace(split="thirds")
    scored = held_out_indices(outer, dataset)
    assert held_out and training and {*held_out, *training} <= set(training_indices(outer, dataset))
    for index in training:
        assert not any(near(dataset, index, other) for other in (*held_out, *scored))
    for index in held_out:
        assert not any(near(dataset, index, other) for other in scored)


@SETS
def test_five_parts_train_on_every_frame_once_and_score_no_frame_near_them(name):
    dataset, seen = video(name), []
    for fold in range(1, 6):
        experiment = Experiment(fold=fold, split="parts")
        held_out, training = held_out_indices(experiment, dataset), training_indices(experiment, dataset)
        seen += training
        assert {dataset.names[index][:2] for index in training} == {"01", "02"}
        for index in range(len(dataset.names)):
            assert (index in held_out) == (not any(near(dataset, index, trained) for trained in training))
    assert sorted(seen) == list(range(len(dataset.names)))


def test_frames_of_two_videos_with_one_number_are_not_near_and_frames_of_a_stack_are_by_their_place():
    two = dataclasses.replace(blank(((0,), (1,))), names=("01/t007", "02/t007"))
    assert apart_from(two, (0,)) == (1,)
    assert apart_from(blank((tuple(range(20)),)), (9,)) == (*range(4), *range(15, 20))


def test_a_split_that_leaves_no_image_to_train_on_is_refused():
    with pytest.raises(ValueError, match="toy has no image left to train on when fold 1 is held out"):
        training_indices(Experiment(fold=1, split="thirds"), FIVE)  # 6 slices a fold: each is near a scored one
    for split, last in (("thirds", 3), ("inner-thirds", 3), ("parts", 5)):
        with pytest.raises(ValueError, match=f"phc-u373 has no fold {last + 1}: choose 1 to {last}"):
            training_indices(Experiment(fold=last + 1, split=split), video("phc-u373"))


def test_a_training_on_all_images_holds_none_out_and_takes_no_fold():
    experiment = Experiment(split="all")
    assert held_out_indices(experiment, FIVE) == ()
    assert training_indices(experiment, FIVE) == tuple(range(30))
    with pytest.raises(ValueError, match="split=all holds no fold out: leave fold out"):
        Experiment(split="all", fold=2)


# --- few images


@pytest.mark.parametrize("images", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("count", [30, 34, 61])
def test_five_choices_of_few_images_share_none_and_each_is_spread_over_the_stack(images, count):
    stack = blank((tuple(range(count)),))
    choices = [training_indices(Experiment(split="all", images=images, choice=k), stack) for k in range(1, 6)]
    taken = [index for choice in choices for index in choice]
    assert [len(set(choice)) for choice in choices] == [images] * 5
    assert len(set(taken)) == 5 * images and 0 <= min(taken) and max(taken) < count
    for choice in choices:
        assert set(np.diff(choice)) <= {count // images}  # as far apart as so many equal steps can be
    assert len(set(np.diff([choice[0] for choice in choices]))) == 1


def test_choice_0_takes_the_first_images_and_choices_come_from_the_training_images_alone():
    assert training_indices(Experiment(split="all", images=3), FIVE) == (0, 1, 2)
    for choice in range(1, 6):
        few = training_indices(Experiment(fold=2, images=2, choice=choice), FIVE)
        assert set(few) <= set(training_indices(Experiment(fold=2), FIVE))


def test_more_images_than_five_choices_can_part_are_refused():
    with pytest.raises(ValueError, match="7 of 30 images leave no 5 choices that share none: take fewer"):
        training_indices(Experiment(split="all", images=7, choice=1), FIVE)
