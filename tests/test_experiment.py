"""An experiment is a value: frozen, validated, with a key that later fields leave alone."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from dataclasses import dataclass, fields

import numpy as np
import pytest

from reprolib import sources
from reprolib.data import Dataset
from reprolib.experiment import Experiment, apart_from, choose, held_out_indices, training_indices

NON_DEFAULTS = {
    "data": "dic-hela", "fold": 2, "split": "inner", "images": 3, "variant": "release", "width": 16,
    "dropout": 0.25,
    "skips": False, "padding": "same", "initialisation": "pytorch", "weights": "none", "w0": 5.0,
    "sigma": 3.0,
    "elastic": 0.0, "rotate": False, "grey": 0.0, "flip": True, "optimiser": "adam", "momentum": 0.9,
    "learning_rate": 0.01, "schedule": "cosine", "steps": 10, "tile": 512, "seed": 7,
    "choice": 2, "scale": 0.5, "test": True, "fused": True, "mean_of_flips": True, "connectivity": 8,
}  # fmt: skip
LATER = ("choice", "scale", "test", "fused", "mean_of_flips", "connectivity")  # fields added after the first records
NEEDS = {"padding": {"tile": 512}, "tile": {"padding": "same"}, "choice": {"images": 3}, "fused": {"optimiser": "adam"}}


def blank(folds: tuple[tuple[int, ...], ...], name: str = "toy") -> Dataset:
    count = sum(map(len, folds))
    planes = np.zeros((count, 4, 4), np.uint8)
    names = tuple(f"image {k}" for k in range(count))
    return Dataset(name, planes, planes.astype(np.int32), planes.astype(bool), names, folds, {}, False)


FIVE = blank(tuple(tuple(range(6 * k, 6 * k + 6)) for k in range(5)))


def test_the_defaults_are_the_papers():
    paper = Experiment()
    assert (paper.width, paper.variant, paper.padding, paper.skips) == (64, "paper", "valid", True)
    assert (paper.w0, paper.sigma, paper.elastic, paper.momentum, paper.tile) == (10.0, 5.0, 10.0, 0.99, 572)
    assert (paper.weights, paper.optimiser, paper.initialisation, paper.rotate, paper.flip) == (
        "full", "sgd", "paper", True, False,
    )  # fmt: skip
    assert paper.departures() == {}


def test_the_key_of_a_known_experiment_never_changes():
    assert Experiment(width=16, optimiser="adam").key == "ee7f6bbd81af2c66"
    assert Experiment().key == "44136fa355b3678a"
    earlier = {name: value for name, value in NON_DEFAULTS.items() if name not in LATER}
    assert Experiment(**earlier).key == "9062ac8ccbfce177"
    assert Experiment(**NON_DEFAULTS).key == "f61a23dbad91f6c4"


def test_the_key_is_the_hash_of_the_departures_in_alphabetical_order():
    text = '{"optimiser": "adam", "width": 16}'
    assert Experiment(width=16, optimiser="adam").key == hashlib.sha256(text.encode()).hexdigest()[:16]
    assert Experiment(optimiser="adam", width=16).key == hashlib.sha256(text.encode()).hexdigest()[:16]


def test_defaults_written_out_leave_the_key_alone():
    short = Experiment(width=16)
    assert Experiment(width=16, momentum=0.99, sigma=5, seed=0) == short
    assert Experiment(width=16, momentum=0.99, sigma=5, seed=0).key == short.key
    assert Experiment(**short.to_dict()).key == short.key


def test_a_field_added_later_leaves_the_keys_of_earlier_records_alone():
    @dataclass(frozen=True)
    class Later(Experiment):
        colour: str = "grey"

    assert Later(width=16).key == Experiment(width=16).key
    assert Later(width=16, colour="red").key != Experiment(width=16).key


def test_every_field_changes_the_key():
    assert NON_DEFAULTS.keys() == {field.name for field in fields(Experiment)}
    keys = {
        Experiment().key,
        *(Experiment(**{name: NON_DEFAULTS[name]} | NEEDS.get(name, {})).key for name in NON_DEFAULTS),
    }
    assert len(keys) == len(NON_DEFAULTS)  # "padding" and "tile" make the same one; and the paper's


def test_an_experiment_is_hashable_and_frozen():
    assert len({Experiment(), Experiment(width=64), Experiment(width=32)}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        Experiment().width = 32


def test_departures_hold_what_differs_in_the_order_of_declaration():
    assert list(Experiment(seed=3, width=16, data="dic-hela").departures().items()) == [
        ("data", "dic-hela"), ("width", 16), ("seed", 3),
    ]  # fmt: skip


def test_to_dict_and_back_is_the_same_experiment():
    for experiment in (Experiment(), Experiment(**NON_DEFAULTS)):
        assert Experiment.from_dict(experiment.to_dict()) == experiment
    assert Experiment.from_dict({"width": 16}) == Experiment(width=16)


def test_whole_numbers_are_taken_for_floats_and_stored_as_floats():
    assert type(Experiment(sigma=3).sigma) is float
    assert Experiment(sigma=3).key == Experiment(sigma=3.0).key


def test_replace_changes_a_copy():
    paper = Experiment()
    assert paper.replace(width=16) == Experiment(width=16)
    assert paper == Experiment()


@pytest.mark.parametrize(
    ("name", "near"),
    [("widht", "width"), ("learningrate", "learning_rate"), ("optimizer", "optimiser"), ("step", "steps")],
)
def test_an_unknown_field_is_refused_with_the_nearest_name(name, near):
    for refuse in (lambda: Experiment().replace(**{name: 1}), lambda: Experiment.from_dict({name: 1})):
        with pytest.raises(ValueError, match=rf"'{name}' is unknown.*did you mean '{near}'\?"):
            refuse()


@pytest.mark.parametrize(
    ("name", "value", "near"),
    [
        ("variant", "papr", "paper"), ("padding", "vallid", "valid"), ("initialisation", "torch", "pytorch"),
        ("weights", "ful", "full"), ("optimiser", "Adam", "adam"), ("schedule", "cos", "cosine"),
        ("split", "folds", "fold"),
    ],
)  # fmt: skip
def test_an_unknown_choice_is_refused_with_the_nearest_one(name, value, near):
    with pytest.raises(ValueError, match=rf"{name} '{value}' is unknown: choose one of .*did you mean '{near}'\?"):
        Experiment(**{name: value})


def test_a_name_like_no_other_is_refused_without_a_guess():
    with pytest.raises(ValueError, match=r"unknown: choose one of sgd, adam$"):
        Experiment(optimiser="zzz")
    assert choose("letter", "a", ("a", "b")) == "a"


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("width", 16.0, "int"), ("width", "16", "int"), ("width", True, "int"), ("skips", 1, "bool"),
        ("skips", "false", "bool"),
        ("sigma", "5", "float"), ("sigma", True, "float"), ("data", None, "str"), ("tile", None, "int"),
        ("learning_rate", np.float32(0.1), "float"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(name, value, wanted):
    with pytest.raises(ValueError, match=rf"^{name} must be {wanted}, not {type(value).__name__}"):
        Experiment(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fold", 0), ("images", -1), ("width", 0), ("width", 2000), ("dropout", 1.0), ("dropout", -0.1),
        ("w0", -1.0),
        ("sigma", 0.0), ("elastic", -1.0), ("grey", 1.0), ("momentum", 1.0), ("learning_rate", 0.0),
        ("learning_rate", math.nan), ("learning_rate", math.inf), ("learning_rate", -1e-3), ("steps", 0),
        ("seed", -1),
        ("seed", 2**31), ("sigma", math.nan), ("w0", math.inf),
    ],
)  # fmt: skip
def test_a_number_out_of_range_is_refused(name, value):
    with pytest.raises(ValueError, match=f"^{name} must be .* or more"):
        Experiment(**{name: value})


def test_a_tile_that_does_not_fit_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="nearest: 556 and 572"):
        Experiment(tile=570)
    with pytest.raises(ValueError, match="nearest: 560 and 576"):
        Experiment(padding="same")
    with pytest.raises(ValueError, match="nearest: 508 and 524"):
        Experiment(tile=512)
    assert Experiment(padding="same", tile=512).tile == 512


# --- folds ----------


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


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"choice": 1}, "choice says which few images train: give their number too"),
        ({"choice": 6, "images": 2}, "^choice must be 0 or more, at most 5, not 6"),
        ({"fused": True}, "fused is Adam's: leave it out with optimiser=sgd"),
        ({"connectivity": 6}, "connectivity must be 4 or 8, not 6"),
        ({"scale": 0.0}, "^scale must be"), ({"scale": 1.5}, "^scale must be"), ({"scale": math.nan}, "^scale must be"),
    ],
)  # fmt: skip
def test_a_field_without_what_it_needs_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Experiment(**fields)
    assert Experiment(connectivity=8, fused=True, optimiser="adam", choice=5, images=1).connectivity == 8
