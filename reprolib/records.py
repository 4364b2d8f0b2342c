"""Run records: what was run, on what, with which outcome; and the weights that the scores belong to.

A record is a JSON file named after its experiment. Its weights are safetensors in half precision beside it. Records
that the book publishes lie in ``runs/`` of the project; runs made on this machine go to the cache folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from reprolib.experiment import Experiment
from reprolib.files import cache_folder, replacing

PROJECT = Path(__file__).resolve().parent.parent
PUBLISHED = Path(os.environ.get("REPROLIB_RUNS") or PROJECT / "runs")
FORMAT = 1  # of the record; raised when a field changes its meaning
LIBRARIES = ("torch", "numpy", "scipy", "scikit-image", "safetensors")


def record_name(experiment: Experiment) -> str:
    """File name (without ending) of an experiment's record: data, split, fold (if one is held out) and key."""
    fold = "" if experiment.split == "all" else experiment.fold
    return f"{experiment.data}-{experiment.split}{fold}-{experiment.key}"


def find(experiment: Experiment, folders: tuple[Path, ...] | None = None) -> dict | None:
    """The record of exactly this experiment: the published one, else one made on this machine, else None."""
    for folder in folders or (PUBLISHED, cache_folder() / "runs"):
        path = folder / f"{record_name(experiment)}.json"
        if path.exists():
            return read(path)
    return None


def read(path: Path) -> dict:
    """Read and check a record; it then knows its place: ``record["path"]``.

    Raises:
        ValueError: if the file is no record of this format, or its experiment does not have the key it claims.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} is no run record: it is not valid JSON ({error}); restore it or train again"
        ) from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ValueError(f"{path} is no run record of format {FORMAT}; restore it or train again")
    if not isinstance(record.get("experiment"), dict) or "key" not in record:
        raise ValueError(f"{path} is no run record: its experiment or key is missing; restore it or train again")
    try:
        experiment = Experiment.from_dict(record["experiment"])
    except ValueError as error:
        raise ValueError(f"{path} does not hold an experiment of this version: {error}") from None
    if experiment.key != record["key"]:
        raise ValueError(f"{path} was changed: its experiment has the key {experiment.key}, not {record['key']}")
    return record | {"path": Path(path)}


def write(record: dict, folder: Path) -> Path:
    """Write a record as JSON under its experiment's name; whole or not at all. Returns its path."""
    path = folder / f"{record_name(Experiment.from_dict(record['experiment']))}.json"
    body = {key: value for key, value in record.items() if key != "path"}
    text = json.dumps(body, indent=1, allow_nan=False)
    with replacing(path) as aside:
        aside.write_text(compact_numbers(text) + "\n", encoding="utf-8")
    return path


def compact_numbers(text: str) -> str:
    """Put lists that hold only numbers on one line, so that a loss history of thousands reads as one.

    Only between the values of indented JSON is there a raw line break, so no string can be met here.
    """
    return re.sub(r"\[\n[-+.\deE,\s]*\]", lambda found: f"[{' '.join(found[0][1:-1].split())}]", text)


def save_weights(model: nn.Module, path: Path) -> str:
    """Write the weights as float16 safetensors; returns the SHA-256 of the file.

    Raises:
        ValueError: if a weight is not finite, or too large for half precision.
    """
    tensors = {name: value.detach().cpu().half().contiguous() for name, value in model.state_dict().items()}
    for name, value in tensors.items():
        if not bool(torch.isfinite(value).all()):
            raise ValueError(f"the weights {name} hold values that half precision cannot: the training diverged")
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
        raise ValueError(f"the weights {path} were changed: SHA-256 {found[:12]}..., the record says {sha256[:12]}...")
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"the weights {path} are damaged or no safetensors file ({error})") from None
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    if wanted != {name: tuple(value.shape) for name, value in tensors.items()}:
        raise ValueError(f"the weights {path} belong to another network: names or shapes differ from this one's")
    model.load_state_dict(tensors)
    return model.eval()


def weights_path(record: dict) -> Path:
    """Where the weights of a record that was read from a file lie, if they were kept."""
    return record["path"].with_suffix(".safetensors")


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def environment(device: torch.device, number_format: str) -> dict:
    """What a run's bits depend on besides its experiment: code, libraries, processor, threads, number format."""
    return {
        "code": code_version(),
        "python": platform.python_version(),
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
        "processor": processor_name(device),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "device": device.type,
        "number_format": number_format,
    }


def code_version() -> str:
    """The commit of the project, with "+" if files of the module were changed since; the version outside a checkout."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(PROJECT), *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "reprolib")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return metadata.version("reprolib")


def processor_name(device: torch.device) -> str:
    """The name of the processor that does the arithmetic."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    capabilities: Callable[[], dict] | None = getattr(torch.cpu, "get_capabilities", None)
    name = capabilities().get("cpu_name") if capabilities else None
    return name or platform.processor() or platform.machine()
