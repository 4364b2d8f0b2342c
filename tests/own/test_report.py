"""The page on a network of one's own: its pictures and figures are the record's, and its advice follows rules."""

from __future__ import annotations

import dataclasses
import os
import re
from html import escape
from html.parser import HTMLParser

import numpy as np
import pytest
from drawn import discs, save
from drawn import picture as drawn_picture

from reprolib import data, train
from reprolib.evaluation.detection import Counts, Detection, Settings
from reprolib.experiment import Experiment
from reprolib.own import training
from reprolib.own.overlay import BLUE, VERMILLION, YELLOW
from reprolib.own.report import errors, next_steps, write_report


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A record of two steps on a phantom that passes for images of one's own, and the data."""
    dataset = dataclasses.replace(data.load("phantom-dic"), name="own-<cells>")
    experiment = Experiment(data=dataset.name, fold=2, width=2, tile=188, steps=2, optimiser="adam", mean_of_flips=True)
    return train.train(experiment, "cpu", None, tmp_path_factory.mktemp("runs"), dataset), dataset


def test_the_page_stands_alone_and_tells_the_records_figures(trained, tmp_path):
    record, dataset = trained
    write_report(record, dataset, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    HTMLParser().feed(text)
    counts = record.scores.detection.counts
    assert f"<td>{counts.f1:.3f}</td>" in text and f"<td>{counts.missed}</td>" in text
    assert (
        f"SEG of the connected components above the best threshold: {record.scores.held_out['seg'].score:.3f}" in text
    )
    assert all(name in text for name in (dataset.names[index] for index in dataset.folds[1]))
    assert text.count("<figure>") == len(dataset.folds[1]) and text.count("<img") == 2 * len(dataset.folds[1]) + 1
    assert not re.search(r"(src|href)=\"(?!data:)", text) and "<script" not in text
    assert "own-<cells>" not in text and "own-&lt;cells&gt;" in text


EVIL = "<img src=x onerror=alert(1)>"


@pytest.mark.skipif(os.name != "posix", reason="such names of files are those of Unix")
@pytest.mark.parametrize("task", ["objects", "classes"])
def test_names_of_files_folders_and_classes_are_text_on_the_page(tmp_path, monkeypatch, task):
    monkeypatch.setenv("REPROLIB_CACHE", str(tmp_path / "cache"))
    for index in range(2):
        save(tmp_path / EVIL / "images" / f"{EVIL}{index or ''}.png", drawn_picture(discs(), index))
        save(
            tmp_path / EVIL / "labels" / f"{EVIL}{index or ''}.png", np.minimum(discs(), 1 if task == "classes" else 9)
        )
    (tmp_path / EVIL / "classes.txt").write_text(f"ground\n{EVIL}\n")
    fields = {"width": 2, "steps": 1, "tile": 188}
    training.train(fields, tmp_path / EVIL, "cpu", folder=tmp_path / "runs", task=task)
    (page,) = (tmp_path / "runs").glob("*.html")
    text, elements = page.read_text(encoding="utf-8"), []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: elements.append((tag, dict(attributes)))
    parser.feed(text)
    assert EVIL not in text and text.count(escape(EVIL)) >= (4 if task == "classes" else 3)
    assert all(about["src"].startswith("data:image/png;") for tag, about in elements if tag == "img")
    assert not any(name.startswith("on") for _, about in elements for name in about)


def test_what_is_right_false_and_missed_has_its_colour():
    gold, result = np.zeros((40, 60), np.int32), np.zeros((40, 60), np.int32)
    gold[5:15, 5:15], result[5:15, 6:15] = 1, 1  # found
    gold[5:15, 40:50] = 2  # missed
    result[25:35, 20:30] = 2  # false
    shown = errors(np.zeros((40, 60)), gold, result)
    for place, colour in (((5, 8), BLUE), ((5, 44), YELLOW), ((25, 24), VERMILLION), ((0, 0), (0, 0, 0))):
        assert tuple(shown[place]) == colour


NOTHING_FOUND = Counts(0, 10, 0)


def changed(record, counts, otsu=NOTHING_FOUND, losses=(1.0, 1.0), gap=0.0):
    """The record with other figures: so many losses, a gap between training and held-out SEG."""
    detection = Detection(Settings(0.5, None, 0), counts, otsu)
    training = {"seg": dataclasses.replace(record.scores.training["seg"], score=0.5 + gap)}
    held_out = {"seg": dataclasses.replace(record.scores.held_out["seg"], score=0.5)}
    scores = dataclasses.replace(record.scores, detection=detection, training=training, held_out=held_out)
    return dataclasses.replace(record, loss=tuple(np.repeat(losses, 60)), scores=scores)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"counts": Counts(9, 1, 1)}, "Nothing stands out"),
        ({"counts": Counts(9, 1, 1), "losses": np.linspace(2, 0.5, 6)}, "train longer"),
        ({"counts": Counts(9, 1, 1), "gap": 0.2}, "annotate more images"),
        ({"counts": Counts(6, 4, 0)}, "are missed"),
        ({"counts": Counts(6, 0, 4)}, "are false"),
        ({"counts": Counts(9, 1, 1), "otsu": Counts(10, 0, 0)}, "may not need a network"),
    ],
)
def test_the_advice_follows_the_figures(trained, fields, word):
    (line,) = next_steps(changed(trained[0], **fields))
    assert word in line
