"""Weights: half precision, whole or not at all, and never another file's."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from reprolib import files
from reprolib.model import UNet
from reprolib.runs import weights


def network(seed: int = 0, width: int = 2) -> UNet:
    torch.manual_seed(seed)
    return UNet(width=width)


def one_sentence(error: BaseException) -> str:
    text = str(error)
    assert "\n" not in text and len(text) < 500
    return text


def test_weights_come_back_rounded_to_half_precision(tmp_path):
    path, model = tmp_path / "w.safetensors", network(0)
    sha256 = weights.save_weights(model, path)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest() == files.file_hash(path)
    other = weights.load_weights(network(1).train(), path, sha256)
    assert not other.training
    for name, value in model.state_dict().items():
        found = other.state_dict()[name]
        assert found.dtype == torch.float32
        assert torch.equal(found, value.half().float()), name
        torch.testing.assert_close(found, value, rtol=2**-11, atol=2**-24)
    assert path.stat().st_size < 2.5 * sum(p.numel() for p in model.parameters()) + 10_000


def test_weights_written_twice_are_the_same_bytes(tmp_path):
    assert weights.save_weights(network(0), tmp_path / "a") == weights.save_weights(network(0), tmp_path / "b")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e5])
def test_diverged_weights_are_not_written(tmp_path, value):
    model = network()
    with torch.no_grad():
        model.up[1].bias[0] = value
    with pytest.raises(ValueError, match=r"the weights up\.1\.bias .*diverged") as caught:
        weights.save_weights(model, tmp_path / "w")
    one_sentence(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("keep", [0, 4, 8, 500, -1])
def test_truncated_weights_are_refused_with_or_without_hash(tmp_path, keep):
    path = tmp_path / "w.safetensors"
    sha256 = weights.save_weights(network(), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="were changed: SHA-256") as caught:
        weights.load_weights(network(), path, sha256)
    one_sentence(caught.value)
    with pytest.raises(ValueError, match="are damaged or no safetensors file") as caught:
        weights.load_weights(network(), path)
    one_sentence(caught.value)


def test_one_changed_bit_of_the_weights_is_noticed(tmp_path):
    path = tmp_path / "w.safetensors"
    sha256 = weights.save_weights(network(), path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="were changed"):
        weights.load_weights(network(), path, sha256)


def test_the_weights_of_another_network_are_refused(tmp_path):
    wide, release, some = tmp_path / "wide", tmp_path / "release", tmp_path / "some"
    weights.save_weights(network(width=3), wide)
    weights.save_weights(UNet(width=2, variant="release"), release)
    save_file({"a": torch.zeros(3)}, some)
    for path in (wide, release, some):
        with pytest.raises(ValueError, match="belong to another network") as caught:
            weights.load_weights(network(), path)
        one_sentence(caught.value)


def test_weights_that_are_not_there_are_a_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError, match="train the experiment again"):
        weights.load_weights(network(), tmp_path / "none")


def test_a_full_disk_leaves_no_weights_by_halves(tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    weights.save_weights(network(0), path)
    before = path.read_bytes()

    def save_half(tensors, aside):  # safetensors raises an error of its own
        Path(aside).write_bytes(before[:1000])
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(weights, "save_file", save_half)
    with pytest.raises(OSError, match=r"could not be written .*No space left") as caught:
        weights.save_weights(network(1), path)
    one_sentence(caught.value)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_changed_weights_to_start_from_are_refused_until_their_record_brings_them_back(tmp_path, monkeypatch):
    monkeypatch.setenv("REPROLIB_CACHE", str(tmp_path / "cache"))
    sha256 = weights.save_weights(network(), tmp_path / "w.safetensors")
    start = weights.keep_start(tmp_path / "w.safetensors", sha256)
    path = weights.start_path(start)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"to start from were changed .*--from RECORD") as caught:
        weights.start_path(start)
    one_sentence(caught.value)
    assert weights.keep_start(tmp_path / "w.safetensors", sha256) == start and weights.start_path(start) == path
