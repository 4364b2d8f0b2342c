"""An experiment is a value: frozen, validated, with a key that later fields leave alone."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from dataclasses import dataclass, fields

import numpy as np
import pytest

from reprolib.errors import check_choice
from reprolib.experiment import Experiment, parse_fields

NON_DEFAULTS = {
    "data": "dic-hela", "fold": 2, "split": "inner", "images": 3, "variant": "release", "width": 16,
    "dropout": 0.25,
    "skips": False, "padding": "same", "initialisation": "pytorch", "weights": "none", "w0": 5.0,
    "sigma": 3.0,
    "elastic": 0.0, "rotate": False, "grey": 0.0, "flip": True, "optimiser": "adam", "momentum": 0.9,
    "learning_rate": 0.01, "schedule": "cosine", "steps": 10, "tile": 512, "seed": 7,
    "choice": 2, "scale": 0.5, "test": True, "fused": True, "mean_of_flips": True, "connectivity": 8,
    "start": "0123456789abcdef", "channels": "rgb", "normalisation": "percentiles", "classes": 3, "batch": 4,
    "zoom": 1.5,
}  # fmt: skip
# added after the first records
LATER = (
    "choice",
    "scale",
    "test",
    "fused",
    "mean_of_flips",
    "connectivity",
    "start",
    "channels",
    "normalisation",
    "classes",
    "batch",
    "zoom",
)
NEEDS = {
    "padding": {"tile": 512},
    "tile": {"padding": "same"},
    "choice": {"images": 3},
    "fused": {"optimiser": "adam"},
    "classes": {"weights": "none"},
}


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
    before = {name: value for name, value in NON_DEFAULTS.items() if name in (*earlier, *LATER[:6])}
    assert Experiment(**before).key == "f61a23dbad91f6c4"


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


def test_channels_say_how_many_planes_the_network_takes():
    planes = {channels: Experiment(channels=channels).planes for channels in ("grey", "rgb", "1", "2,1", "1,2,10,4")}
    assert planes == {"grey": 1, "rgb": 3, "1": 1, "2,1": 2, "1,2,10,4": 4}


def test_two_experiments_never_share_a_name():
    names = {Experiment(seed=s, fold=f, split=p).name for s in range(4) for f in (1, 2) for p in ("fold", "inner")}
    assert len(names) == 16


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
    assert check_choice("letter", "a", ("a", "b")) == "a"


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("width", 16.0, "int"), ("width", "16", "int"), ("width", True, "int"), ("skips", 1, "bool"),
        ("skips", "false", "bool"),
        ("sigma", "5", "float"), ("sigma", True, "float"), ("data", None, "str"), ("tile", None, "int"),
        ("learning_rate", np.float32(0.1), "float"), ("sigma", 10**400, "float"),
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
        ("batch", 0),
        ("seed", -1),
        ("seed", 2**31), ("sigma", math.nan), ("w0", math.inf),
    ],
)  # fmt: skip
def test_a_number_out_of_range_is_refused(name, value):
    with pytest.raises(ValueError, match=f"^{name} must be .* or more"):
        Experiment(**{name: value})


@pytest.mark.parametrize(
    ("name", "ends", "beyond"),
    [
        ("fold", (1,), (0,)), ("images", (0,), (-1,)), ("choice", (0, 5), (-1, 6)),
        ("scale", (0.05, 4.0), (0.049, 4.001)), ("zoom", (1.0, 4.0), (0.999, 4.001)),
        ("classes", (0, 2, 255), (-1, 256)), ("width", (1, 1024), (0, 1025)), ("dropout", (0.0, 0.99), (-0.01, 0.991)),
        ("w0", (0.0, 1e6), (-1e-9, 1.1e6)), ("sigma", (0.1, 1e3), (0.09, 1001.0)),
        ("elastic", (0.0, 1e3), (-1e-9, 1001.0)),
        ("grey", (0.0, 0.99), (-1e-9, 0.991)), ("momentum", (0.0, 0.9999), (-1e-9, 0.99991)),
        ("learning_rate", (1e-9, 10.0), (9e-10, 10.01)), ("steps", (1,), (0,)), ("batch", (1, 4096), (0, 4097)),
        ("seed", (0, 2**31 - 1), (-1, 2**31)),
    ],
)  # fmt: skip
def test_the_ends_of_each_range_are_allowed_and_what_lies_beyond_is_not(name, ends, beyond):
    needs = {"choice": {"images": 3}, "classes": {"weights": "none"}}.get(name, {})
    for value in ends:
        assert getattr(Experiment(**{name: value} | needs), name) == value
    for value in beyond:
        with pytest.raises(ValueError, match=f"^{name} must be .* or more"):
            Experiment(**{name: value} | needs)


def test_a_tile_that_does_not_fit_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="nearest: 556 and 572"):
        Experiment(tile=570)
    with pytest.raises(ValueError, match="nearest: 560 and 576"):
        Experiment(padding="same")
    with pytest.raises(ValueError, match="nearest: 508 and 524"):
        Experiment(tile=512)
    assert Experiment(padding="same", tile=512).tile == 512


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"choice": 1}, "choice says which few images train: give their number too"),
        ({"choice": 6, "images": 2}, "^choice must be 0 or more, at most 5, not 6"),
        ({"fused": True}, "fused is Adam's: leave it out with optimiser=sgd"),
        ({"connectivity": 6}, "connectivity must be 4 or 8, not 6"),
        ({"classes": 1}, "classes must be 2 or more"), ({"classes": 3}, "no separation borders"),
        ({"classes": 2, "weights": "none", "variant": "n4"}, "are the U-Net's"), ({"classes": 256}, "^classes must be"),
        ({"channels": "red"}, "channels are grey, rgb, or numbers from 1"), ({"channels": "0,1"}, "channels are grey"),
        ({"channels": "1,"}, "channels are grey"), ({"channels": "rgb", "variant": "n4"}, "'n4' takes grey images"),
        ({"scale": 0.0}, "^scale must be"), ({"scale": 4.5}, "^scale must be"), ({"scale": math.nan}, "^scale must be"),
    ],
)  # fmt: skip
def test_a_field_without_what_it_needs_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Experiment(**fields)
    assert Experiment(connectivity=8, fused=True, optimiser="adam", choice=5, images=1).connectivity == 8


# --- from words ----------


def test_an_experiment_is_read_from_the_words_that_tell_its_departures():
    for experiment in (Experiment(), Experiment(**NON_DEFAULTS)):
        words = [f"{name}={value}" for name, value in experiment.departures().items()]
        assert Experiment(**parse_fields(words)) == experiment


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("steps", "'steps' is not of the form NAME=VALUE, such as steps=500"),
        ("step=3", "'step' is unknown.*did you mean 'steps'"),
        ("steps=many", "steps must be of type int, not 'many'"), ("steps=1.5", "steps must be of type int, not '1.5'"),
        ("flip=perhaps", "flip must be true or false, not 'perhaps'"), ("steps=0", "steps must be 1 or more, not 0"),
    ],
)  # fmt: skip
def test_a_word_that_is_no_field_with_its_value_is_refused(word, message):
    with pytest.raises(ValueError, match=message):
        Experiment(**parse_fields(["width=16", word]))
