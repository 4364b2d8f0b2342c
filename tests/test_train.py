"""Training: the same seed gives the same bits, killed or not; and the update is the one of the textbook."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from trainings import CPU, SMALL, run, same, tiny

from reprolib import data, sampling, train
from reprolib.augment import augment, warp
from reprolib.errors import InputError
from reprolib.evaluation import score
from reprolib.evaluation.prediction import covering_tile
from reprolib.experiment import Experiment
from reprolib.loss import IGNORE, separate, weight_map
from reprolib.runs import records
from reprolib.runs.checkpoints import State
from reprolib.tiling import evaluating, predict

KINDS = {
    "sgd": SMALL,
    "batch": SMALL.replace(batch=3),
    "adam": SMALL.replace(optimiser="adam"),
    "adam-cosine": SMALL.replace(optimiser="adam", schedule="cosine", learning_rate=0.01, flip=True),
    "adam-fused": SMALL.replace(optimiser="adam", fused=True),
    "sgd-cosine-same": SMALL.replace(schedule="cosine", padding="same", tile=64),
    "half-scale-rigid": SMALL.replace(scale=0.5, elastic=0.0),
}


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """Runs and checkpoints of this test alone, and no published ones."""
    monkeypatch.setenv("REPROLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(records, "PUBLISHED", tmp_path / "published")
    return tmp_path / "cache"


def step_of(experiment: Experiment, state: State, samples: list, step: int) -> torch.Tensor:
    """One step with the sample that is its own."""
    (drawn,) = sampling.draw_samples(experiment, (step,), len(samples), CPU)
    return train.train_step(experiment, state, samples, step, drawn)


# --- reproducible ----------


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    first = run(SMALL, 3)
    assert same(first, run(SMALL, 3))
    other = run(SMALL.replace(seed=1), 3)
    assert first.losses[0] != other.losses[0]
    assert not torch.equal(first.model.head.weight, other.model.head.weight)


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_that_was_stopped_goes_on_to_the_same_bits(kind, tmp_path):
    experiment, path = KINDS[kind], tmp_path / "checkpoint"
    whole = run(experiment, 6)
    assert len(run(experiment, 2, path).losses) == 2
    assert len(run(experiment, 3, path).losses) == 3
    resumed = run(experiment, 6, path)
    assert same(resumed, whole)
    assert len(whole.losses) == 6


def train_for_long(checkpoint: str) -> None:
    """What the process that is to be killed does: train, with a checkpoint after every step."""
    torch.set_num_threads(int(os.environ["THREADS"]))
    train.CHECKPOINT_EVERY = 0.0
    train.run_steps(LONG, tiny(), CPU, LONG.steps, checkpoint=Path(checkpoint))


LONG = SMALL.replace(optimiser="adam", schedule="cosine", steps=100_000)


def steps_in(checkpoint: Path) -> int:
    with safe_open(checkpoint, "pt") as file:
        return len(file.get_tensor("losses"))


def test_a_killed_training_goes_on_to_the_same_bits(tmp_path):
    path, here = tmp_path / "checkpoints" / "long.safetensors", Path(__file__).resolve().parent
    paths = os.pathsep.join([str(here), str(here.parent), os.environ.get("PYTHONPATH", "")])
    child = subprocess.Popen(
        [sys.executable, "-c", f"import test_train; test_train.train_for_long({str(path)!r})"],
        env=os.environ | {"PYTHONPATH": paths, "THREADS": str(torch.get_num_threads())},
    )
    try:
        patience = time.monotonic() + 180
        while not (path.exists() and steps_in(path) >= 3):
            assert child.poll() is None, "the training ended by itself"
            assert time.monotonic() < patience, "the training wrote no checkpoint"
            time.sleep(0.005)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert child.returncode == -signal.SIGKILL
    done = steps_in(path)
    assert 3 <= done < LONG.steps
    resumed = run(LONG, done + 2, path)
    assert len(resumed.losses) == done + 2
    assert same(resumed, run(LONG, done + 2))


def test_an_interrupted_training_keeps_its_last_checkpoint(tmp_path, monkeypatch):
    path, step = tmp_path / "checkpoint", train.train_step

    def until_the_fourth(experiment, state, samples, number, drawn):
        if number == 4:
            raise KeyboardInterrupt
        return step(experiment, state, samples, number, drawn)

    with monkeypatch.context() as patch:
        patch.setattr(train, "CHECKPOINT_EVERY", 0.0)
        patch.setattr(train, "train_step", until_the_fourth)
        with pytest.raises(KeyboardInterrupt):
            run(SMALL, 6, path)
    assert steps_in(path) == 3
    assert same(run(SMALL, 6, path), run(SMALL, 6))


def test_a_resumed_training_says_so_and_adds_up_its_seconds(tmp_path):
    path, lines = tmp_path / "checkpoint", []
    first = run(SMALL, 2, path)
    second = train.run_steps(SMALL, tiny(), CPU, 3, lines.append, path)
    assert lines[0] == "resuming after step 2"
    assert re.fullmatch(r"step 3/3, loss \d\.\d{4}, .*, 00:00 left", lines[-1]) and len(lines) == 2
    assert second.seconds > first.seconds > 0
    assert second.peak_memory >= first.peak_memory > 10**7


def equal(one: sampling.Sample, other: sampling.Sample) -> bool:
    grids = one.warp.grid, other.warp.grid
    alike = grids[0] is grids[1] if None in grids else torch.equal(*grids)
    return (one.image, one.warp.uniform, one.dropout) == (other.image, other.warp.uniform, other.dropout) and alike


@pytest.mark.parametrize("elastic", [0.0, 10.0])
def test_a_steps_sample_is_the_same_drawn_alone_or_among_others(elastic):
    experiment = SMALL.replace(elastic=elastic)
    several = [one for (one,) in sampling.draw_samples(experiment, range(1, 9), 7, CPU)]
    for step, sample in enumerate(several, start=1):
        torch.manual_seed(step)  # the state of the process does not matter
        assert equal(sample, sampling.draw_samples(experiment, (step,), 7, CPU)[0][0])
        assert equal(sample, sampling.draw_samples(experiment.replace(steps=99), (step - 1, step), 7, CPU)[1][0])
        assert not equal(sample, sampling.draw_samples(experiment.replace(seed=1), (step,), 7, CPU)[0][0])
    assert not any(equal(*pair) for pair in itertools.combinations(several, 2))


def test_a_tiles_sample_is_the_same_in_a_batch_of_any_size_and_in_any_part_of_it():
    batch = SMALL.replace(batch=4)
    ((alone,),) = sampling.draw_samples(SMALL, (5,), 7, CPU)
    (four,) = sampling.draw_samples(batch, (5,), 7, CPU)
    (half,) = sampling.draw_samples(batch, (5,), 7, CPU, range(2, 4))
    assert len(four) == 4 and equal(alone, four[0]) and len(half) == 2
    assert all(equal(*pair) for pair in zip(half, four[2:], strict=True))
    assert not any(equal(*pair) for pair in itertools.combinations(four, 2))
    assert len({one.dropout for one in four}) == 4


def test_a_sample_holds_the_numbers_that_augmentation_draws_from_the_steps_generator():
    ((sample,),) = sampling.draw_samples(SMALL, (5,), 3, CPU)
    generator = torch.Generator().manual_seed(sampling.derived_seed(SMALL.seed, 5))
    assert sample.image == int(torch.randint(3, (1,), generator=generator))
    image, planes = torch.randn(64, 64), torch.randn(2, 64, 64)
    one, other = warp(image, planes, 188, sample.warp), augment(image, planes, 188, generator)
    assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])


def test_every_training_image_is_drawn():
    drawn = [sample.image for (sample,) in sampling.draw_samples(SMALL, range(1, 301), 3, CPU)]
    assert [drawn.count(image) for image in range(3)] == pytest.approx([100] * 3, abs=35)


@pytest.mark.parametrize("together", [4, 50])
def test_steps_whose_losses_are_fetched_together_give_the_same_bits(together, tmp_path, monkeypatch):
    """On a GPU 50 steps' samples are drawn, and their losses fetched, together. Here the CPU does so in its stead: on a
    GPU itself it was not measured.
    """
    experiment, path = SMALL.replace(optimiser="adam"), tmp_path / "checkpoint"
    whole = run(experiment, 6)
    monkeypatch.setitem(train.FETCH, "cpu", together)
    assert same(run(experiment, 6), whole)
    assert len(run(experiment, 3, path).losses) == 3
    assert same(run(experiment, 6, path), whole)


def test_a_training_that_diverges_among_steps_fetched_together_names_its_step(monkeypatch):
    experiment = SMALL.replace(learning_rate=10.0, steps=30)
    messages = []
    for together in (1, 7):
        monkeypatch.setitem(train.FETCH, "cpu", together)
        with pytest.raises(ValueError, match=r"diverged at step \d+") as caught:
            run(experiment, 30)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_looks_on_the_way_change_no_bit(monkeypatch):
    seen, experiment = [], SMALL.replace(optimiser="adam")
    monkeypatch.setattr(train, "LOOK_EVERY", 0.0)

    def look(model, step):
        seen.append((step, model.training))
        torch.rand(3)
        with evaluating(model):
            model(torch.zeros(1, 1, 188, 188))

    state = train.run_steps(experiment, tiny(), CPU, 4, look=look)
    assert seen == [(step, True) for step in (1, 2, 3, 4)] and same(state, run(experiment, 4))


def test_a_step_fetches_no_number_from_the_device(monkeypatch):
    """On a GPU each fetch would wait for all that is under way; the loss is fetched after the step."""
    state, samples = train.initial_state(SMALL, CPU), sampling.prepare(SMALL, tiny(), CPU)
    (drawn,) = sampling.draw_samples(SMALL, (1,), len(samples), CPU)

    fetched = []
    for name in ("item", "tolist", "cpu", "numpy"):
        monkeypatch.setattr(torch.Tensor, name, lambda self, *a, name=name, **k: fetched.append(name))
    loss = train.train_step(SMALL, state, samples, 1, drawn)
    monkeypatch.undo()
    assert not fetched and loss.ndim == 0 and not loss.requires_grad and math.isfinite(loss.item())


# --- the curve ----------


@pytest.fixture
def with_curve(monkeypatch) -> Experiment:
    """An experiment of so many steps that it counts as long."""
    monkeypatch.setattr(train, "CURVE_FROM", 20)
    return SMALL.replace(optimiser="adam", schedule="cosine", steps=20)


def test_a_long_training_is_scored_at_each_eighth_and_a_short_one_never():
    assert train.curve_steps(Experiment(steps=3000)) == [375, 750, 1125, 1500, 1875, 2250, 2625, 3000]
    assert train.curve_steps(Experiment(steps=1001))[::7] == [125, 1001]
    assert train.curve_steps(Experiment(steps=999)) == [] != train.curve_steps(Experiment(steps=1000))
    assert run(SMALL, 6).curve == ()


def test_a_curve_has_eight_points_and_changes_no_bit(with_curve, monkeypatch):
    state = run(with_curve, 20)
    assert [point.step for point in state.curve] == [2, 5, 7, 10, 12, 15, 17, 20]
    for point in state.curve:
        for part in (point.training, point.held_out):
            assert part.keys() == {"seg", "foreground_iou"}
            assert all(0 <= figure <= 1 for figure in part.values())
    assert state.curve[-1] == records.CurvePoint(20, **score.curve_point(with_curve, state.model, tiny()))
    monkeypatch.setattr(train, "CURVE_FROM", 21)
    plain = run(with_curve, 20)
    assert plain.curve == () and same(state, plain)


@pytest.mark.parametrize("together", [1, 4])
def test_a_training_that_was_stopped_has_the_whole_curve(with_curve, together, tmp_path, monkeypatch):
    whole, path = run(with_curve, 20), tmp_path / "checkpoint"
    monkeypatch.setitem(train.FETCH, "cpu", together)
    for steps, points in ((6, 2), (7, 3), (13, 5)):
        assert len(run(with_curve, steps, path).curve) == points
    resumed = run(with_curve, 20, path)
    assert resumed.curve == whole.curve and same(resumed, whole)


def test_the_curve_is_recorded(with_curve, cache):
    record = train.train(with_curve, "cpu", None, dataset=tiny(), keep_weights=False)
    assert [point.step for point in record.curve] == train.curve_steps(with_curve)
    assert train.train(SMALL.replace(steps=1), "cpu", None, dataset=tiny(), keep_weights=False).curve == ()


def test_seeds_of_steps_are_pinned_and_all_different():
    assert [sampling.derived_seed(*pair) for pair in ((0, 0), (0, 1), (1, 0), (7, 3000))] == [
        2968811710,
        3964924996,
        1835504127,
        3217256756,
    ]
    assert [sampling.derived_seed(7, 3000, tile) for tile in (0, 1, 2)] == [3217256756, 587486574, 2894781491]
    seeds = [sampling.derived_seed(seed, step, tile) for seed in range(4) for step in range(1500) for tile in (0, 1)]
    assert len(set(seeds)) == len(seeds)
    assert not {seed + 1 for seed in seeds} & set(seeds)  # dropout's
    assert 0 <= min(seeds) and max(seeds) < 2**32


# --- the update ----------


def test_sgd_is_the_textbooks_update_with_momentum_099():
    experiment = SMALL.replace(learning_rate=0.01, schedule="cosine", steps=4)
    samples, state = sampling.prepare(experiment, tiny(), CPU), train.initial_state(experiment, CPU)
    velocity = [torch.zeros_like(p) for p in state.model.parameters()]
    for step in (1, 2, 3):
        before = [p.detach().clone() for p in state.model.parameters()]
        step_of(experiment, state, samples, step)
        rate = 0.01 * (1 + math.cos(math.pi * (step - 1) / 4)) / 2
        moved = 0
        for k, parameter in enumerate(state.model.parameters()):
            velocity[k] = 0.99 * velocity[k] + parameter.grad
            torch.testing.assert_close(parameter.detach(), before[k] - rate * velocity[k], rtol=1e-5, atol=1e-8)
            moved += int((parameter != before[k]).sum())
        assert moved > 1000


def test_adams_first_step_moves_every_weight_with_a_gradient_by_the_learning_rate():
    experiment = SMALL.replace(optimiser="adam", learning_rate=0.01)
    samples, state = sampling.prepare(experiment, tiny(), CPU), train.initial_state(experiment, CPU)
    before = [p.detach().clone() for p in state.model.parameters()]
    step_of(experiment, state, samples, 1)
    for old, parameter in zip(before, state.model.parameters(), strict=True):
        clear = parameter.grad.abs() > 1e-5
        wanted = old - 0.01 * parameter.grad.sign()
        torch.testing.assert_close(parameter.detach()[clear], wanted[clear], rtol=0, atol=2e-5)


def test_a_step_depends_on_seed_and_step_alone():
    """The same step, from the same weights, gives the same loss; another sees another tile and dropout."""
    samples = sampling.prepare(SMALL, tiny(), CPU)
    losses = []
    for step in (5, 5, 6):
        state = train.initial_state(SMALL, CPU)
        losses.append(step_of(SMALL, state, samples, step))
    assert losses[0] == losses[1] != losses[2]


def test_the_first_loss_is_that_of_a_hand_made_step():
    """With the shift alone, and one class everywhere, the loss is the mean of w log(1 + exp(-margin))."""
    experiment = SMALL.replace(elastic=0.0, rotate=False, grey=0.0, dropout=0.0, weights="none")
    samples, state, seen = sampling.prepare(experiment, tiny(), CPU), train.initial_state(experiment, CPU), []
    everything_is_cell = [(image, torch.stack([torch.ones(64, 64), torch.full((64, 64), 3.0)])) for image, _ in samples]
    state.model.register_forward_hook(lambda _, x, y: seen.append(y.detach().float()))
    loss = step_of(experiment, state, everything_is_cell, 1)
    margin = seen[0][0, 1] - seen[0][0, 0]
    assert margin.shape == (4, 4)
    assert loss == pytest.approx(3 * torch.log1p(torch.exp(-margin.double())).mean().item(), rel=1e-5)


@pytest.mark.parametrize("part", [slice(0, 3), slice(1, 2)])
def test_the_gradient_of_a_batch_is_the_mean_of_its_tiles_gradients(part, monkeypatch):
    """Each tile's by itself, from the same weights: its own image, deformation, dropout and annotated pixels."""
    monkeypatch.setattr(train, "number_format", lambda _: "float32")  # a third rounds otherwise in bfloat16
    experiment = SMALL.replace(batch=3)
    samples = sampling.prepare(experiment, tiny(), CPU)
    (drawn,) = sampling.draw_samples(experiment, (4,), len(samples), CPU)

    def gradients(which: list) -> tuple[float, list[torch.Tensor]]:
        state = train.initial_state(experiment, CPU)
        loss = float(train.train_step(experiment, state, samples, 4, which))
        return loss, [parameter.grad.clone() for parameter in state.model.parameters()]

    each = []
    for sample in drawn:
        state = train.initial_state(SMALL, CPU)
        loss = float(train.train_step(SMALL, state, samples, 4, [sample]))
        each.append((loss, [parameter.grad for parameter in state.model.parameters()]))
    loss, found = gradients(drawn[part])
    chosen = each[part]
    assert len({one for one, _ in each}) == 3
    assert loss == pytest.approx(sum(one for one, _ in chosen) / 3, rel=1e-5)
    for k, gradient in enumerate(found):
        torch.testing.assert_close(gradient, sum(one[k] for _, one in chosen) / 3, rtol=1e-4, atol=1e-7)


def test_the_cosine_falls_from_the_full_rate_through_half_of_it_to_zero():
    cosine = Experiment(schedule="cosine", learning_rate=0.2, steps=100)
    rates = [train.learning_rate(cosine, step) for step in range(1, 102)]
    assert rates[0] == 0.2
    assert rates[50] == pytest.approx(0.1)
    assert rates[100] == pytest.approx(0, abs=1e-12)
    assert all(later < earlier for earlier, later in itertools.pairwise(rates))
    assert {train.learning_rate(Experiment(learning_rate=0.2), step) for step in (1, 50, 3000)} == {0.2}


def test_the_loss_falls_on_easy_images():
    experiment = Experiment(
        data="phantom-dic", fold=2, width=4, tile=204, steps=40, optimiser="adam", learning_rate=0.01,
        weights="balanced", dropout=0.0,
    )  # fmt: skip
    losses = run(experiment, 40).losses
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:5])


def test_a_learning_rate_that_is_too_high_is_said_to_diverge(cache):
    experiment = SMALL.replace(learning_rate=10.0, steps=30)
    with pytest.raises(ValueError, match=r"diverged at step \d+: the loss is (nan|inf); lower the learning rate"):
        train.train(experiment, "cpu", None, dataset=tiny())
    assert not list(cache.rglob("*.json")) and not list(cache.rglob("*.part"))


# --- what is trained on ----------


def test_samples_hold_class_and_weight_and_leave_out_what_is_not_annotated():
    dataset = tiny()
    samples = sampling.prepare(SMALL, dataset, CPU)
    assert len(samples) == 2
    for index, (image, (target, weights)) in enumerate(samples):
        apart, ignore = separate(dataset.instances[index]), dataset.ignore[index]
        assert image.shape == target.shape == weights.shape == (64, 64)
        assert (target.numpy()[ignore] == IGNORE).all() and not weights.numpy()[ignore].any()
        np.testing.assert_array_equal(target.numpy()[~ignore], (apart > 0)[~ignore])
        np.testing.assert_array_equal(weights, weight_map(apart, ignore=ignore))
        assert (target == 0)[:, 8:56][29 + 4 * index : 31 + 4 * index].all()  # the border drawn between the two cells


def test_the_four_energies_differ_by_their_weights():
    plain, balanced, borders, full = (
        sampling.prepare(SMALL.replace(weights=w), tiny(), CPU)[0][1][1]
        for w in ("none", "balanced", "borders", "full")
    )
    annotated = ~torch.from_numpy(tiny().ignore[0])
    assert (plain[annotated] == 1).all()
    assert len(balanced[annotated].unique()) == 2 and balanced[annotated].mean().item() == pytest.approx(1, rel=1e-5)
    assert (full >= balanced).all() and full[29:31, 20].min() > 5
    assert torch.allclose((borders - plain)[annotated], (full - balanced)[annotated], atol=1e-5)
    flat = sampling.prepare(SMALL.replace(w0=0.0), tiny(), CPU)[0][1][1]
    assert torch.equal(flat, balanced)


def test_at_another_scale_labels_are_resampled_before_the_borders_are_drawn():
    dataset = tiny()
    samples = sampling.prepare(SMALL.replace(scale=0.5), dataset, CPU)
    for index, (image, (target, weights)) in enumerate(samples):
        small, ignore = dataset.instances[index][1::2, 1::2], dataset.ignore[index][1::2, 1::2]
        apart = separate(small)
        assert image.shape == target.shape == weights.shape == (32, 32)
        assert image.mean().item() == pytest.approx(0, abs=1e-5)
        assert (image[target == 1].mean() - image[target == 0].mean()).item() > 1.5  # cells are bright
        np.testing.assert_array_equal(target.numpy() == IGNORE, ignore)
        np.testing.assert_array_equal(target.numpy()[~ignore], (apart > 0)[~ignore])
        np.testing.assert_array_equal(weights, weight_map(apart, ignore=ignore))


def test_held_out_images_are_never_touched():
    dataset = tiny()
    dataset.images[2] = 0  # to look at it would raise: a constant image cannot be normalised
    assert len(sampling.prepare(SMALL, dataset, CPU)) == 2
    with pytest.raises(ValueError, match="constant"):
        sampling.prepare(SMALL.replace(fold=1), dataset, CPU)


def test_near_the_edge_only_masked_pixels_are_trained_on():
    dataset = dataclasses.replace(tiny(), border=9)
    target, weights = sampling.prepare(SMALL, dataset, CPU)[0][1]
    gold, ignore = dataset.instances[0] > 0, dataset.ignore[0]
    for y, x in itertools.product(range(64), repeat=2):
        near = min(y, x, 63 - y, 63 - x) < 9
        out = ignore[y, x] or (near and not gold[y, x])
        assert (target[y, x] == IGNORE) == out and (weights[y, x] == 0) == out
    # the border drawn between the two touching cells is background, not unlabelled
    assert target[29, 8] == target[30, 8] == 0 and gold[29, 8] and gold[30, 8]


# --- from an experiment to its record ---


def test_a_training_is_recorded_once_and_then_read(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "load", lambda name, folder=None: tiny(name))
    lines: list[str] = []
    record = train.obtain(SMALL, "cpu", lines.append)
    assert record.experiment == SMALL and json.loads(record.path.read_text())["key"] == SMALL.key
    assert len(record.loss) == 6 and record.loss == pytest.approx(run(SMALL, 6).losses, rel=1e-6)
    assert record.data == {"images": "0" * 64}
    assert record.training_seconds >= 0 and record.peak_memory_bytes > 10**7
    assert lines[-1] == f"recorded: {record.path}"
    assert not [path for path in (cache / "checkpoints").iterdir() if path.suffix != ".lock"]
    assert sorted(p.suffix for p in (cache / "runs").iterdir()) == [".json", ".safetensors"]

    monkeypatch.setattr(train, "train", None)  # from here on nothing can be trained
    assert train.obtain(SMALL) == record

    published = records.write(record, tmp_path / "published").parent  # a record without its weights, which comes first
    monkeypatch.setattr(records, "PUBLISHED", published)
    assert train.obtain(SMALL).path.parent == published
    assert train.obtain(SMALL, weights=True) == record and train.obtain(SMALL, weights=True).path == record.path

    # The scores are those of the stored half-precision weights.
    probability = predict(train.network(record), tiny().images[2], tile=covering_tile(64))[None, 1]
    again = score.evaluate(tiny(), [2], probability)
    assert record.scores.held_out.keys() == again.keys() and len(again) >= 2
    for name, result in again.items():
        assert record.scores.held_out[name].score == pytest.approx(result.score, abs=1e-9)
    assert [image.name for image in record.scores.images] == ["c"]


def test_weights_that_are_not_kept_leave_their_hash(cache):
    record = train.train(SMALL.replace(steps=1), "cpu", None, dataset=tiny(), keep_weights=False)
    assert not record.weights_path.exists()
    assert len(record.weights.sha256) == 64 and record.weights.kept is False


def test_a_fold_that_is_not_there_is_refused_before_any_step(cache):
    with pytest.raises(ValueError, match="phantom-dic has no fold 3: choose 1 to 2"):
        train.train(SMALL.replace(fold=3), "cpu", None, dataset=tiny())
    assert not [path for path in cache.rglob("*.*") if path.suffix != ".lock"]


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_a_training_without_room_for_its_checkpoint_is_refused_before_any_step(cache, tmp_path, monkeypatch, kind):
    experiment = Experiment(data="phantom-em", width=2, tile=188, steps=1, optimiser=kind)
    monkeypatch.setattr(train, "run_steps", lambda *_: pytest.fail("a step was taken"))
    size = train.CHECKPOINT_BYTES * sum(values.numel() for values in train.build(experiment).parameters())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=size - 1))
    with pytest.raises(InputError, match="MiB are needed: make room"):
        train.train(experiment, "cpu", None)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file is a file, no folder"):
        train.train(experiment, "cpu", None, tmp_path / "file")
