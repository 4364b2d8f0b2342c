"""A checkpoint goes on to the same bits, or is refused in one sentence that says what to do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from trainings import CPU, SMALL, run, same, tiny

from reprolib import train
from reprolib.runs import checkpoints, records


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "good"
    run(SMALL, 2, path)
    return path


def refused(path: Path) -> str:
    with pytest.raises(ValueError, match=r"^the checkpoint .* is damaged \(.*\); delete it to start again$") as caught:
        run(SMALL, 3, path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("keep", [0, 7, 300, 5000, -1])
def test_a_truncated_checkpoint_is_refused(good, tmp_path, keep):
    path = tmp_path / "checkpoint"
    path.write_bytes(good.read_bytes()[:keep])
    assert str(path) in refused(path)
    assert path.exists()


def stored(path: Path) -> tuple[dict, dict]:
    """Tensors and text of a checkpoint."""
    with safe_open(path, "pt") as file:
        return load_file(path), file.metadata()


def test_a_checkpoint_of_something_else_is_refused(good, tmp_path):
    path, (tensors, text) = tmp_path / "checkpoint", stored(good)

    def put(tensors: dict, text: dict | None) -> None:
        """A checkpoint whose checksum, if it has one, is right for what it holds."""
        if text and text.keys() > set(checkpoints.TEXTS):
            text = text | {"sha256": json.dumps(checkpoints.checksum(tensors, text))}
        save_file(tensors, path, metadata=text)

    path.write_bytes(b"no checkpoint at all" * 100)
    refused(path)
    put(tensors, None)  # without its seconds
    refused(path)
    for name in text:
        put(tensors, {key: value for key, value in text.items() if key != name})
        assert name in (told := refused(path)) or "checksum" in told
    for name in checkpoints.TEXTS:
        for other in ("soon", "{}", "NaN", "[" * 100_000):
            put(tensors, text | {name: other})
            refused(path)
    for missing in ("losses", "model.head.bias"):
        put({name: value for name, value in tensors.items() if name != missing}, text)
        assert missing.removeprefix("model.") in refused(path) or "state_dict" in refused(path)
    put(tensors | {"model.head.bias": torch.zeros(5)}, text)
    refused(path)
    put(tensors, text)
    assert same(run(SMALL, 3, path), run(SMALL, 3))


def test_any_bit_that_flips_in_a_checkpoint_is_noticed(good, tmp_path):
    path, whole = tmp_path / "checkpoint", good.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")  # of the tensors
    rng = np.random.default_rng(0)
    for place in rng.integers(start, len(whole), 20):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        assert "checksum" in refused(path)


def test_a_checkpoint_whose_tensors_were_left_out_or_added_is_noticed(good, tmp_path):
    path, (tensors, text) = tmp_path / "checkpoint", stored(good)
    slots = [name for name in tensors if name.startswith("optimiser.")]
    assert slots
    save_file({name: value for name, value in tensors.items() if name != slots[0]}, path, metadata=text)
    assert "checksum" in refused(path)
    save_file(tensors | {"losses": torch.ones(9, dtype=torch.float64)}, path, metadata=text)
    assert "checksum" in refused(path)
    save_file(tensors, path, metadata=text | {"seconds": "12.5"})
    assert "checksum" in refused(path)


def test_a_training_does_not_go_on_with_other_threads(good, tmp_path):
    path = tmp_path / "checkpoint"
    threads = torch.get_num_threads()
    path.write_bytes(good.read_bytes())
    torch.set_num_threads(threads + 1)
    try:
        with pytest.raises(ValueError, match=rf"threads {threads} then and {threads + 1} now.*set it as it was"):
            run(SMALL, 3, path)
    finally:
        torch.set_num_threads(threads)
    assert same(run(SMALL, 3, path), run(SMALL, 3))  # the refused one changed nothing


def put(path: Path, tensors: dict, text: dict) -> None:
    """A checkpoint with the right checksum."""
    save_file(tensors, path, metadata=text | {"sha256": json.dumps(checkpoints.checksum(tensors, text))})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"code": "a" * 40}, "code a{40} then and .* now"),
        ({"device": "cuda"}, "device cuda then and cpu now"),
        ({"libraries": {"torch": "1.0"}}, "torch 1.0 then and [^,]* now, numpy none then and "),
    ],
)
def test_a_training_goes_on_elsewhere_only_when_told_to_and_then_says_so(good, tmp_path, change, told):
    path, (tensors, text) = tmp_path / "checkpoint", stored(good)
    was = json.loads(text["environment"]) | change
    put(path, tensors, text | {"environment": json.dumps(was)})
    before = path.read_bytes()
    with pytest.raises(ValueError, match=rf"made otherwise \({told}.*go on with --resume-anyway") as caught:
        run(SMALL, 3, path)
    assert "\n" not in str(caught.value) and path.read_bytes() == before
    lines = []
    state = train.run_steps(SMALL, tiny(), CPU, 3, lines.append, path, resume_anyway=True)
    assert same(state, run(SMALL, 3)) and lines[0] == "resuming after step 2, not as it was begun"
    (stretch,) = state.before
    assert stretch.until == 2 and checkpoints.converter.unstructure(stretch.environment) == was
    again = train.run_steps(SMALL, tiny(), CPU, 4, lines.append, path)  # its checkpoint is of here
    assert again.before == state.before and same(again, run(SMALL, 4)) and "resuming after step 3" in lines


def test_a_checkpoint_of_another_experiment_is_refused(good, tmp_path):
    path = tmp_path / "checkpoint"
    path.write_bytes(good.read_bytes())
    with pytest.raises(ValueError, match=rf"is of another experiment, {SMALL.key}; delete it"):
        run(SMALL.replace(seed=1), 3, path)


def test_a_checkpoint_of_the_version_before_goes_on(good, tmp_path):
    path, (tensors, text) = tmp_path / "checkpoint", stored(good)
    put(path, tensors, {name: value for name, value in text.items() if name not in checkpoints.ADDED})
    assert same(run(SMALL, 3, path), run(SMALL, 3))


def test_a_full_disk_leaves_the_last_checkpoint(good, tmp_path, monkeypatch):
    path = tmp_path / "checkpoint"
    path.write_bytes(good.read_bytes())

    def save_half(tensors, aside, metadata=None):
        Path(aside).write_bytes(b"half")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save_file", save_half)
        with pytest.raises(OSError, match=r"could not be written .*No space left"):
            run(SMALL, 3, path)
    assert list(tmp_path.iterdir()) == [path]
    assert same(run(SMALL, 3, path), run(SMALL, 3))


def test_a_record_says_where_its_first_steps_ran(good, tmp_path, monkeypatch):
    monkeypatch.setenv("REPROLIB_CACHE", str(tmp_path))
    tensors, text = stored(good)
    was = json.loads(text["environment"]) | {"code": "a" * 40}
    path = checkpoints.checkpoint_path(SMALL)
    path.parent.mkdir()
    put(path, tensors, text | {"environment": json.dumps(was)})
    with pytest.raises(ValueError, match="--resume-anyway"):
        train.train(SMALL, "cpu", None, dataset=tiny())
    record = train.train(SMALL, "cpu", None, dataset=tiny(), resume_anyway=True)
    assert [(one.until, one.environment.code) for one in record.before] == [(2, "a" * 40)]
    assert record.environment.code != "a" * 40 and len(record.loss) == SMALL.steps and not path.exists()
    body = json.loads(record.path.read_text())
    for wrong in (0, SMALL.steps + 1):
        record.path.write_text(json.dumps(body | {"before": [body["before"][0] | {"until": wrong}]}))
        with pytest.raises(ValueError, match=r"before: steps from 1 to 6 that grow are wanted"):
            records.read(record.path)


def test_a_record_without_a_change_of_place_says_nothing_of_it(tmp_path, monkeypatch):
    monkeypatch.setenv("REPROLIB_CACHE", str(tmp_path))
    record = train.train(SMALL.replace(steps=1), "cpu", None, dataset=tiny(), keep_weights=False)
    assert record.before == () and "before" not in json.loads(record.path.read_text())
