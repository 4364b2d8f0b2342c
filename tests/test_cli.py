"""The command line: what a newcomer types, and what a mistake gets."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from reprolib import cli, data, train
from reprolib.data.images import open_grey
from reprolib.errors import InputError
from reprolib.experiment import Experiment, parse_fields
from reprolib.files import PROJECT
from reprolib.plan import purposes
from reprolib.runs import records
from reprolib.tiling import predict

COMMANDS = (
    "data",
    "check",
    "train",
    "run",
    "verify",
    "plan",
    "predict",
    "export",
    "package",
    "score",
    "claims",
    "book",
)


def test_help_names_every_command(capsys):
    assert cli.main(["--help"]) == 0
    listed = capsys.readouterr().out.partition("Commands:\n")[2]
    assert sorted(line.split()[0] for line in listed.splitlines() if line.startswith("  ")) == sorted(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_own_help(command, capsys):
    assert cli.main([command, "--help"]) == 0
    assert f"Usage: reprolib {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["train", "widht=16"], "did you mean 'width'"),
        (["train", "width=wide"], "width must be of type int"),
        (["train", "rotate=maybe"], "rotate must be true or false"),
        (["train", "steps"], "NAME=VALUE"),
        (["train", "tile=500"], "nearest: 492 and 508"),
        (["train", "optimiser=adan"], "did you mean 'adam'"),
        (["train", "--threads", "-2", "steps=1"], "threads must be 1 or more"),
        (["train", "data=isbi2021", "steps=1"], "did you mean 'isbi2012'"),
        (["verify", "--replay", "-1"], "0 or more"),
        (["verify", "--runs", "no/such/folder"], "no run record"),
        (["run", "book/no_such.ipynb"], "no chapter"),
        (["check", "no/such/folder"], "is no folder"),
        (["predict", "no_such.json", "a.png", "--to", "b"], "no_such.json"),
    ],
)
def test_a_mistake_gets_one_sentence_and_exit_status_2(words, sentence, capsys):
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.startswith("reprolib: ") and "Traceback" not in error


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["train", "steps=2", "--stepz", "3"], "--stepz"),
        (["trane"], "trane"),
        (["plan", "--workers", "two"], "two"),
        (["export", "isbi2012"], "--to"),
        (["book", "build", "x"], "build takes no chapter names"),
        (["book", "rebuild"], "rebuild"),
    ],
)
def test_words_that_no_command_knows_are_a_usage_error(words, named, capsys):
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert named in error and error.startswith("Usage: reprolib") and "Traceback" not in error


def test_a_bug_shows_its_traceback_and_a_users_mistake_one_sentence(monkeypatch, capsys):
    def fails(error: Exception):
        def text(folder):
            raise error

        monkeypatch.setattr(purposes, "text", text)

    for bug in (KeyError("score"), ValueError("not the user's"), IndexError(3), LookupError("key"), RuntimeError("x")):
        fails(bug)
        with pytest.raises(type(bug)) as raised:
            cli.main(["plan"])
        assert raised.value is bug and capsys.readouterr().err == ""
    for mistake in (InputError("workers must be 1 or more"), OSError("no space left")):
        fails(mistake)
        assert cli.main(["plan"]) == 2
        assert capsys.readouterr().err == f"reprolib: {mistake}\n"


@pytest.mark.parametrize(("words", "resumed"), [(["train", "steps=1"], True), (["verify"], False), (["claims"], False)])
def test_who_interrupts_a_command_is_told_whether_it_left_a_checkpoint(monkeypatch, capsys, words, resumed):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.commands, "main", interrupted)
    assert cli.main(words) == 130
    assert ("last checkpoint" in capsys.readouterr().err) == resumed


def test_every_field_can_be_set_from_the_command_line():
    words = ["width=16", "learning_rate=0.002", "rotate=false", "optimiser=adam", "w0=5"]
    expected = Experiment(width=16, learning_rate=0.002, rotate=False, optimiser="adam", w0=5.0)
    assert Experiment(**parse_fields(words)) == expected


def test_train_records_then_finds_the_record_and_predict_uses_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("REPROLIB_CACHE", str(tmp_path / "cache"))
    words = ["train", "data=phantom-em", "fold=1", "width=2", "tile=188", "--device", "cpu", "steps=2"]
    assert cli.main(words) == 0
    first = capsys.readouterr().out
    assert "step 2/2" in first and "recorded:" in first
    assert cli.main(words) == 0
    assert "recorded already" in capsys.readouterr().out

    (path,) = (tmp_path / "cache" / "runs").glob("*.json")
    image = np.random.default_rng(0).integers(0, 256, (70, 90), np.uint8)
    Image.fromarray(image).save(tmp_path / "own.png")
    words = ["predict", str(path), str(tmp_path / "own.png"), "--tile", "204"]
    assert cli.main([*words, "--to", str(tmp_path / "out"), "--threshold", "0.5", "--smallest", "4"]) == 0
    printed = capsys.readouterr().out
    names = {f"own.{ending}" for ending in ("probability.tif", "cells.tif", "outlines.png", "cells.csv")}
    assert {file.name for file in (tmp_path / "out").iterdir()} == {*names, "cells.csv", "predicted.json"}
    found = open_grey(tmp_path / "out" / "own.probability.tif")
    model = train.network(records.read(path))
    assert np.abs(found / 255 - predict(model, image, tile=204)[1]).max() <= 0.5 / 255 + 1e-6
    labels = open_grey(tmp_path / "out" / "own.cells.tif")
    assert f"own: {labels.max()} cells" in printed
    for wrong, told in (
        (["--threshold", "40"], "threshold is in [0, 1]"),
        (["--memory", "-1"], "memory must be above 0 GiB"),
        (["--threshold", "0.4"], "another network or other settings"),
    ):
        assert cli.main([*words, "--to", str(tmp_path / "out"), *wrong]) == 2
        assert told in capsys.readouterr().err
    assert cli.main([*words, "--to", str(tmp_path)]) == 2 and "a folder of its own" in capsys.readouterr().err

    assert cli.main([*words, "--to", str(tmp_path / "fast"), "--fast", "--no-cells"]) == 0
    told = "does not compute in bfloat16" in capsys.readouterr().err
    fast = open_grey(tmp_path / "fast" / "own.probability.tif").astype(float)
    assert np.abs(fast - found).max() < 13 and told == np.array_equal(fast, found)


def test_own_images_are_trained_on_and_changed_ones_are_another_experiment(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("REPROLIB_CACHE", str(tmp_path / "cache"))
    images = data.load("phantom-dic")
    for kind in ("images", "labels"):
        (tmp_path / "mine" / kind).mkdir(parents=True)
    for number in range(5):
        index = number % len(images.images)
        Image.fromarray(images.images[index]).save(tmp_path / "mine" / "images" / f"{number}.png")
        Image.fromarray(images.instances[index].astype(np.uint8)).save(tmp_path / "mine" / "labels" / f"{number}.png")
    words = ["train", "--images", str(tmp_path / "mine"), "fold=1", "width=2", "tile=188", "steps=1"]
    words += ["--device", "cpu", "--to", str(tmp_path / "runs")]
    assert cli.main(words) == 0
    assert cli.main(words) == 0
    assert "recorded already" in capsys.readouterr().out
    (path,) = (tmp_path / "runs").glob("*.json")
    assert set(records.read(path).scores.held_out) == {"seg", "foreground_iou"}
    assert cli.main(["verify", "--runs", str(tmp_path / "runs")]) == 2  # nothing that could be checked
    assert "0 equal, 0 failed, 1 not checked" in capsys.readouterr().out

    Image.fromarray(255 - images.images[0]).save(tmp_path / "mine" / "images" / "0.png")
    assert cli.main(words) == 0
    assert len(list((tmp_path / "runs").glob("*.json"))) == 2


def test_the_module_is_the_command_line():
    """`python -m reprolib` is what torchrun starts."""
    words = [sys.executable, "-m", "reprolib", "train", "widht=16"]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(PROJECT)})
    assert done.returncode == 2 and "did you mean 'width'" in done.stderr and "Traceback" not in done.stderr
