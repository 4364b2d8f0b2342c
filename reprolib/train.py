"""Training (Sec. 3): stochastic gradient descent, one large tile a step, from a seed, resumable after a kill.

``obtain`` is the one call that chapters use: the recorded run of an experiment if there is one, else train it here.

All randomness of step t comes from (seed, t) alone. So a run that was killed goes on from its last checkpoint to the
same bits as one that was not, on the same machine and thread count. Several processes can share each batch
(`reprolib.runs.processes`); the first of them then scores and records.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from reprolib import ancestors, data, geometry
from reprolib.asides import under_way
from reprolib.augment import warp
from reprolib.errors import InputError
from reprolib.evaluation import score
from reprolib.experiment import Experiment
from reprolib.files import cache_folder, check_room, copy
from reprolib.loss import weighted_cross_entropy
from reprolib.model import UNet
from reprolib.progress import Progress, Report
from reprolib.runs import machine, processes, records
from reprolib.runs.checkpoints import State, checkpoint_path, load_checkpoint, save_checkpoint
from reprolib.runs.leftovers import remove_recorded
from reprolib.runs.locks import holding
from reprolib.runs.machine import choose_device, number_format, peak_memory
from reprolib.runs.records import CurvePoint, Record, Weights
from reprolib.runs.weights import load_weights, save_weights, start_path
from reprolib.sampling import Sample, derived_seed, draw_samples, prepare

CHECKPOINT_EVERY = 120.0  # seconds
CHECKPOINT_BYTES = 14  # a parameter: its value, Adam's two moments, and its value in half precision when it is done
LOOK_EVERY = 60.0  # seconds
Look = Callable[[nn.Module, int], None]
FETCH = {"cpu": 1, "cuda": 50, "mps": 50}  # steps whose losses are fetched together
CURVE_FROM, CURVE_POINTS = 1000, 8  # trainings of so many steps or more are scored so often along the way


def obtain(
    experiment: Experiment, device: str = "auto", report: Report | None = print, weights: bool = False
) -> Record:
    """The recorded run of exactly this experiment; if there is none, train and record it on this machine.

    Where another process trains it already, that one is waited for.

    Args:
        experiment, device, report: as of `train`.
        weights: a run whose weights are not kept is trained anew: for what shows the network itself.
    """
    return records.find(experiment, weights=weights) or train(experiment, device=device, report=report, wait=True)


def train(
    experiment: Experiment,
    device: str = "auto",
    report: Report | None = print,
    folder: Path | None = None,
    dataset: data.Dataset | None = None,
    keep_weights: bool = True,
    rotations: bool = False,
    look: Look | None = None,
    resume_anyway: bool = False,
    wait: bool = False,
) -> Record | None:
    """Train an experiment, score the stored weights on the images held out, and write the record.

    Interrupted, it leaves a checkpoint and goes on from there at the next call: in the environment that it was begun
    in (threads, device, versions of libraries and code), for others give other bits.

    Args:
        experiment: what to train.
        device: see `machine.choose_device`.
        report: called with a line of progress now and then; None for silence.
        folder: where record and weights go (default: ``runs`` in the cache folder).
        dataset: the data set, if it is loaded already.
        keep_weights: leave the weights beside the record; else only their hash stays.
        rotations: score the mean over 7 rotated versions as well (Table 1); takes ten times as long as without.
        look: called with the network about once a minute of training, and the steps that it has had.
        resume_anyway: go on from a checkpoint of another environment too; the record says which steps ran where.
        wait: for another process that trains this experiment; its record is taken if it holds what is asked for.

    Returns:
        The record; None in every process but the first, if there are several.

    Raises:
        ValueError: if the fold does not exist, the data set is not the experiment's, the folder cannot be written to or
            lacks room, several processes cannot share the batch, or the training diverges.
        reprolib.data.MissingData: if the data set is not on this machine.
    """
    folder = folder or cache_folder() / "runs"
    chosen = choose_device(device)
    dataset = dataset or data.load(experiment.data)
    if dataset.name != experiment.data:
        raise InputError(f"the experiment is about the data set {experiment.data!r}, not {dataset.name!r}")
    if len(dataset.classes) != experiment.classes:
        raise InputError(
            f"the experiment is for {experiment.classes} classes, and the labels have {len(dataset.classes)}"
        )
    if dataset.channels != experiment.channels:
        raise InputError(
            f"the experiment is for channels {experiment.channels}, and the images have {dataset.channels}"
        )
    with torch.device("meta"):  # counts, and takes no memory
        parameters = sum(values.numel() for values in build(experiment).parameters())
    remove_recorded(folder)
    for place in (folder, checkpoint_path(experiment).parent):
        check_room(place, CHECKPOINT_BYTES * parameters)
    if experiment.test:
        score.second_test(experiment)  # what it lacks is told now, not after the training
    target, first = folder / f"{experiment.name}.json", processes.number() == 0
    before = target.stat().st_mtime_ns if target.exists() else None
    checkpoint = checkpoint_path(experiment)
    with holding(experiment, (report or str) if wait else None) if first else contextlib.nullcontext() as waited:
        if waited and target.exists() and target.stat().st_mtime_ns != before:
            record = records.read(target)
            if (record.weights_path.exists() or not keep_weights) and (record.rotated or not rotations):
                return record
        with processes.together(chosen):
            state = run_steps(experiment, dataset, chosen, experiment.steps, report, checkpoint, look, resume_anyway)
        if not first:
            return None
        path = record_state(experiment, state, dataset, chosen, folder, keep_weights, rotations, report)
        checkpoint.unlink(missing_ok=True)
    if report:
        report(f"recorded: {path}")
    return records.read(path)


def record_state(
    experiment: Experiment,
    state: State,
    dataset: data.Dataset,
    chosen: torch.device,
    folder: Path,
    keep_weights: bool,
    rotations: bool,
    report: Report | None,
) -> Path:
    """Store the weights of a finished training in half precision, score them, and write the record; gives its path."""
    kept = folder / f"{experiment.name}.safetensors"
    stored = under_way(checkpoint_path(experiment).with_suffix(".weights"))
    try:
        sha256 = save_weights(state.model, stored)
        model = load_weights(build(experiment), stored, sha256).to(chosen)  # the scores are the stored weights'
        started = time.perf_counter()
        scores = score.score(experiment, model, dataset, report, rotations)
        record = Record(
            experiment=experiment,
            data=dataset.hashes,
            environment=state.environment,
            date=time.strftime("%Y-%m-%d", time.gmtime()),
            training_seconds=round(state.seconds, 2),
            scoring_seconds=round(time.perf_counter() - started, 1),
            peak_memory_bytes=max(state.peak_memory, peak_memory(chosen)),
            weights=Weights(sha256, stored.stat().st_size, keep_weights),
            loss=tuple(map(records.printed, state.losses)),
            scores=scores,
            curve=state.curve,
            before=state.before,
        )
        if keep_weights:
            copy(stored, kept)
        else:
            kept.unlink(missing_ok=True)  # an earlier training's
        return records.write(record, folder)
    finally:
        stored.unlink(missing_ok=True)


def add_rotations(record: Record, report: Report | None = print, dataset: data.Dataset | None = None) -> Record:
    """Score a record's kept weights with the mean over 7 rotated versions too, and write that into the record.

    Args:
        report, dataset: as for `train`.

    Raises:
        FileNotFoundError, ValueError: if the weights are not there, or do not give the recorded scores any more.
    """
    experiment = record.experiment
    dataset = dataset or data.load(experiment.data)
    scores = score.score(experiment, network(record), dataset, report, rotations=True)
    for metric, curve in (record.scores.held_out or {}).items():
        if not math.isclose(curve.score, scores.held_out[metric].score, abs_tol=1e-4):
            raise InputError(f"{record.path}: its weights no longer give the recorded {metric}; see reprolib verify")
    whole = replace(record.scores, rotated=scores.rotated, test=scores.test or record.scores.test)
    return records.read(records.write(replace(record, scores=whole), record.path.parent))


def initial_state(experiment: Experiment, device: torch.device) -> State:
    """A training before its first step."""
    torch.manual_seed(derived_seed(experiment.seed, 0))
    model = build(experiment)
    if experiment.start:
        load_weights(model, start_path(experiment.start))
    model = model.to(device)
    if device.type == "cuda":
        model = model.to(memory_format=torch.channels_last)
    return State(model, build_optimiser(experiment, model), key=experiment.key)


def run_steps(
    experiment: Experiment,
    dataset: data.Dataset,
    device: torch.device,
    steps: int,
    report: Report | None = None,
    checkpoint: Path | None = None,
    look: Look | None = None,
    resume_anyway: bool = False,
) -> State:
    """Train the first ``steps`` steps of an experiment, from the checkpoint if there is one, see `load_checkpoint`.

    Of several processes the first keeps the checkpoint, and tells its environment, not the others'.
    """
    tiles, first = processes.share(experiment.batch), processes.number() == 0
    samples = prepare(experiment, dataset, device)
    state = initial_state(experiment, device)
    if checkpoint:
        state.environment = machine.environment(device)
    if checkpoint and checkpoint.exists():
        load_checkpoint(state, checkpoint, resume_anyway or not first)
        if report:
            elsewhere = bool(state.before) and state.before[-1].until == len(state.losses)
            report(f"resuming after step {len(state.losses)}{', not as it was begun' if elsewhere else ''}")
    done = len(state.losses)
    processes.check_alike({"experiment": experiment.key, "images": dataset.hashes, "checkpoint": done})
    before, started = state.seconds, time.perf_counter()
    saved, looked, points = started, started, curve_steps(experiment)
    with Progress(steps, "step", report, done) as progress:
        while (done := len(state.losses)) < steps:
            ahead = min([done + FETCH[device.type], steps, *(point for point in points if point > done)])
            drawn = draw_samples(experiment, range(done + 1, ahead + 1), len(samples), device, tiles)
            losses = [train_step(experiment, state, samples, done + 1 + k, one) for k, one in enumerate(drawn)]
            for loss in torch.stack(losses).tolist():  # on a GPU the only wait for what was sent to it
                state.losses.append(loss)
                if not math.isfinite(loss):
                    step = len(state.losses)
                    raise InputError(
                        f"the training diverged at step {step}: the loss is {loss}; lower the learning rate"
                    )
            if ahead in points and first:
                point = CurvePoint(ahead, **score.curve_point(experiment, state.model, dataset))
                state.curve = (*state.curve, point)
            now = time.perf_counter()
            state.seconds = before + now - started
            state.peak_memory = max(state.peak_memory, peak_memory(device))
            if look and now - looked > LOOK_EVERY:
                look(state.model, ahead)
                looked = time.perf_counter()
            recent = state.losses[-50:]
            progress.set_postfix_str(f"loss {sum(recent) / len(recent):.4f}", refresh=False)
            progress.update(ahead - done)
            if checkpoint and first and (now - saved > CHECKPOINT_EVERY or ahead == steps):
                saved = now
                save_checkpoint(state, checkpoint)
    return state


def curve_steps(experiment: Experiment) -> list[int]:
    """The steps after which a long training is scored on a few images: each eighth of it."""
    if experiment.steps < CURVE_FROM:
        return []
    return [experiment.steps * k // CURVE_POINTS for k in range(1, CURVE_POINTS + 1)]


def train_step(
    experiment: Experiment, state: State, samples: list[tuple[Tensor, Tensor]], step: int, drawn: list[Sample]
) -> Tensor:
    """One step of Sec. 3: random tiles of random training images (one, by default), Eq. 1, back-propagation, update.

    The loss is the mean of the tiles' losses. Their gradients are added up tile by tile, in the memory that one takes,
    then over all processes.
    All that it computes lies on the device of the samples, and nothing waits for it there.

    Returns:
        The loss, a scalar on the device.
    """
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate(experiment, step)
    state.model.train()
    state.optimiser.zero_grad(set_to_none=True)
    device = samples[0][0].device
    reduced = number_format(device) == "bfloat16"
    losses = []
    for sample in drawn:
        image, labels = samples[sample.image]
        tile, (target, weights) = warp(
            image,
            labels,
            experiment.tile,
            sample.warp,
            rotate=experiment.rotate,
            grey=experiment.grey,
            flip=experiment.flip,
            halo=state.model.geometry.halo,
        )
        tile = tile.reshape(1, -1, experiment.tile, experiment.tile)
        if reduced:
            tile = tile.to(memory_format=torch.channels_last)
        torch.manual_seed(sample.dropout)
        with torch.autocast(device.type, torch.bfloat16, enabled=reduced):
            logits = state.model(tile)
        loss = weighted_cross_entropy(logits, target.long()[None], weights[None]) / experiment.batch
        loss.backward()
        losses.append(loss.detach())
    loss = torch.stack(losses).sum()
    processes.add_up([*(parameter.grad for parameter in state.model.parameters()), loss])
    state.optimiser.step()
    return loss


def build(experiment: Experiment) -> nn.Module:
    """The network of an experiment, freshly initialised from PyTorch's random state."""
    if experiment.variant in geometry.ANCESTORS:
        return ancestors.build(experiment.variant, experiment.width, experiment.dropout)
    return UNet(
        in_channels=experiment.planes,
        classes=max(2, experiment.classes),
        width=experiment.width,
        variant=experiment.variant,
        dropout=experiment.dropout,
        skips=experiment.skips,
        padding=experiment.padding,
        initialisation=experiment.initialisation,
    )


def network(record: Record) -> nn.Module:
    """The network of a record that was read from a file, with its kept weights, on the CPU, in evaluation mode.

    Raises:
        FileNotFoundError, ValueError: if the weights are not there, or not the recorded ones.
    """
    return load_weights(build(record.experiment), record.weights_path, record.weights.sha256)


def build_optimiser(experiment: Experiment, model: nn.Module) -> torch.optim.Optimizer:
    """SGD with momentum 0.99 (Sec. 3), or Adam (Kingma and Ba, 2015) as the named variant."""
    if experiment.optimiser == "adam":
        return torch.optim.Adam(model.parameters(), lr=experiment.learning_rate, fused=experiment.fused or None)
    return torch.optim.SGD(model.parameters(), lr=experiment.learning_rate, momentum=experiment.momentum)


def learning_rate(experiment: Experiment, step: int) -> float:
    """The learning rate of step 1..steps: constant, or falling to zero along half a cosine."""
    if experiment.schedule == "constant":
        return experiment.learning_rate
    return experiment.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - 1) / experiment.steps))
