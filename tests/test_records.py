"""Records are written whole or not at all, and whatever is damaged or changed is refused in one sentence."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.torch import save_file

from reprolib import files, records
from reprolib.experiment import Experiment
from reprolib.model import UNet

EXPERIMENT = Experiment(width=16, optimiser="adam")


def example(**changes) -> dict:
    record = {
        "format": records.FORMAT, "key": EXPERIMENT.key, "experiment": EXPERIMENT.to_dict(),
        "loss": [0.7, 1e-05, 3],
        "scores": {"rows": [{"threshold": 0.1, "v": [1, 2]}, {"threshold": 0.2, "v": []}]},
    }  # fmt: skip
    return record | changes


def network(seed: int = 0, width: int = 2) -> UNet:
    torch.manual_seed(seed)
    return UNet(width=width)


def one_sentence(error: BaseException) -> str:
    text = str(error)
    assert "\n" not in text and len(text) < 500
    return text


# --- writing ----------


def test_a_record_is_read_back_as_it_was_written(tmp_path):
    path = records.write(example(), tmp_path / "new" / "folder")
    assert path.name == f"isbi2012-fold5-{EXPERIMENT.key}.json"
    assert records.read(path) == example() | {"path": path}
    assert records.write(records.read(path), tmp_path) != path  # its place is not part of a record
    assert "path" not in json.loads(path.read_text())
    assert records.weights_path(records.read(path)) == path.with_suffix(".safetensors")


def test_two_experiments_never_share_a_name():
    names = {
        records.record_name(Experiment(seed=s, fold=f, split=p))
        for s in range(4)
        for f in (1, 2)
        for p in ("fold", "inner")
    }
    assert len(names) == 16


def test_a_found_record_is_exactly_the_experiments(tmp_path):
    here, there = tmp_path / "a", tmp_path / "b"
    assert records.find(EXPERIMENT, (here, there)) is None
    records.write(example(), there)
    assert records.find(EXPERIMENT, (here, there))["path"].parent == there
    assert records.find(EXPERIMENT.replace(seed=1), (here, there)) is None
    records.write(example(), here)
    assert records.find(EXPERIMENT, (here, there))["path"].parent == here


def test_the_published_record_is_found_first_and_then_this_machines(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "PUBLISHED", tmp_path / "published")
    monkeypatch.setenv("REPROLIB_CACHE", str(tmp_path / "cache"))
    records.write(example(), tmp_path / "cache" / "runs")
    assert records.find(EXPERIMENT)["path"].parent == tmp_path / "cache" / "runs"
    records.write(example(), tmp_path / "published")
    assert records.find(EXPERIMENT)["path"].parent == tmp_path / "published"


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
        records.write(example(loss=[1.0]), tmp_path)
    assert "No space left" in one_sentence(caught.value) and path.name in str(caught.value)
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_no_weights_by_halves(tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    records.save_weights(network(0), path)
    before = path.read_bytes()

    def save_half(tensors, aside):  # safetensors raises an error of its own
        Path(aside).write_bytes(before[:1000])
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(records, "save_file", save_half)
    with pytest.raises(OSError, match=r"could not be written .*No space left") as caught:
        records.save_weights(network(1), path)
    one_sentence(caught.value)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, MemoryError])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(error), files.replacing(path) as aside:
        assert aside.parent == tmp_path and aside != path
        aside.write_text("ne")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_rename_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch):
    target = tmp_path / "published.json"
    files.write_text(target, "old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_text(target, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["published.json"] and target.read_text() == "old"


def test_until_all_is_written_the_old_file_is_there(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with files.replacing(path) as aside:
        aside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_record_with_nan_is_not_written(tmp_path):
    with pytest.raises(ValueError):
        records.write(example(loss=[float("nan")]), tmp_path)
    assert list(tmp_path.iterdir()) == []


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


def written(tmp_path: Path, content: bytes | str | dict | list) -> Path:
    path = tmp_path / "record.json"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize("content", ["", "{", json.dumps(example())[:-40], b"\xff\xfe\x00", b"\x89PNG\r\n"])
def test_what_is_not_json_is_refused(tmp_path, content):
    with pytest.raises(ValueError, match=r"record\.json is no run record: it is not valid JSON") as caught:
        records.read(written(tmp_path, content))
    one_sentence(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        [], 3, {}, example(format=99), {"format": 1},
        {"format": 1, "key": "x"}, example(experiment=[1]), example(experiment=None),
        {k: v for k, v in example().items() if k != "key"},
        example(experiment=EXPERIMENT.to_dict() | {"widht": 3}),
        example(experiment=EXPERIMENT.to_dict() | {"width": "16"}),
    ],
)  # fmt: skip
def test_what_is_no_record_of_this_version_is_refused(tmp_path, content):
    with pytest.raises(ValueError, match=r"record\.json (is no run record|does not hold an experiment)") as caught:
        records.read(written(tmp_path, content))
    one_sentence(caught.value)


def test_a_changed_experiment_is_refused(tmp_path):
    changed = example(experiment=EXPERIMENT.to_dict() | {"seed": 1})
    with pytest.raises(ValueError, match=f"was changed: its experiment has the key .*, not {EXPERIMENT.key}") as caught:
        records.read(written(tmp_path, changed))
    one_sentence(caught.value)


def test_a_record_that_is_not_there_is_a_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        records.read(tmp_path / "none.json")


# --- weights ----------


def test_weights_come_back_rounded_to_half_precision(tmp_path):
    path, model = tmp_path / "w.safetensors", network(0)
    sha256 = records.save_weights(model, path)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest() == records.file_hash(path)
    other = records.load_weights(network(1).train(), path, sha256)
    assert not other.training
    for name, value in model.state_dict().items():
        found = other.state_dict()[name]
        assert found.dtype == torch.float32
        assert torch.equal(found, value.half().float()), name
        torch.testing.assert_close(found, value, rtol=2**-11, atol=2**-24)
    assert path.stat().st_size < 2.5 * sum(p.numel() for p in model.parameters()) + 10_000


def test_weights_written_twice_are_the_same_bytes(tmp_path):
    assert records.save_weights(network(0), tmp_path / "a") == records.save_weights(network(0), tmp_path / "b")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e5])
def test_diverged_weights_are_not_written(tmp_path, value):
    model = network()
    with torch.no_grad():
        model.up[1].bias[0] = value
    with pytest.raises(ValueError, match=r"the weights up\.1\.bias .*diverged") as caught:
        records.save_weights(model, tmp_path / "w")
    one_sentence(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("keep", [0, 4, 8, 500, -1])
def test_truncated_weights_are_refused_with_or_without_hash(tmp_path, keep):
    path = tmp_path / "w.safetensors"
    sha256 = records.save_weights(network(), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="were changed: SHA-256") as caught:
        records.load_weights(network(), path, sha256)
    one_sentence(caught.value)
    with pytest.raises(ValueError, match="are damaged or no safetensors file") as caught:
        records.load_weights(network(), path)
    one_sentence(caught.value)


def test_one_changed_bit_of_the_weights_is_noticed(tmp_path):
    path = tmp_path / "w.safetensors"
    sha256 = records.save_weights(network(), path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="were changed"):
        records.load_weights(network(), path, sha256)


def test_the_weights_of_another_network_are_refused(tmp_path):
    wide, release, some = tmp_path / "wide", tmp_path / "release", tmp_path / "some"
    records.save_weights(network(width=3), wide)
    records.save_weights(UNet(width=2, variant="release"), release)
    save_file({"a": torch.zeros(3)}, some)
    for path in (wide, release, some):
        with pytest.raises(ValueError, match="belong to another network") as caught:
            records.load_weights(network(), path)
        one_sentence(caught.value)


def test_weights_that_are_not_there_are_a_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError, match="train the experiment again"):
        records.load_weights(network(), tmp_path / "none")


# --- the environment ----------


def test_the_environment_names_all_that_the_bits_depend_on():
    found = records.environment(torch.device("cpu"), "float32")
    assert (
        found["libraries"]["torch"] == torch.__version__.split("+")[0]
        or found["libraries"]["torch"] == torch.__version__
    )
    assert found["threads"] == torch.get_num_threads()
    assert (found["device"], found["number_format"]) == ("cpu", "float32")
    assert re.fullmatch(r"[0-9a-f]{40}\+?|\d+\.\d+.*", found["code"])
    assert all(found.values())
    assert json.loads(json.dumps(found)) == found


def test_the_cache_folder_can_be_chosen(tmp_path, monkeypatch):
    monkeypatch.setenv("REPROLIB_CACHE", str(tmp_path))
    assert records.cache_folder() == tmp_path
    monkeypatch.delenv("REPROLIB_CACHE")
    assert records.cache_folder().name == "reprolib"
