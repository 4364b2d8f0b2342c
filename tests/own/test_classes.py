"""Pixels of several classes, from a folder to a class map: counted by hand, and learned where they are plain to see."""

from __future__ import annotations

import csv
import dataclasses

import numpy as np
import pytest
import tifffile
import torch
from drawn import discs, save
from PIL import Image

from reprolib import sampling, train
from reprolib.data.pages import Page
from reprolib.errors import InputError
from reprolib.evaluation.classes import ClassScores, class_scores
from reprolib.evaluation.prediction import predict_classes
from reprolib.experiment import Experiment
from reprolib.loss import IGNORE
from reprolib.own import training
from reprolib.own.folder import check, load_folder, named_folder
from reprolib.own.labels import class_codes, number_classes
from reprolib.own.predict import predict
from reprolib.runs import records

CLASSES = np.where(discs() == 0, 0, 1 + discs() % 2).astype(np.uint8)  # ground, and two kinds of discs
NAMES = ("ground", "dark", "bright")


def picture(classes: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 6, classes.shape)
    return (np.array([60, 110, 200])[classes] + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture
def own(tmp_path):
    """Four images of three classes, stored as 0, 128 and 255, with names."""
    for index in range(4):
        turned = np.rot90(CLASSES, index)
        save(tmp_path / f"own/images/{index}.png", picture(turned, index))
        save(tmp_path / f"own/labels/{index}.png", np.array([0, 128, 255], np.uint8)[turned])
    (tmp_path / "own/classes.txt").write_text("\n".join(NAMES) + "\n")
    return tmp_path / "own"


def test_scores_are_what_counting_pixel_by_pixel_gives():
    rng = np.random.default_rng(0)
    truth, found = ([rng.integers(0, 3, (9, 7)) for _ in range(2)] for _ in range(2))
    ignore = [rng.random((9, 7)) < 0.2 for _ in range(2)]
    scores = class_scores("abc", truth, found, ignore)
    planes = zip(truth, found, ignore, strict=True)
    pairs = [pair for t, f, out in planes for pair in zip(t[~out], f[~out], strict=True)]
    assert scores.confusion == tuple(tuple(pairs.count((i, j)) for j in range(3)) for i in range(3))
    ious = [pairs.count((c, c)) / sum(c in pair for pair in pairs) for c in range(3)]
    assert [scores.iou(c) for c in range(3)] == pytest.approx(ious) and scores.mean_iou == pytest.approx(np.mean(ious))
    assert scores.accuracy == pytest.approx(np.mean([t == f for t, f in pairs]))
    absent = ClassScores(("a", "b"), ((5, 0), (0, 0)))
    assert absent.iou(1) is None and absent.mean_iou == 1


def test_a_folder_of_class_masks_is_read_checked_and_weighted(own):
    loaded = load_folder(own, task="classes")
    assert loaded.classes == NAMES and np.array_equal(loaded.instances[1], np.rot90(CLASSES))
    lines, problems = check(own, task="classes")
    assert not problems and "with the classes ground, dark, bright" in lines[-1] and lines[0].split()[5] == "classes"
    experiment = Experiment(data=loaded.name, fold=1, classes=3, weights="balanced", tile=188)
    samples = sampling.prepare(experiment, loaded, torch.device("cpu"))
    target = samples[0][1][0].numpy()
    assert np.array_equal(target, np.rot90(CLASSES))  # fold 1 is held out
    totals = [float(sum(s[1][1][s[1][0] == c].sum() for s in samples)) for c in range(3)]
    assert totals == pytest.approx([totals[0]] * 3, rel=1e-4)
    with pytest.raises(InputError, match=r"perhaps classes, not objects \(--task classes learns them\)"):
        load_folder(own)


def test_colours_are_classes_and_what_is_ignored_teaches_nothing(tmp_path):
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]], np.uint8)[CLASSES]
    labels = class_codes(Page(colours), tmp_path)
    (numbers,), names = number_classes([labels], (), tmp_path)
    assert names == ["0", "255", "#ff0000"] and np.array_equal(numbers, np.array([0, 2, 1])[CLASSES])
    ignoring = class_codes(Page(CLASSES), tmp_path, ignore=2)
    (numbers,), names = number_classes([ignoring], (), tmp_path)
    assert names == ["0", "1"] and np.array_equal(ignoring.ignored, CLASSES == 2) and not numbers[CLASSES == 2].any()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda mask: mask * 0, "hold one class alone"),
        (lambda mask: np.arange(mask.size).reshape(mask.shape).astype(np.uint16), "hold 4096 classes, perhaps"),
        (lambda mask: mask + (mask > 0) * np.uint8([[0, 1] * 32]), "names 3 classes, and the labels have"),
        (lambda mask: mask / np.float32(3), "holds fractions"),
    ],
)
def test_labels_that_are_no_classes_are_refused(own, change, told):
    for path in (own / "labels").iterdir():
        save(path.with_suffix(".tif"), change(np.asarray(Image.open(path))))
        path.unlink()
    with pytest.raises(InputError, match=told):
        load_folder(own, task="classes")
    assert any(told in problem for problem in check(own, task="classes")[1])


def test_classes_are_learned_reported_and_predicted(own, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("REPROLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(train, "LOOK_EVERY", 0.0)
    fields = {"width": 8, "steps": 200, "learning_rate": 0.003, "schedule": "constant", "dropout": 0.0, "elastic": 0.0}
    fields |= {"seed": 2}  # of three seeds the one that learns best
    training.train(fields, own, "cpu", folder=tmp_path / "runs", task="classes")
    told = capsys.readouterr().out
    (path,) = (tmp_path / "runs").glob("*.json")
    record = records.read(path)
    scores = record.scores.classes
    assert scores.names == NAMES and scores.mean_iou > 0.6 and f"mean {scores.mean_iou:.2f}" in told
    assert sum(map(sum, scores.confusion)) == 64 * 64 and record.experiment.weights == "balanced"
    page = path.with_suffix(".html").read_text(encoding="utf-8")
    assert f"<td>{scores.iou(1):.3f}</td>" in page and 'src="data:' in page and Image.open(path.with_suffix(".png"))
    lines = list(predict(path, [own / "images"], tmp_path / "out", report=lambda line: None))
    assert lines[0] == "0: 3 of 3 classes" and len(lines) == 5
    found = tifffile.imread(tmp_path / "out/2.classes.tif")
    image = np.asarray(Image.open(own / "images/2.png"))
    assert np.array_equal(found, predict_classes(record.experiment, train.network(record), image))
    rows = list(csv.DictReader((tmp_path / "out/classes.csv").open(encoding="utf-8")))
    mine = [row for row in rows if row["image"] == "2"]
    assert [row["name"] for row in mine] == list(NAMES)
    assert [int(row["area"]) for row in mine] == np.bincount(found.ravel(), minlength=3).tolist()
    assert IGNORE not in found
    with pytest.raises(InputError, match="tells classes apart"):
        list(predict(path, [own / "images"], tmp_path / "more", threshold=0.5))
    with pytest.raises(InputError, match="is for 3 classes, and the labels have 0"):
        train.train(
            record.experiment, "cpu", None, tmp_path, dataclasses.replace(named_folder(own, task="classes"), classes=())
        )
