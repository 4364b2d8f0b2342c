"""Training (Sec. 3): stochastic gradient descent, one large tile at a time, from a seed, resumable after a kill.

``obtain`` is the one call that chapters use: the recorded run of an experiment if there is one, else train it here.

All randomness of step t comes from (seed, t) alone. So a run that was killed goes on from its last checkpoint to the
same bits as one that was not, on the same machine and thread count.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from reprolib import ancestors, data, records, score
from reprolib.augment import Draw, draw, normalise, warp
from reprolib.checkpoints import checkpoint_path, load_checkpoint, save_checkpoint
from reprolib.experiment import Experiment, training_indices
from reprolib.locks import holding
from reprolib.loss import IGNORE, separate, weight_map, weighted_cross_entropy
from reprolib.machine import choose_device, number_format, peak_memory
from reprolib.model import UNet
from reprolib.resample import resample_image, resample_labels

CHECKPOINT_EVERY = 120.0  # seconds
FETCH = {"cpu": 1, "cuda": 50}  # steps whose losses are fetched together
CURVE_FROM, CURVE_POINTS = 1000, 8  # trainings of so many steps or more are scored so often along the way
REPORT_EVERY = 10.0  # seconds
Report = Callable[[str], None]


def obtain(experiment: Experiment, device: str = "auto", report: Report | None = print) -> dict:
    """The recorded run of exactly this experiment; if there is none, train and record it on this machine.

    Returns:
        The record (see ``reprolib.records``); ``records.weights_path(record)`` is where its weights lie, if kept.
    """
    return records.find(experiment) or train(experiment, device=device, report=report)


def train(
    experiment: Experiment,
    device: str = "auto",
    report: Report | None = print,
    folder: Path | None = None,
    dataset: data.Dataset | None = None,
    keep_weights: bool = True,
    rotations: bool = False,
) -> dict:
    """Train an experiment, score the stored weights on the images held out, and write the record.

    Interrupted, it leaves a checkpoint and goes on from there at the next call.

    Args:
        experiment: what to train.
        device: "auto" (a GPU where there is one), "cpu" or "cuda".
        report: called with a line of progress every few seconds; None for silence.
        folder: where record and weights go (default: ``runs`` in the cache folder).
        dataset: the data set, if it is loaded already.
        keep_weights: leave the weights beside the record; else only their hash stays.
        rotations: score the mean over 7 rotated versions as well (Table 1); takes ten times as long as without.

    Raises:
        ValueError: if the fold does not exist, the data set is not the experiment's, or the training diverges.
        reprolib.data.MissingData: if the data set is not on this machine.
    """
    folder = folder or records.cache_folder() / "runs"
    chosen = choose_device(device)
    dataset = dataset or data.load(experiment.data)
    if dataset.name != experiment.data:
        raise ValueError(f"the experiment is about the data set {experiment.data!r}, not {dataset.name!r}")
    if experiment.test:
        score.second_test(experiment)  # what it lacks is told now, not after the training
    with holding(experiment):
        state = run_steps(experiment, dataset, chosen, experiment.steps, report, checkpoint_path(experiment))
        path = record_state(experiment, state, dataset, chosen, folder, keep_weights, rotations, report)
        checkpoint_path(experiment).unlink(missing_ok=True)
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
    weights = folder / f"{records.record_name(experiment)}.safetensors"
    sha256 = records.save_weights(state.model, weights)
    model = records.load_weights(build(experiment), weights, sha256).to(chosen)  # the scores are the stored weights'
    started = time.perf_counter()
    scores = score.score(experiment, model, dataset, report, rotations)
    record = {
        "format": records.FORMAT,
        "key": experiment.key,
        "experiment": experiment.to_dict(),
        "data": dataset.hashes,
        "environment": records.environment(chosen, number_format(chosen)),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "training_seconds": round(state.seconds, 2),
        "scoring_seconds": round(time.perf_counter() - started, 1),
        "peak_memory_bytes": max(state.peak_memory, peak_memory(chosen)),
        "weights": {"sha256": sha256, "bytes": weights.stat().st_size, "kept": keep_weights},
        "loss": [float(f"{value:.7g}") for value in state.losses],
        "curve": state.curve,
        "scores": scores,
    }
    path = records.write(record, folder)
    if not keep_weights:
        weights.unlink()
    return path


def add_rotations(record: dict, report: Report | None = print) -> dict:
    """Score a record's kept weights with the mean over 7 rotated versions too, and write that into the record.

    Raises:
        FileNotFoundError, ValueError: if the weights are not there, or do not give the recorded scores any more.
    """
    experiment = Experiment.from_dict(record["experiment"])
    scores = score.score(experiment, network(record), data.load(experiment.data), report, rotations=True)
    for metric, known in record["scores"].get("held_out", {}).items():
        if not math.isclose(known["score"], scores["held_out"][metric]["score"], abs_tol=1e-4):
            raise ValueError(f"{record['path']}: its weights no longer give the recorded {metric}; see reprolib verify")
    added = {part: scores[part] for part in ("rotated", "test") if part in scores}
    rotated = record | {"scores": record["scores"] | added}
    return records.read(records.write(rotated, record["path"].parent))


class State:
    """A training under way: the network, its optimiser, the losses so far, and the seconds and memory they took."""

    def __init__(self, experiment: Experiment, device: torch.device):
        torch.manual_seed(derived_seed(experiment.seed, 0))
        self.model = build(experiment).to(device)
        if device.type == "cuda":
            self.model = self.model.to(memory_format=torch.channels_last)
        self.optimiser = build_optimiser(experiment, self.model)
        self.losses: list[float] = []
        self.curve: list[dict] = []  # scores along the way, see `curve_steps`
        self.seconds = 0.0
        self.peak_memory = 0  # bytes


def run_steps(
    experiment: Experiment,
    dataset: data.Dataset,
    device: torch.device,
    steps: int,
    report: Report | None = None,
    checkpoint: Path | None = None,
) -> State:
    """Train the first ``steps`` steps of an experiment, from the checkpoint if there is one."""
    samples = prepare(experiment, dataset, device)
    state = State(experiment, device)
    if checkpoint and checkpoint.exists():
        load_checkpoint(state, checkpoint)
        if report:
            report(f"resuming after step {len(state.losses)}")
    first, started, before = len(state.losses), time.perf_counter(), state.seconds
    reported = saved = started
    points = curve_steps(experiment)
    while (done := len(state.losses)) < steps:
        ahead = min([done + FETCH[device.type], steps, *(point for point in points if point > done)])
        drawn = draw_samples(experiment, range(done + 1, ahead + 1), len(samples), device)
        losses = [train_step(experiment, state, samples, done + 1 + k, one) for k, one in enumerate(drawn)]
        for loss in torch.stack(losses).tolist():  # on a GPU the only wait for what was sent to it
            state.losses.append(loss)
            if not math.isfinite(loss):
                step = len(state.losses)
                raise ValueError(f"the training diverged at step {step}: the loss is {loss}; lower the learning rate")
        if ahead in points:
            state.curve.append({"step": ahead} | score.curve_point(experiment, state.model, dataset))
        now = time.perf_counter()
        state.seconds = before + now - started
        state.peak_memory = max(state.peak_memory, peak_memory(device))
        if report and (now - reported > REPORT_EVERY or ahead == steps):
            reported = now
            pace = (now - started) / (ahead - first)
            recent = sum(state.losses[-50:]) / len(state.losses[-50:])
            report(
                f"step {ahead}/{steps}  loss {recent:.4f}  {pace:.2f} s/step  {time_left(pace * (steps - ahead))} left"
            )
        if checkpoint and (now - saved > CHECKPOINT_EVERY or ahead == steps):
            saved = now
            save_checkpoint(state, checkpoint)
    return state


def curve_steps(experiment: Experiment) -> list[int]:
    """The steps after which a long training is scored on a few images: each eighth of it."""
    if experiment.steps < CURVE_FROM:
        return []
    return [experiment.steps * k // CURVE_POINTS for k in range(1, CURVE_POINTS + 1)]


class Sample(NamedTuple):
    """Which training image a step takes, and the random numbers of its augmentation."""

    image: int
    warp: Draw


def draw_samples(experiment: Experiment, steps: Iterable[int], images: int, device: torch.device) -> list[Sample]:
    """The random numbers of some steps, each from (seed, step) alone; their grids go to the device in one transfer."""
    found = []
    for step in steps:
        generator = torch.Generator().manual_seed(derived_seed(experiment.seed, step))
        image = int(torch.randint(images, (1,), generator=generator))
        found.append(Sample(image, draw(generator, experiment.elastic)))
    if device.type == "cpu" or experiment.elastic == 0:
        return found
    grids = torch.stack([sample.warp.grid for sample in found]).to(device)
    return [Sample(one.image, Draw(one.warp.uniform, grid)) for one, grid in zip(found, grids, strict=True)]


def train_step(
    experiment: Experiment, state: State, samples: list[tuple[Tensor, Tensor]], step: int, drawn: Sample
) -> Tensor:
    """One step of Sec. 3: a random tile of a random training image, Eq. 1, back-propagation, update.

    All that it computes lies on the device of the samples, and nothing waits for it there.

    Returns:
        The loss, a scalar on the device.
    """
    image, labels = samples[drawn.image]
    device = image.device
    tile, planes = warp(
        image,
        labels,
        experiment.tile,
        drawn.warp,
        rotate=experiment.rotate,
        grey=experiment.grey,
        flip=experiment.flip,
        halo=state.model.geometry.halo,
    )
    rate = learning_rate(experiment, step)
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    torch.manual_seed(derived_seed(experiment.seed, step) + 1)  # dropout
    state.model.train()
    reduced = number_format(device) == "bfloat16"
    tile = tile[None, None]
    if reduced:
        tile = tile.to(memory_format=torch.channels_last)
    with torch.autocast(device.type, torch.bfloat16, enabled=reduced):
        logits = state.model(tile)
    target, weights = planes
    loss = weighted_cross_entropy(logits, target.long()[None], weights[None])
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    state.optimiser.step()
    return loss.detach()


def prepare(experiment: Experiment, dataset: data.Dataset, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """The training images as (normalised image (H, W), label planes (2, H, W): class and weight), on the device.

    At another scale than 1 they are resampled first, so that separation borders are as wide as at full size.
    """
    samples = []
    for index in training_indices(experiment, dataset):
        instances = separate(resample_labels(dataset.instances[index], experiment.scale))
        ignore = resample_labels(data.untrained(dataset, index), experiment.scale)
        target = np.where(ignore, IGNORE, instances > 0)
        weights = weight_map(
            instances,
            class_weights="balanced" if experiment.weights in ("balanced", "full") else None,
            w0=experiment.w0 if experiment.weights in ("borders", "full") else 0.0,
            sigma=experiment.sigma,
            ignore=ignore,
        )
        planes = torch.from_numpy(np.stack([target, weights]).astype(np.float32))
        image = normalise(resample_image(dataset.images[index], experiment.scale))
        samples.append((image.to(device), planes.to(device)))
    return samples


def build(experiment: Experiment) -> nn.Module:
    """The network of an experiment, freshly initialised from PyTorch's random state."""
    if experiment.variant in ancestors.GEOMETRY:
        return ancestors.build(experiment.variant, experiment.width, experiment.dropout)
    return UNet(
        width=experiment.width,
        variant=experiment.variant,
        dropout=experiment.dropout,
        skips=experiment.skips,
        padding=experiment.padding,
        initialisation=experiment.initialisation,
    )


def network(record: dict) -> nn.Module:
    """The network of a record that was read from a file, with its kept weights, on the CPU, in evaluation mode.

    Raises:
        FileNotFoundError, ValueError: if the weights are not there, or not the recorded ones.
    """
    model = build(Experiment.from_dict(record["experiment"]))
    return records.load_weights(model, records.weights_path(record), record["weights"]["sha256"])


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


def derived_seed(seed: int, step: int) -> int:
    """A seed for one step that depends on (seed, step) alone, unlike its neighbours."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1)[0])


def time_left(seconds: float) -> str:
    """Seconds as a person reads them: "48 s", "12 min", "2 h 05 min"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
