"""``reprolib verify`` confirms what is right and catches what was changed: a weight, a record, a label."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest

from reprolib import data, train
from reprolib.experiment import Experiment
from reprolib.plan import verify
from reprolib.runs import records

TINY = Experiment(data="phantom-em", fold=1, width=2, optimiser="adam", tile=188, steps=3)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A folder with one recorded run, trained here on phantoms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPROLIB_CACHE", str(tmp_path_factory.mktemp("cache")))
        folder = tmp_path_factory.mktemp("runs")
        train.train(TINY, device="cpu", report=None, folder=folder)
        return folder


@pytest.fixture
def runs(recorded, tmp_path):
    """A copy of it that a test may spoil."""
    for path in recorded.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def only(folder, ending):
    (path,) = folder.glob(f"*{ending}")
    return path


def change_record(folder, change):
    path = only(folder, ".json")
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def test_an_untouched_run_is_equal_in_every_figure(runs):
    checks = verify.verify(runs)
    assert all(check.ok is True for check in checks)
    record = records.read(only(runs, ".json"))
    assert len(checks) == len(verify.printed_figures(record.scores)) > 20


def test_a_changed_weight_is_caught(runs):
    path = only(runs, ".safetensors")
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    (check,) = verify.verify(runs)
    assert check.ok is False and "were changed" in check.what


def test_missing_weights_are_caught_and_weights_not_kept_are_named(runs):
    only(runs, ".safetensors").unlink()
    (check,) = verify.verify(runs)
    assert check.ok is False and "missing" in check.what
    change_record(runs, lambda record: record["weights"].update(kept=False))
    (check,) = verify.verify(runs)
    assert check.ok is None and "reprolib train data=phantom-em fold=1" in check.what


def test_a_changed_score_is_caught(runs):
    change_record(runs, lambda record: record["scores"]["held_out"]["pixel_error"].update(score=0.0123))
    wrong = [check for check in verify.verify(runs) if check.ok is False]
    assert [check.what.split(":")[0] for check in wrong] == ["held_out pixel_error"]


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record["scores"]["held_out"].pop("v_rand"),
        lambda record: record["scores"].pop("at_training_threshold"),
        lambda record: record["scores"].update(watershed=[{"seed": 0.9, "threshold": 0.5, "seg": 0.7}]),
    ],
    ids=["a score is taken out", "a part is taken out", "a score is invented"],
)
def test_scores_that_are_not_those_that_come_out_are_caught(runs, change):
    change_record(runs, change)
    (check,) = verify.verify(runs)
    assert check.ok is False and "other scores than recorded" in check.what


def test_a_changed_experiment_is_caught(runs):
    change_record(runs, lambda record: record["experiment"].update(steps=4000))
    (check,) = verify.verify(runs)
    assert check.ok is False and "was changed" in check.what


def test_a_changed_label_is_caught_by_its_score_even_if_its_hash_lies(runs, monkeypatch):
    real = data.load(TINY.data)
    instances = real.instances.copy()
    held_out = list(real.folds[0])
    instances[held_out] = np.where(np.arange(instances.shape[2]) < 60, 1, instances[held_out])
    monkeypatch.setattr(data, "load", lambda name: dataclasses.replace(real, instances=instances))
    assert any(check.ok is False for check in verify.verify(runs))


def test_other_data_than_recorded_is_caught(runs, monkeypatch):
    real = data.load(TINY.data)
    monkeypatch.setattr(data, "load", lambda name: dataclasses.replace(real, hashes={"train": "0" * 64}))
    (check,) = verify.verify(runs)
    assert check.ok is False and "hashes" in check.what


def test_rotated_scores_are_added_to_a_record_and_recomputed_too(runs):
    path = only(runs, ".json")
    before = records.read(path)
    train.add_rotations(before, report=None)
    record = records.read(path)
    assert len(record.scores.rotated.angles) == 7
    assert dataclasses.replace(record.scores, rotated=None) == before.scores
    checks = verify.verify(runs)
    assert all(check.ok is True for check in checks)
    assert sum(check.what.startswith("rotated ") for check in checks) > 10
    change_record(runs, lambda r: r["scores"]["rotated"]["held_out"]["pixel_error"].update(score=0.0))
    wrong = [check.what for check in verify.verify(runs) if check.ok is False]
    assert len(wrong) == 1 and wrong[0].startswith("rotated held_out pixel_error")


def test_rotations_are_not_added_to_scores_that_no_longer_come_out(runs):
    change_record(runs, lambda r: r["scores"]["held_out"]["pixel_error"].update(score=0.9))
    with pytest.raises(ValueError, match="no longer give the recorded pixel_error"):
        train.add_rotations(records.read(only(runs, ".json")), report=None)


def test_replayed_losses_agree_and_a_changed_loss_is_caught(runs):
    (check,) = verify.verify(runs, replay=2)
    assert check.ok is True and "2 replayed steps" in check.what
    change_record(runs, lambda record: record["loss"].__setitem__(1, record["loss"][1] * 1.05))
    (check,) = verify.verify(runs, replay=2)
    assert check.ok is False


@pytest.mark.parametrize("place", [0, 1])
def test_a_loss_that_is_no_number_passes_for_equal_nowhere(runs, monkeypatch, place):
    losses = list(records.read(only(runs, ".json")).loss[:2])
    losses[place] = float("nan")
    monkeypatch.setattr(train, "run_steps", lambda *_: SimpleNamespace(losses=losses))
    (check,) = verify.verify(runs, replay=2)
    assert check.ok is False


def test_a_score_that_is_no_number_passes_for_equal_nowhere():
    for known, recomputed in ((float("nan"), 0.5), (0.5, float("nan")), (float("nan"), float("nan"))):
        assert verify.compare_scores("a", "held_out pixel_error", known, recomputed).ok is False


def test_a_negative_number_of_steps_to_replay_is_refused(runs):
    with pytest.raises(ValueError, match="replay must be 0 or more, not -1"):
        verify.verify(runs, replay=-1)


def test_no_record_at_all_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no run record"):
        verify.verify(tmp_path)


def test_a_record_whose_data_is_absent_is_named_not_passed(runs, monkeypatch):
    def absent(name):
        raise data.MissingData(f"{name} is not here")

    monkeypatch.setattr(data, "load", absent)
    (check,) = verify.verify(runs)
    assert check.ok is None and "not here" in check.what


def test_damaged_records_are_a_failed_line_each_and_the_others_go_on(runs):
    whole = only(runs, ".json")
    damages = {
        "a-cut.json": whole.read_bytes()[:-40],
        "b-empty.json": b"",
        "c-nested.json": b"[" * 100_000,
        "d-text.json": whole.read_bytes().replace(b'"threads": 1', b'"threads": "1"'),
        "e-unknown.json": whole.read_bytes().replace(b'"threads": 1', b'"threads": 1, "thread": 1'),
        "f-nan.json": whole.read_bytes().replace(b'"threads": 1', b'"threads": NaN'),
        "z-renamed.json": whole.read_bytes(),
    }
    for name, content in damages.items():
        (runs / name).write_bytes(content)
    checks = verify.verify(runs)
    failed = [check for check in checks if check.ok is False]
    assert [f"{check.record}.json" for check in failed] == list(damages)
    for check, why in zip(
        failed,
        [
            "not valid JSON", "not valid JSON", "nested too deeply", "environment.threads: a whole number is wanted",
            "'thread' is unknown", "NaN is no number", "another experiment than its name says",
        ],
        strict=True,
    ):  # fmt: skip
        assert f"{check.record}.json" in check.what and why in check.what and "\n" not in check.what
    assert sum(check.ok is True for check in checks) > 20
    text = verify.lines(checks)
    assert sum(line.startswith("FAILED") for line in text) == len(damages) and f"{len(damages)} failed" in text[-1]


def test_a_record_whose_curve_lacks_the_middle_threshold_is_one_failed_line(runs):
    change_record(runs, lambda record: record["scores"]["held_out"]["pixel_error"]["rows"].pop(5))
    (check,) = verify.verify(runs)
    assert check.ok is False and "no counts at the threshold 0.5" in check.what
