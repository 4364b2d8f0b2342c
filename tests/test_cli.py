"""The command line: what a newcomer types, and what a mistake gets."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from skimage import measure

from reprolib import cli, data, train
from reprolib.errors import InputError
from reprolib.experiment import Experiment, parse_fields
from reprolib.plan import purposes
from reprolib.runs import records
from reprolib.tiling import predict

COMMANDS = ("data", "train", "run", "verify", "plan", "predict", "export", "score", "claims", "book")


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
        (["predict", "no_such.json", "a.png", "b.png"], "no_such.json"),
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


def test_every_field_can_be_set_from_the_command_line():
    words = ["width=16", "learning_rate=0.002", "rotate=false", "optimiser=adam", "w0=5"]
    expected = Experiment(width=16, learning_rate=0.002, rotate=False, optimiser="adam", w0=5.0)
    assert parse_fields(words) == expected


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
    assert cli.main(["predict", str(path), str(tmp_path / "own.png"), str(tmp_path / "out.tif"), "--tile", "204"]) == 0
    with Image.open(tmp_path / "out.tif") as file:
        found = np.asarray(file)
    assert found.shape == (70, 90) and found.dtype == np.uint8
    record = records.read(path)
    assert np.abs(found / 255 - predict(train.network(record), image, tile=204)[1]).max() <= 0.5 / 255 + 1e-6

    cells = tmp_path / "cells.png"
    words = ["predict", str(path), str(tmp_path / "own.png"), str(tmp_path / "out.tif"), "--tile", "204"]
    middle = float(np.median(found)) / 255
    capsys.readouterr()
    assert cli.main([*words, "--cells", str(cells), "--threshold", str(middle), "--smallest", "4"]) == 0
    with Image.open(cells) as file:
        labels = np.asarray(file)
    whole = measure.label(found > 255 * middle, connectivity=1)
    sizes = np.bincount(whole.ravel())
    assert labels.dtype == np.uint16 and labels.max() == (sizes[1:] >= 4).sum() > 1
    assert np.array_equal(labels > 0, (whole > 0) & (sizes[whole] >= 4))
    assert f"{labels.max()} cells, above the probability" in capsys.readouterr().out
    assert cli.main([*words, "--cells", str(cells)]) == 0  # by the training images' threshold
    fixed = record.scores.training["rand_error"].threshold
    assert np.array_equal(np.asarray(Image.open(cells)) > 0, found > 255 * fixed)
    for wrong, told in (
        (["--smallest", "4"], "--cells FILE"),
        (["--cells", str(tmp_path / "cells.jpg")], "must end in .png or .tif"),
        (["--cells", str(tmp_path / "out.tif")], "a file of their own"),
        (["--cells", str(cells), "--threshold", "40"], "in [0, 1], not 40"),
    ):
        assert cli.main([*words, *wrong]) == 2
        assert told in capsys.readouterr().err

    again = tmp_path / "fast.tif"
    assert cli.main(["predict", str(path), str(tmp_path / "own.png"), str(again), "--tile", "204", "--fast"]) == 0
    fast, told = np.asarray(Image.open(again)).astype(float), "does not compute in bfloat16" in capsys.readouterr().err
    assert np.abs(fast - found).max() < 13 and told == np.array_equal(fast, found)
    assert cli.main(["predict", str(path), str(tmp_path / "own.png"), str(tmp_path / "out.jpg"), "--tile", "204"]) == 2
    assert not list(tmp_path.glob("*out.jpg*"))


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
    assert "0 equal, 0 different, 1 not checked" in capsys.readouterr().out

    Image.fromarray(255 - images.images[0]).save(tmp_path / "mine" / "images" / "0.png")
    assert cli.main(words) == 0
    assert len(list((tmp_path / "runs").glob("*.json"))) == 2
