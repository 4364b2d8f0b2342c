"""A run that is recorded is not trained again, nor scored with rotations again."""

from __future__ import annotations

import dataclasses

import invented
import pytest

from reprolib.evaluation.scores import Rotated
from reprolib.own import training
from reprolib.plan import recipes
from reprolib.runs import records

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
