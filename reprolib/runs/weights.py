"""Weights: half-precision safetensors, checked by their hash."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from reprolib.errors import InputError
from reprolib.files import cache_folder, copy, file_hash, replacing


def save_weights(model: nn.Module, path: Path) -> str:
    """Write the weights as float16 safetensors; returns the SHA-256 of the file.

    Raises:
        ValueError: if a weight is not finite, or too large for half precision.
    """
    tensors = {name: value.detach().cpu().half().contiguous() for name, value in model.state_dict().items()}
    for name, value in tensors.items():
        if not bool(torch.isfinite(value).all()):
            raise InputError(f"the weights {name} hold values that half precision cannot: the training diverged")
    with replacing(path) as aside:
        save_file(tensors, aside)
    return file_hash(path)


def load_weights(model: nn.Module, path: Path, sha256: str | None = None) -> nn.Module:
    """Load half-precision safetensors into ``model`` (which keeps its dtype) and return it, in evaluation mode.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if its hash is not ``sha256``, or it is damaged, or belongs to another network.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"the weights {path} are not there: train the experiment again, or restore the file")
    if sha256 is not None and (found := file_hash(path)) != sha256:
        raise InputError(f"the weights {path} were changed: SHA-256 {found[:12]}..., the record says {sha256[:12]}...")
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise InputError(f"the weights {path} are damaged or no safetensors file ({error})") from None
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    if wanted != {name: tuple(value.shape) for name, value in tensors.items()}:
        raise InputError(f"the weights {path} belong to another network: names or shapes differ from this one's")
    model.load_state_dict(tensors)
    return model.eval()


def keep_start(path: Path, sha256: str) -> str:
    """Keep a copy of weights for trainings that start from them; gives the name that ``Experiment.start`` takes.

    Raises:
        FileNotFoundError, ValueError: if there is no such file, or it is another one.
    """
    if not path.exists():
        raise FileNotFoundError(f"the weights {path} are not there: this run's were not kept")
    if (found := file_hash(path)) != sha256:
        raise InputError(f"the weights {path} were changed: SHA-256 {found[:12]}..., the record says {sha256[:12]}...")
    copy(path, _start(sha256[:16]))
    return sha256[:16]


def start_path(start: str) -> Path:
    """Where the weights lie that an experiment starts from.

    Raises:
        InputError: if they are not on this machine, or not those any more.
    """
    if not (path := _start(start)).exists():
        raise InputError(f"the weights {start} to start from are not here: name their record, --from RECORD")
    if (found := file_hash(path)[:16]) != start:
        raise InputError(
            f"the weights {path} to start from were changed (SHA-256 {found}...): name their record, --from RECORD"
        )
    return path


def _start(start: str) -> Path:
    return cache_folder() / "starts" / f"{start}.safetensors"
