"""Damaged run records: each must be read as just what it says, or give one sentence that names the file.

File number k of a seed is always the same: a published record of each kind, whose bytes or values were changed.
"""

from __future__ import annotations

import copy
import json
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from reprolib.errors import InputError, ReprolibError
from reprolib.experiment import Experiment
from reprolib.files import PROJECT
from reprolib.plan import verify
from reprolib.runs import records

OTHERS = (None, True, 0, -1, 10**400, 1e300, 0.5, "", "0.5", "a\nb", "x" * 5000, [], [[]], {}, {"score": 1}, "\ud800")
KEPT = 8  # items of a long list


@cache
def originals() -> tuple[dict, ...]:
    """A published record for each set of parts that there is, its long lists cut short where no check forbids it."""
    by_kind = {}
    for path in sorted((PROJECT / "runs").glob("*.json")):
        body = json.loads(path.read_text(encoding="utf-8"))
        scores = {name: _short(part) for name, part in body["scores"].items()}
        kind = (body["experiment"]["data"].split("-")[0], *sorted(scores), "curve" in body)
        if kind not in by_kind or len(body["loss"]) < len(by_kind[kind]["loss"]):
            by_kind[kind] = body | {"scores": scores}
    return tuple(by_kind.values())


def _short(part):
    """A part of the scores without the most of its images and cells."""
    if isinstance(part, dict):
        return {name: _short(one) for name, one in part.items()}
    return part[:KEPT] if isinstance(part, list) else part


def damaged(seed: int, number: int) -> tuple[str, bytes]:
    """File ``number`` of a seed: what of it was changed, and its content."""
    rng = np.random.default_rng((seed, number))
    body = copy.deepcopy(originals()[int(rng.integers(len(originals())))])
    how = int(rng.integers(4))
    if how:
        for _ in range(1 + int(rng.integers(2))):
            _change(body, rng)
    content = json.dumps(body, indent=int(rng.integers(2)) or None)
    if how == 1:  # JSON's extensions, and names twice
        places = [place for place in range(len(content)) if content[place] in "0123456789"]
        place = places[int(rng.integers(len(places)))]
        other = ("NaN", "Infinity", "1e999", '"1"', "[", "9" * 5000, '0, "key": 1')[int(rng.integers(7))]
        content = content[:place] + other + content[place + 1 :]
    damaged = bytearray(content.encode())
    if how == 0:
        for _ in range(int(rng.integers(1, 4))):
            damaged[int(rng.integers(len(damaged)))] ^= 1 << int(rng.integers(8))
        if rng.integers(4) == 0:
            del damaged[int(rng.integers(len(damaged))) :]
    return ("bytes", "text", "values", "values")[how], bytes(damaged)


def _change(body: dict, rng: np.random.Generator) -> None:
    """Delete, repeat, rename or replace one value; each level of the record is as likely to be met."""
    node, key = body, ""
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = keys[int(rng.integers(len(keys)))]
        if not isinstance(node[key], dict | list) or not node[key] or rng.integers(4) == 0:
            break
        node = node[key]
    how = rng.integers(4)
    if how == 0:
        del node[key]
    elif how == 1 and isinstance(node, list):
        node.insert(key, copy.deepcopy(node[key]))
    elif how == 1:
        node[f"{key}x"] = node.pop(key)
    else:
        node[key] = copy.deepcopy(OTHERS[int(rng.integers(len(OTHERS)))])


def outcome(path: Path) -> str:
    """ "record" if it was read as just what it says, "sentence", or a fault."""
    try:
        record = records.read(path)
    except InputError as error:
        told = str(error)
        return "sentence" if path.name in told and "\n" not in told and len(told) < 600 else f"poor sentence: {told}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    try:
        verify.printed_figures(record.scores)
    except ReprolibError:
        pass
    except Exception as error:
        return f"{type(error).__name__} of its figures: {error}"
    said = json.loads(path.read_text(encoding="utf-8"))
    said["experiment"] = Experiment().to_dict() | said["experiment"]
    again = json.loads(records.write(record, path.parent / "again").read_text(encoding="utf-8"))
    return "record" if _said(again) == _said(said) else "read as something else than it says"


def _said(value):
    """A value without the names that say nothing: null and empty lists stand for parts that are not there."""
    if isinstance(value, dict):
        return {name: _said(one) for name, one in value.items() if one not in (None, [])}
    return [_said(one) for one in value] if isinstance(value, list) else value


def judge(seed: int, number: int) -> tuple[str, str]:
    """What of a damaged record was changed, and its outcome."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "damaged.json"
        what, content = damaged(seed, number)
        path.write_bytes(content)
        return what, outcome(path)
