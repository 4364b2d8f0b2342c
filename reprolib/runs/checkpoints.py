"""Checkpoints: all that a training needs to go on to the same bits, in one safetensors file with its checksum."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from cattrs import BaseValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from reprolib.errors import InputError
from reprolib.evaluation.scores import converter
from reprolib.experiment import Experiment
from reprolib.files import cache_folder, replacing
from reprolib.runs.records import CurvePoint, Environment, Stretch
from reprolib.strict import what_is_wrong

# Of a State: what is stored as text, and its type. Checkpoints of an earlier version lack those from "before" on.
TEXTS = {
    "seconds": float,
    "peak_memory": int,
    "curve": tuple[CurvePoint, ...],
    "environment": Environment,
    "before": tuple[Stretch, ...],
    "key": str,
}
ADDED = {"before": "[]", "key": '""'}
DAMAGES = (SafetensorError, BaseValidationError, KeyError, TypeError, ValueError, RecursionError)  # what readers raise


@dataclass
class State:
    """A training under way: the network, its optimiser, the losses so far, and the seconds and memory they took."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    losses: list[float] = field(default_factory=list)
    curve: tuple[CurvePoint, ...] = ()  # scores along the way, see `train.curve_steps`
    seconds: float = 0.0
    peak_memory: int = 0  # bytes
    environment: Environment | None = None  # what its bits depend on; None where no checkpoint is written
    before: tuple[Stretch, ...] = ()  # where its first steps ran, if elsewhere
    key: str = ""  # of the experiment


def checkpoint_path(experiment: Experiment) -> Path:
    """Where the checkpoint of a training under way lies."""
    return cache_folder() / "checkpoints" / f"{experiment.name}.safetensors"


def save_checkpoint(state: State, path: Path) -> None:
    """Write network, optimiser, losses, curve, seconds, memory and environment; whole or not at all."""
    tensors = {f"model.{name}": value.detach().cpu() for name, value in state.model.state_dict().items()}
    for index, slots in state.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": value.cpu() for name, value in slots.items() if value is not None}
    tensors["losses"] = torch.tensor(state.losses, dtype=torch.float64)
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    texts = {name: json.dumps(converter.unstructure(getattr(state, name))) for name in TEXTS}
    with replacing(path) as aside:
        save_file(tensors, aside, metadata=texts | {"sha256": json.dumps(checksum(tensors, texts))})


def checksum(tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> str:
    """SHA-256 of a checkpoint's content: each tensor's name, type, shape and bytes, and the texts beside them."""
    found = hashlib.sha256(json.dumps([texts[name] for name in TEXTS if name in texts]).encode())
    for name, value in sorted(tensors.items()):
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def load_checkpoint(state: State, path: Path, anyway: bool = False) -> None:
    """Put a checkpoint's content into ``state``.

    Args:
        anyway: go on in another environment than the checkpoint's; the state then says where the first steps ran.

    Raises:
        InputError: if the file is damaged, or of another experiment, or was made in another environment than the
            state's, where a resumed training would come to other bits than either; says what to do.
    """
    try:
        tensors, texts = _content(path)
        told = {name: converter.structure(json.loads((ADDED | texts)[name]), kind) for name, kind in TEXTS.items()}
        losses = tensors["losses"].tolist()
        slots: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimiser."):
                _, index, slot = name.split(".")
                slots.setdefault(int(index), {})[slot] = value
    except DAMAGES as error:
        raise _damaged(path, what_is_wrong(error)) from None
    if told["key"] not in ("", state.key):
        raise InputError(f"the checkpoint {path} is of another experiment, {told['key']}; delete it to start again")
    if changed := differences(told["environment"], state.environment):
        if not anyway:
            raise InputError(
                f"the checkpoint {path} was made otherwise ({changed}), and going on would give other bits: set it as"
                " it was, delete the checkpoint to start again, or go on with --resume-anyway, and the record says so"
            )
        told["before"] = (*told["before"], Stretch(len(losses), told["environment"]))
    try:
        state.model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    except RuntimeError as error:
        raise _damaged(path, what_is_wrong(error)) from None
    state.seconds, state.peak_memory, state.curve = told["seconds"], told["peak_memory"], told["curve"]
    state.losses, state.before = losses, told["before"]
    groups = state.optimiser.state_dict()["param_groups"]
    state.optimiser.load_state_dict({"state": slots, "param_groups": groups})


def _content(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        texts = file.metadata() or {}
    if json.loads(texts["sha256"]) != checksum(tensors, texts):
        raise InputError("its checksum differs")
    return tensors, texts


def differences(then: Environment, now: Environment) -> str:
    """What differs of two environments, such as "threads 1 then and 2 now"; "" if nothing does."""

    def flat(one: Environment) -> dict[str, object]:
        found = asdict(one)
        return found | found.pop("libraries")

    was, here = flat(then), flat(now)
    names = [name for name in dict.fromkeys((*was, *here)) if was.get(name) != here.get(name)]
    return ", ".join(f"{name} {was.get(name, 'none')} then and {here.get(name, 'none')} now" for name in names)


def _damaged(path: Path, why: str) -> InputError:
    return InputError(f"the checkpoint {path} is damaged ({why}); delete it to start again")
