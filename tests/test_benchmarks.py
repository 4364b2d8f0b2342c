"""The benchmarks: what is timed against ours gives the same answer, and the stored figures are whole."""

from __future__ import annotations

import importlib
import json

import numpy as np
import pytest
import torch

from benchmarks import __main__ as benchmarks
from benchmarks import gpu, large, prediction, scaling, timing, training, weights
from benchmarks.timing import Row
from reprolib.loss import weight_map
from reprolib.model import UNet

STORED = json.loads(benchmarks.FILE.read_text(encoding="utf-8"))


def test_the_ratio_says_how_many_times_faster_and_is_held_against_what_is_wanted():
    row = Row("work", "peer", 3.0, 1.5, "s", 2)
    assert (row.ratio, row.met) == (2.0, True)
    assert not Row("work", "peer", 2.9, 1.5, "s", 2).met and Row("work", "peer", 3.0, 1.5, "s").met is None
    line = benchmarks.table([row, Row("work", "peer", 1.0, 2.0, "s", 1)]).splitlines()
    assert len(line) == 3 and line[1].endswith("met") and line[2].endswith("NOT MET") and "0.50" in line[2]


def test_works_are_timed_in_turns_and_the_first_call_does_not_count():
    calls, clock = [], iter([0.0, 0.0, 0.0, 2.0, 0.0, 5.0, 0.0, 1.0, 0.0, 7.0])
    works = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    assert timing.alternate(works, 2, lambda: next(clock)) == {"a": 1.0, "b": 5.0}
    assert calls == ["a", "b"] * 3


def test_an_unknown_benchmark_is_refused_with_the_known_ones(capsys):
    assert benchmarks.main(["predicton"]) == 2
    error = capsys.readouterr().err
    assert "'predicton'" in error and all(name in error for name in benchmarks.NAMES)


def test_every_benchmark_has_its_figures_stored_from_one_machine():
    assert [name for name in STORED if name not in benchmarks.ASKED_FOR] == list(benchmarks.NAMES)
    machines = {(STORED[name]["machine"]["processor"], STORED[name]["machine"]["threads"]) for name in benchmarks.NAMES}
    assert len(machines) == 1
    rows = [Row(**row) for part in STORED.values() for row in part["rows"]]
    assert len(rows) > 20 and all(0 < row.theirs and 0 < row.ours for row in rows)


@pytest.mark.parametrize("name", [*benchmarks.NAMES, *benchmarks.ASKED_FOR])
def test_every_benchmark_can_be_loaded(name):
    assert callable(importlib.import_module(f"benchmarks.{name}").measure)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_the_gpus_figures_need_a_gpu_and_come_only_if_asked_for(capsys):
    assert benchmarks.GPU not in benchmarks.NAMES and benchmarks.main(["gpu"]) == 2
    assert capsys.readouterr().err == "the benchmark gpu needs a GPU with CUDA, and there is none here\n"


def test_the_gpus_rows_can_be_made_on_any_device(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda model: model)  # a compiler need not be there

    def alternate(works, repeats, clock):
        for work in works.values():
            work()
        return dict.fromkeys(works, 0.5)

    monkeypatch.setattr(gpu, "alternate", alternate)
    rows = gpu.steps([1], 188, torch.device("cpu"), 1e9) + gpu.images([1], 32, torch.device("cpu"), 1e9)
    works = {"a training step, width 1", "32 x 32 px, width 1"}
    assert {(row.work, row.peer) for row in rows} >= {
        (work, peer) for work in works for peer in ("plain PyTorch", "torch.compile")
    }
    assert all(row.ours == 0.5 and row.theirs > 0 for row in rows)


def test_a_step_that_is_timed_is_one_of_the_training():
    assert scaling.step(width=1, tile=188) > 0
    assert torch.isfinite(training.ours(width=1)())


@pytest.mark.parametrize("seed", range(3))
def test_the_plain_weight_map_of_the_benchmark_is_ours(seed):
    rng = np.random.default_rng(seed)
    cells = np.kron(rng.integers(0, 2, (8, 8)), np.ones((6, 6), int)) * np.kron(
        np.arange(1, 65).reshape(8, 8), np.ones((6, 6), int)
    )
    cells[::6] = cells[:, ::6] = 0
    np.testing.assert_allclose(weights.plain(cells), weight_map(cells), atol=1e-5)


def test_peers_give_the_networks_answer(tmp_path):
    torch.manual_seed(0)
    model, tile = UNet(width=2).eval(), torch.randn(1, 1, 204, 204)
    with torch.inference_mode():
        expected = model(tile)
    assert torch.equal(prediction.plain(model, tile)(), expected)
    pytest.importorskip("monai", reason="a peer: the extra [peers] is not installed")
    inner = prediction.monai(model, tile)()[..., 92:-92, 92:-92]
    torch.testing.assert_close(inner, expected)
    pytest.importorskip("onnxruntime", reason="a peer: the extra [peers] is not installed")
    (found,) = prediction.onnx(model, tile, tmp_path)()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_larger_tiles_repeat_less():
    shares = [large.repeated(tile) for tile in (188, 380, 572, 1100, 4092)]
    assert shares == sorted(shares, reverse=True) and 0 < shares[-1] < 0.05 and shares[0] > 0.9


@pytest.mark.parametrize("count", [30, 300])
def test_a_crowd_has_about_as_many_cells_as_asked_for(count):
    labels, probability = scaling.crowd(count, side=256)
    assert labels.shape == probability.shape == (256, 256) and 0 <= probability.min() <= probability.max() <= 1
    assert 0.8 * count <= scaling.ndimage.label(labels)[1] <= 1.2 * count
