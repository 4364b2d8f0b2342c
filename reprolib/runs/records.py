"""Run records: what was run, on what, with which outcome. A value, ``Record``, with one reader and one writer.

A record is a JSON file named after its experiment; its weights lie beside it (`reprolib.runs.weights`). Records that
the book publishes lie in ``runs/`` of the project; runs made on this machine go to the cache folder.
"""

from __future__ import annotations

import json
import os
import re
import reprlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from cattrs import BaseValidationError, override

from reprolib.errors import InputError, NotRecorded
from reprolib.evaluation.scores import Scores, converter
from reprolib.experiment import Experiment
from reprolib.files import PROJECT, cache_folder, replacing
from reprolib.strict import read_json, shortened, what_is_wrong

PUBLISHED = Path(os.environ.get("REPROLIB_RUNS") or PROJECT / "runs")
FORMAT = 1  # of the record; raised when a field changes its meaning
MOST_THREADS = 1024


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
    processes: int = 1  # that shared each batch


@dataclass(frozen=True)
class Stretch:
    """The first part of a training that went on elsewhere (`--resume-anyway`): its last step, and where it ran."""

    until: int
    environment: Environment


@dataclass(frozen=True)
class Weights:
    """The file of weights that the scores belong to."""

    sha256: str
    bytes: int
    kept: bool  # False: only their hash is left


@dataclass(frozen=True)
class CurvePoint:
    """Scores of a few images along the way at the threshold 0.5, see `score.curve_point`."""

    step: int
    training: dict[str, float]  # by metric, or "mean_iou" of classes
    held_out: dict[str, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Record:
    """A recorded run."""

    experiment: Experiment
    data: dict[str, str]  # file or folder -> SHA-256 of its pixels
    environment: Environment  # of the training's end, and of the scores
    date: str  # UTC, year-month-day
    training_seconds: float
    scoring_seconds: float
    peak_memory_bytes: int  # of the first process
    weights: Weights
    loss: tuple[float, ...]  # of every step
    curve: tuple[CurvePoint, ...] | None = None  # None: an older record, which has none
    scores: Scores
    before: tuple[Stretch, ...] = ()  # of a training that went on elsewhere: where its first steps ran, in order
    path: Annotated[Path | None, override(omit=True)] = None  # of the file that it was read from; not in it

    @property
    def rotated(self) -> bool:
        """Whether it holds the scores of the mean over rotated versions (Table 1)."""
        return bool(self.scores.rotated or (self.scores.test and self.scores.test.rotated))

    @property
    def weights_path(self) -> Path:
        """Where the weights lie, if they were kept; of a record that was read from a file."""
        return self.path.with_suffix(".safetensors")


converter.register_structure_hook(Experiment, lambda body, _: Experiment.from_dict(body))
converter.register_unstructure_hook(Experiment, Experiment.to_dict)


def printed(loss: float) -> float:
    """A loss to the digits that a record keeps."""
    return float(f"{loss:.7g}")


def find(experiment: Experiment, folders: Sequence[Path] | None = None, weights: bool = False) -> Record | None:
    """The record of exactly this experiment: the published one, else one made on this machine, else None.

    Args:
        folders: where to look, in this order.
        weights: pass over a record whose weights do not lie beside it.

    Raises:
        InputError: if the file of its name is damaged, or is about another experiment.
    """
    for folder in folders or (PUBLISHED, cache_folder() / "runs"):
        path = folder / f"{experiment.name}.json"
        if path.exists():
            record = read(path)
            if record.experiment != experiment:
                raise InputError(f"{path} is about another experiment, {record.experiment.name}: restore it")
            if record.weights_path.is_file() or not weights:
                return record
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
        InputError: if the file is no record of this format: a value of another type than its field's, a field missing
            or unknown, a number that is not finite; or if its experiment does not have the key it claims. One sentence.
        FileNotFoundError: if there is no such file.
    """
    path = Path(path)
    try:
        body = read_json(path)
        if not isinstance(body, dict) or body.get("format") != FORMAT:
            raise InputError(f"its format is not {FORMAT}")
        for name, kind, wanted in (("experiment", dict, "an object"), ("key", str, "text")):
            if type(body.get(name)) is not kind:
                raise InputError(f"{name}: {wanted} is wanted")
        key = body["key"]
        record = converter.structure({k: v for k, v in body.items() if k not in ("format", "key")}, Record)
    except (InputError, BaseValidationError) as error:
        raise InputError(f"{path} is no run record ({what_is_wrong(error)}); restore it or train again") from None
    if record.experiment.key != key:
        raise InputError(
            f"{path} was changed: its experiment has the key {record.experiment.key}, not {shortened(key)}"
        )
    if fault := _fault(record):
        raise InputError(f"{path} is no run record ({fault}); restore it or train again")
    return replace(record, path=path)


def _fault(record: Record) -> str | None:
    """What is wrong with values that are of the right types, if anything."""
    steps = record.experiment.steps
    if len(record.loss) != steps or min(record.loss) < 0:
        return (
            f"loss: {steps} numbers of 0 or more are wanted, one a step, not {len(record.loss)}, or others among them"
        )
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", record.date, re.ASCII):
        return f"date: a date such as 2026-01-31 is wanted, not {reprlib.repr(record.date)}"
    if not re.fullmatch("[0-9a-f]{64}", record.weights.sha256):
        return f"weights.sha256: 64 digits are wanted, not {reprlib.repr(record.weights.sha256)}"
    for one in (record.environment, *(stretch.environment for stretch in record.before)):
        if not 1 <= one.threads <= MOST_THREADS:
            return f"environment.threads: 1 to {MOST_THREADS} are wanted, not {one.threads}"
        if one.processes < 1 or record.experiment.batch % one.processes:
            return f"environment.processes: they share a batch of {record.experiment.batch}, and {one.processes} cannot"
    ends = [0, *(stretch.until for stretch in record.before)]
    if sorted(set(ends)) != ends or ends[-1] > steps:
        return f"before: steps from 1 to {steps} that grow are wanted, not {reprlib.repr(ends[1:])}"
    spent = (record.weights.bytes, record.training_seconds, record.scoring_seconds, record.peak_memory_bytes)
    if min(spent) < 0:
        return f"its bytes and seconds are numbers of 0 or more, not {min(spent)}"
    for name in ("classes", "training_classes"):
        one = getattr(record.scores, name)
        if one and {len(one.confusion), *map(len, one.confusion)} != {len(one.names)}:
            return f"scores.{name}.confusion: a row and a column for each of {len(one.names)} names is wanted"
    return None


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
