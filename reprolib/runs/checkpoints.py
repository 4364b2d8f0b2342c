"""Checkpoints: all that a training needs to go on to the same bits, in one safetensors file with its checksum."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from reprolib.errors import InputError
from reprolib.experiment import Experiment
from reprolib.files import cache_folder, replacing

SPENT = ("seconds", "peak_memory", "curve", "environment")  # of a State: what is stored as text


@dataclass
class State:
    """A training under way: the network, its optimiser, the losses so far, and the seconds and memory they took."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    losses: list[float] = field(default_factory=list)
    curve: list[dict] = field(default_factory=list)  # scores along the way, see `train.curve_steps`
    seconds: float = 0.0
    peak_memory: int = 0  # bytes
    environment: dict = field(default_factory=dict)  # what its bits depend on, see `records.Environment`


def checkpoint_path(experiment: Experiment) -> Path:
    """Where the checkpoint of a training under way lies."""
    return cache_folder() / "checkpoints" / f"{experiment.name}.safetensors"


def save_checkpoint(state: State, path: Path) -> None:
    """Write network, optimiser, losses, curve, seconds and memory as safetensors; whole or not at all."""
    tensors = {f"model.{name}": value.detach().cpu() for name, value in state.model.state_dict().items()}
    for index, slots in state.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": value.cpu() for name, value in slots.items() if value is not None}
    tensors["losses"] = torch.tensor(state.losses, dtype=torch.float64)
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    spent = {name: json.dumps(getattr(state, name)) for name in SPENT}
    with replacing(path) as aside:
        save_file(tensors, aside, metadata=spent | {"sha256": json.dumps(checksum(tensors, spent))})


def checksum(tensors: Mapping[str, Tensor], spent: Mapping[str, str]) -> str:
    """SHA-256 of a checkpoint's content: each tensor's name, type, shape and bytes, and the text beside them."""
    found = hashlib.sha256(json.dumps([spent[name] for name in SPENT]).encode())
    for name, value in sorted(tensors.items()):
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def load_checkpoint(state: State, path: Path) -> None:
    """Put a checkpoint's content into ``state``.

    Raises:
        InputError: if the file is damaged, or was made in another environment than the state's, where a resumed
            training would come to other bits than either; says what to do. The code may differ.
    """
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            texts = file.metadata() or {}
        if json.loads(texts["sha256"]) != checksum(tensors, texts):
            raise InputError(f"the checkpoint {path} is damaged (its checksum differs); delete it to start again")
        spent = {name: json.loads(texts[name]) for name in SPENT}
        was, here = spent["environment"], state.environment
        if changed := [name for name in here if name != "code" and was[name] != here[name]]:
            told = ", ".join(f"{name} {was[name]} then and {here[name]} now" for name in changed)
            raise InputError(
                f"the checkpoint {path} was made otherwise ({told}), and going on would give other bits:"
                " set it as it was, or delete the checkpoint to start again"
            )
        state.seconds, state.peak_memory, state.curve = spent["seconds"], spent["peak_memory"], spent["curve"]
        state.losses = tensors["losses"].tolist()
        state.model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    except (SafetensorError, RuntimeError, KeyError, TypeError, json.JSONDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"the checkpoint {path} is damaged ({reason}); delete it to start again") from None
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimiser."):
            _, index, slot = name.split(".")
            slots.setdefault(int(index), {})[slot] = value
    groups = state.optimiser.state_dict()["param_groups"]
    state.optimiser.load_state_dict({"state": slots, "param_groups": groups})
