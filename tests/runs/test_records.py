"""Records are written whole or not at all, and whatever is damaged or changed is refused in one sentence."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from invented import record

from reprolib.errors import InputError
from reprolib.evaluation.scores import AtThreshold, Scores
from reprolib.experiment import Experiment
from reprolib.files import PROJECT
from reprolib.runs import records

EXPERIMENT = Experiment(width=16, optimiser="adam", steps=3)


def example(**changes) -> records.Record:
    """A record with three losses and one score, but for what is changed."""
    whole = record(EXPERIMENT, Scores({"seg": AtThreshold(0.5, 0.4)}))
    return dataclasses.replace(whole, **{"data": {"images": "1" * 64}, "loss": (0.7, 1e-05, 3)} | changes)


def one_sentence(error: BaseException) -> str:
    text = str(error)
    assert "\n" not in text and len(text) < 500
    return text


# --- writing ----------


def test_a_record_is_read_back_as_it_was_written(tmp_path):
    written = example()
    path = records.write(written, tmp_path / "new" / "folder")
    assert path.name == f"isbi2012-fold5-{EXPERIMENT.key}.json"
    assert records.read(path) == dataclasses.replace(written, path=path)
    assert records.write(records.read(path), tmp_path) != path  # its place is not part of a record
    assert "path" not in json.loads(path.read_text())
    assert records.read(path).weights_path == path.with_suffix(".safetensors")


@pytest.mark.parametrize(
    "curve", [None, (), (records.CurvePoint(3, {"seg": 0.5}),), (records.CurvePoint(3, {"mean_iou": 0.5}, {}),)]
)
def test_a_curve_that_an_older_record_lacks_is_told_from_an_empty_one(tmp_path, curve):
    path = records.write(example(curve=curve), tmp_path)
    assert records.read(path).curve == curve
    assert ("curve" in json.loads(path.read_text())) == (curve is not None)


RUNS = sorted((PROJECT / "runs").glob("*.json"))


def test_every_published_record_read_and_written_again_says_the_same(tmp_path):
    assert RUNS
    for path in RUNS:
        again = json.loads(records.write(records.read(path), tmp_path).read_text())
        body = json.loads(path.read_text())
        body["experiment"] = Experiment().to_dict() | body["experiment"]  # fields added later, with their defaults
        assert again == body, path.name


def test_a_found_record_is_exactly_the_experiments(tmp_path):
    here, there = tmp_path / "a", tmp_path / "b"
    assert records.find(EXPERIMENT, (here, there)) is None
    records.write(example(), there)
    assert records.find(EXPERIMENT, (here, there)).path.parent == there
    assert records.find(EXPERIMENT.replace(seed=1), (here, there)) is None
    records.write(example(), here)
    assert records.find(EXPERIMENT, (here, there)).path.parent == here


def test_the_published_record_is_found_first_and_then_this_machines(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "PUBLISHED", tmp_path / "published")
    monkeypatch.setenv("REPROLIB_CACHE", str(tmp_path / "cache"))
    records.write(example(), tmp_path / "cache" / "runs")
    assert records.find(EXPERIMENT).path.parent == tmp_path / "cache" / "runs"
    records.write(example(), tmp_path / "published")
    assert records.find(EXPERIMENT).path.parent == tmp_path / "published"


def full_disk(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def half_written(self: Path, text: str, **_):
    with open(self, "w", encoding="utf-8") as file:
        file.write(text[: len(text) // 2])
    full_disk()


@pytest.mark.parametrize("fails", ["write", "replace"])
def test_a_full_disk_leaves_the_old_record_and_nothing_else(tmp_path, monkeypatch, fails):
    path = records.write(example(), tmp_path)
    before = path.read_bytes()
    if fails == "write":
        monkeypatch.setattr(Path, "write_text", half_written)
    else:
        monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="could not be written") as caught:
        records.write(example(loss=(1.0,)), tmp_path)
    assert "No space left" in one_sentence(caught.value) and path.name in str(caught.value)
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_record_with_nan_is_not_written(tmp_path):
    with pytest.raises(ValueError):
        records.write(example(loss=(float("nan"),)), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "losses",
    [
        "[0.7, 0.6]", "[]", "[0.7, 0.6, 0.5, 0.4]", "[0.7, NaN, 0.5]", "[0.7, Infinity, 0.5]", "[0.7, 1e999, 0.5]",
        "[0.7, -0.6, 0.5]", "[-Infinity, 0.6, 0.5]",
    ],
)  # fmt: skip
def test_a_record_whose_losses_are_not_finite_or_not_one_a_step_is_refused(tmp_path, losses):
    path = records.write(example(loss=(0.7, 0.6, 0.5)), tmp_path)
    text = path.read_text()
    assert '"loss": [0.7, 0.6, 0.5]' in text
    path.write_text(text.replace('"loss": [0.7, 0.6, 0.5]', f'"loss": {losses}'))
    with pytest.raises(InputError, match=r"is no run record.*; restore it or train again") as caught:
        records.read(path)
    one_sentence(caught.value)


def test_a_pipe_is_no_record_and_nobody_waits_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(InputError, match=r"pipe\.json is no run record .*no file"):
        records.read(tmp_path / "pipe.json")


def test_a_record_under_another_experiments_name_is_not_found_for_it(tmp_path):
    other = EXPERIMENT.replace(seed=1)
    records.write(example(), tmp_path).rename(tmp_path / f"{other.name}.json")
    with pytest.raises(InputError, match=f"is about another experiment, {EXPERIMENT.name}") as caught:
        records.find(other, (tmp_path,))
    assert other.name in one_sentence(caught.value)


# --- numbers on one line ----------

numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
tricky = st.sampled_from(["[", "]", "[\n 1,\n 2\n]", "[ 1, 2 ]", "a[", '"[', "\\", "1,", "[1]", "e-", "\u0663", "\n"])
contents = st.recursive(
    st.none() | st.booleans() | numbers | st.text() | tricky,
    lambda inner: st.lists(inner) | st.lists(numbers) | st.dictionaries(st.text() | tricky, inner),
    max_leaves=12,
)


@given(contents)
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
def test_compact_json_means_what_it_meant(content):
    assert json.loads(records.compact_numbers(json.dumps(content, indent=1))) == content


def test_a_list_of_numbers_is_one_line_and_everything_else_stays():
    text = json.dumps(
        {
            "loss": [1, -2.5, 1e-07, 1e22],
            "names": ["a", "b"],
            "rows": [{"x": [1]}],
            "none": [],
            "deep": [[1, 2], [3]],
        },
        indent=1,
    )
    assert records.compact_numbers(text).splitlines() == [
        "{", ' "loss": [1, -2.5, 1e-07, 1e+22],', ' "names": [', '  "a",', '  "b"', " ],", ' "rows": [',
        "  {",
        '   "x": [1]', "  }", " ],", ' "none": [],', ' "deep": [', "  [1, 2],", "  [3]", " ]", "}",
    ]  # fmt: skip


# --- reading ----------


@pytest.fixture
def body(tmp_path) -> dict:
    """The JSON of a record."""
    return json.loads(records.write(example(), tmp_path / "whole").read_text())


def refused(tmp_path: Path, content: object, match: str) -> str:
    """The one sentence that a file of this content is refused with."""
    path = tmp_path / "record.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(ValueError, match=rf"record\.json {match}") as caught:
        records.read(path)
    return one_sentence(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"\x89PNG\r\n"])
def test_what_is_not_json_is_refused(tmp_path, content):
    refused(tmp_path, content, r"is no run record \(it is not valid JSON")


def test_a_truncated_record_is_refused(tmp_path, body):
    refused(tmp_path, json.dumps(body).encode()[:-40], r"is no run record \(it is not valid JSON")


@pytest.mark.parametrize("content", [[], 3, None, {}, {"format": 1}, {"format": 1, "key": "x"}])
def test_json_that_is_no_record_is_refused(tmp_path, content):
    refused(tmp_path, content, "is no run record")


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 99}, {"experiment": [1]}, {"experiment": None}, {"experiment": EXPERIMENT.to_dict() | {"widht": 3}},
        {"experiment": EXPERIMENT.to_dict() | {"width": "16"}},
    ],
)  # fmt: skip
def test_a_record_of_another_version_is_refused(tmp_path, body, changes):
    refused(tmp_path, body | changes, "is no run record")


def test_a_record_that_lacks_a_part_is_refused(tmp_path, body):
    for missing in body:
        refused(tmp_path, {name: part for name, part in body.items() if name != missing}, "is no run record")
    for part in ("environment", "weights"):
        for missing in body[part]:
            less = {name: value for name, value in body[part].items() if name != missing}
            assert missing in refused(tmp_path, body | {part: less}, "is no run record")
    for scores in ([], {}, {"training": {"seg": {"score": 0.5}}}, {"training": {}, "held_out": {"seg": {}}}):
        refused(tmp_path, body | {"scores": scores}, "is no run record")


@pytest.mark.parametrize("processes", [0, 2, -1])
def test_a_record_says_how_many_processes_shared_each_batch(tmp_path, body, processes):
    assert "processes" not in body["environment"]  # one
    body["environment"]["processes"] = processes
    refused(tmp_path, body, r"is no run record \(environment.processes: they share a batch of 1")


def test_a_changed_experiment_is_refused(tmp_path, body):
    body["experiment"]["seed"] = 1
    refused(tmp_path, body, f"was changed: its experiment has the key .*, not {EXPERIMENT.key}")


def test_a_record_that_is_not_there_is_a_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        records.read(tmp_path / "none.json")
