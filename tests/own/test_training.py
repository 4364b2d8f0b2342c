"""A run that is recorded is not trained again, nor scored with rotations again."""

from __future__ import annotations

import dataclasses

import invented
import numpy as np
import pytest
import tifffile
import torch
from drawn import discs, picture, save
from PIL import Image

from reprolib import train
from reprolib.errors import InputError
from reprolib.evaluation.prediction import predict_as_trained
from reprolib.evaluation.scores import Rotated
from reprolib.experiment import Experiment
from reprolib.own import training
from reprolib.own.predict import predict
from reprolib.plan import recipes
from reprolib.runs import records

DISCS = discs()
RUN = recipes.em_test(0)
CURVES = {"v_rand": invented.curve(0.9)}
STRAIGHT = dataclasses.replace(invented.held_out({"v_rand": 0.9}), test=invented.test_slices(CURVES))
TURNED = Rotated((0.0,), CURVES, {"v_rand": 0.9}, ())


@pytest.mark.parametrize(
    ("scores", "added"),
    [
        (STRAIGHT, 1),
        (dataclasses.replace(STRAIGHT, rotated=TURNED), 0),
        (dataclasses.replace(STRAIGHT, held_out=None, test=invented.test_slices(CURVES, CURVES)), 0),
        (dataclasses.replace(STRAIGHT, held_out=None), 1),
    ],
    ids=["none", "of held-out images", "of the test slices alone", "none, and no image held out"],
)
def test_rotations_are_added_to_a_record_that_has_none(monkeypatch, scores, added):
    known, calls = invented.record(RUN, scores), []
    monkeypatch.setattr(records, "find", lambda experiment, folders=None: known)
    monkeypatch.setattr(training, "add_rotations", lambda record, *_: calls.append(record) or record)
    monkeypatch.setattr(training, "train_experiment", lambda *_: pytest.fail("it is recorded already"))
    assert training.train(RUN.departures(), rotations=True) is known and len(calls) == added
    assert training.train(RUN.departures()) is known and len(calls) == added


def test_colours_are_learned_and_asked_for_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("REPROLIB_CACHE", str(tmp_path / "cache"))
    for index in range(2):
        colours = np.stack([picture(DISCS, 3 * index + k) for k in range(3)], -1)
        save(tmp_path / f"own/images/{index}.png", colours)
        save(tmp_path / f"own/labels/{index}.png", DISCS)
    monkeypatch.setattr(train, "LOOK_EVERY", 0.0)
    training.train({"width": 2, "steps": 2, "tile": 188}, tmp_path / "own", "cpu", folder=tmp_path / "runs")
    told = [line for line in capsys.readouterr().out.splitlines() if "shows 0, held out, as found after step 1" in line]
    assert len(told) == 1 and Image.open(told[0].split(" shows ")[0]).size == DISCS.shape
    (path,) = (tmp_path / "runs").glob("*.json")
    record = records.read(path)
    assert record.experiment.channels == "rgb" and record.experiment.normalisation == "percentiles"
    assert train.network(record).down[0][0].in_channels == 3 and path.with_suffix(".html").exists()
    lines = list(predict(path, [tmp_path / "own/images"], tmp_path / "out", report=lambda line: None))
    table = (tmp_path / "out/0.cells.csv").read_text().splitlines()[0]
    assert len(lines) == 3 and "intensity_mean-0,intensity_mean-1,intensity_mean-2" in table
    expected = predict_as_trained(record.experiment, train.network(record), [colours])[0]
    assert tifffile.imread(tmp_path / "out/1.probability.tif") / 255 == pytest.approx(expected, abs=0.003)
    assert training.starting_from(path)["channels"] == "rgb"
    again = {"width": 2, "steps": 2, "tile": 188}
    page, known = path.with_suffix(".html"), path.with_suffix(".html").read_text()
    for left in (True, False):
        page.write_text("as it is") if left else page.unlink()  # killed after the record, before its page
        assert training.train(again, tmp_path / "own", "cpu", folder=tmp_path / "runs").path == path
        assert page.read_text() == ("as it is" if left else known)
    training.train(again, tmp_path / "own", "cpu", folder=tmp_path / "runs", more_data=True)
    assert "too few training images" in capsys.readouterr().out  # there is one
    save(tmp_path / "grey/a.png", picture(DISCS))
    (line, _) = predict(path, [tmp_path / "grey"], tmp_path / "more", report=lambda line: None)
    assert "grey values are taken as red, green and blue" in line
    save(tmp_path / "dark/a.png", 255 - colours)
    (line, _) = predict(path, [tmp_path / "dark"], tmp_path / "last", report=lambda line: None, rois=True)
    assert "UNLIKE THE TRAINING IMAGES: median brightness" in line and (tmp_path / "last/a.rois.zip").exists()
    save(tmp_path / "four/a.tif", np.stack([picture(DISCS, k) for k in range(4)], -1), planarconfig="contig")
    with pytest.raises(InputError, match="has 4 channels, not red, green and blue"):
        list(predict(path, [tmp_path / "four"], tmp_path / "none", report=lambda line: None))
    with pytest.raises(InputError, match="the experiment is for channels rgb, and the images have grey"):
        train.train(Experiment(data="phantom-em", fold=1, channels="rgb"), "cpu", None, tmp_path / "runs")


def test_a_training_starts_from_the_weights_of_another_run(tmp_path, monkeypatch):
    monkeypatch.setenv("REPROLIB_CACHE", str(tmp_path / "cache"))
    first = Experiment(data="phantom-em", fold=1, width=2, tile=188, steps=1, optimiser="adam")
    known = train.train(first, "cpu", None, tmp_path / "runs")
    fields = training.starting_from(known.path)
    assert fields["width"] == 2 and known.weights.sha256.startswith(fields["start"])
    second = Experiment(**{**first.to_dict(), **fields, "data": "phantom-dic", "fold": 2, "dropout": 0.0})
    weights, stored = train.initial_state(second, torch.device("cpu")).model, train.network(known)
    pairs = zip(weights.parameters(), stored.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs) and second.key != second.replace(start="").key
    again = train.initial_state(second.replace(start=""), torch.device("cpu")).model
    assert not torch.equal(next(again.parameters()), next(stored.parameters()))


def test_weights_to_start_from_that_are_not_there_or_changed_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("REPROLIB_CACHE", str(tmp_path / "cache"))
    first = Experiment(data="phantom-em", fold=1, width=2, tile=188, steps=1, optimiser="adam")
    with pytest.raises(ValueError, match="are not here: name their record"):
        train.initial_state(first.replace(start="0" * 16), torch.device("cpu"))
    with pytest.raises(ValueError, match="16 digits"):
        first.replace(start="EM")
    known = train.train(first, "cpu", None, tmp_path / "runs")
    known.weights_path.write_bytes(b"other" + known.weights_path.read_bytes())
    with pytest.raises(ValueError, match="were changed"):
        training.starting_from(known.path)
    known.weights_path.unlink()
    with pytest.raises(FileNotFoundError, match="were not kept"):
        training.starting_from(known.path)
