"""Run records: what was run, on what, with which outcome. A value, ``Record``, with one reader and one writer.

A record is a JSON file named after its experiment; its weights lie beside it (`reprolib.runs.weights`). Records that
the book publishes lie in ``runs/`` of the project; runs made on this machine go to the cache folder.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reprolib.errors import InputError, NotRecorded
from reprolib.evaluation.scores import Scores, converter
from reprolib.experiment import Experiment
from reprolib.files import PROJECT, cache_folder, replacing

PUBLISHED = Path(os.environ.get("REPROLIB_RUNS") or PROJECT / "runs")
FORMAT = 1  # of the record; raised when a field changes its meaning


@dataclass(frozen=True)
class Environment:
    """What a run's bits depend on besides its experiment; `machine.environment` tells it of the machine here."""

    code: str  # the commit, see `code_version`
    python: str
    libraries: dict[str, str]  # name -> version
    processor: str
    instructions: str  # "AVX512" ...
    threads: int
    device: str  # "cpu" or "cuda"
    number_format: str  # "bfloat16" or "float32"


@dataclass(frozen=True)
class Weights:
    """The file of weights that the scores belong to."""

    sha256: str
    bytes: int
    kept: bool  # False: only their hash is left


@dataclass(frozen=True)
class CurvePoint:
    """Scores of a few images along the way, by metric, at the threshold 0.5."""

    step: int
    training: dict[str, float]
    held_out: dict[str, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Record:
    """A recorded run."""

    experiment: Experiment
    data: dict[str, str]  # file or folder -> SHA-256 of its pixels
    environment: Environment
    date: str  # UTC, year-month-day
    training_seconds: float
    scoring_seconds: float
    peak_memory_bytes: int
    weights: Weights
    loss: tuple[float, ...]  # of every step
    curve: tuple[CurvePoint, ...] | None = None  # None: an older record, which has none
    scores: Scores
    path: Path | None = None  # of the file that it was read from

    @property
    def weights_path(self) -> Path:
        """Where the weights lie, if they were kept; of a record that was read from a file."""
        return self.path.with_suffix(".safetensors")


converter.register_structure_hook(Experiment, lambda body, _: Experiment.from_dict(body))
converter.register_unstructure_hook(Experiment, Experiment.to_dict)


def find(experiment: Experiment, folders: Sequence[Path] | None = None) -> Record | None:
    """The record of exactly this experiment: the published one, else one made on this machine, else None."""
    for folder in folders or (PUBLISHED, cache_folder() / "runs"):
        path = folder / f"{experiment.name}.json"
        if path.exists():
            return read(path)
    return None


def obtained(experiments: Iterable[Experiment]) -> list[Record]:
    """The published records of experiments, in their order.

    Raises:
        NotRecorded: if one is not there; names the first.
    """
    records = []
    for experiment in experiments:
        record = find(experiment, (PUBLISHED,))
        if record is None:
            raise NotRecorded(f"{experiment.name} is not recorded: see reprolib plan")
        records.append(record)
    return records


def available(experiments: Iterable[Experiment]) -> list[Record]:
    """The published records of those experiments that have one, in their order."""
    records = (find(experiment, (PUBLISHED,)) for experiment in experiments)
    return [record for record in records if record]


def read(path: Path) -> Record:
    """Read and check a record.

    Raises:
        InputError: if the file is no record of this format, or its experiment does not have the key it claims.
        FileNotFoundError: if there is no such file.
    """
    path = Path(path)
    try:
        body = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except (UnicodeDecodeError, json.JSONDecodeError, InputError) as error:
        raise InputError(
            f"{path} is no run record: it is not valid JSON ({error}); restore it or train again"
        ) from None
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise InputError(f"{path} is no run record of format {FORMAT}; restore it or train again")
    if not isinstance(body.get("experiment"), dict) or "key" not in body:
        raise InputError(f"{path} is no run record: its experiment or key is missing; restore it or train again")
    try:
        experiment = Experiment.from_dict(body["experiment"])
    except InputError as error:
        raise InputError(f"{path} does not hold an experiment of this version: {error}") from None
    if experiment.key != body["key"]:
        raise InputError(f"{path} was changed: its experiment has the key {experiment.key}, not {body['key']}")
    body = {name: value for name, value in body.items() if name not in ("format", "key")}
    try:
        record = replace(converter.structure(body, Record), path=path)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is no whole run record ({error}); restore it or train again") from None
    if len(record.loss) != experiment.steps or not all(0 <= loss < math.inf for loss in record.loss):
        raise InputError(
            f"{path} is no whole run record: it needs {experiment.steps} finite losses of 0 or more, one a step, and"
            f" holds {len(record.loss)}, or others among them; restore it or train again"
        )
    return record


def _no_number(constant: str) -> float:
    raise InputError(f"{constant} is no number of a record")


def write(record: Record, folder: Path) -> Path:
    """Write a record as JSON under its experiment's name; whole or not at all. Returns its path."""
    body = {"format": FORMAT, "key": record.experiment.key} | converter.unstructure(replace(record, path=None))
    text = json.dumps(body, indent=1, allow_nan=False)
    path = folder / f"{record.experiment.name}.json"
    with replacing(path) as aside:
        aside.write_text(compact_numbers(text) + "\n", encoding="utf-8")
    return path


def compact_numbers(text: str) -> str:
    """Put lists that hold only numbers on one line, so that a loss history of thousands reads as one.

    Only between the values of indented JSON is there a raw line break, so no string can be met here.
    """
    return re.sub(r"\[\n[-+.\deE,\s]*\]", lambda found: f"[{' '.join(found[0][1:-1].split())}]", text)
