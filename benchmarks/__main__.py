"""Time the project against its peers and its limits: python -m benchmarks [NAME ...] [--write]

NAMEs: training, prediction, quantised, large, rescaled, weights, deformation, metrics, scaling, project (default: all,
about half an hour); and, only if asked for, cluster, and gpu, where there is one. Each is described at the head of its
file. ``--write`` stores the figures in measured.json beside this file, where the book reads them, each part by its
name. Let nothing else run meanwhile. The peers are an extra (elasticdeform's wheels are older than NumPy 2, so it is
compiled):

    pip install -c constraints.txt --no-binary elasticdeform -e '.[dev,peers]'
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
import tempfile
from pathlib import Path

import torch

from benchmarks.timing import CPU, Row, machine
from reprolib.files import write_text

NAMES = (
    "training",
    "prediction",
    "quantised",
    "large",
    "rescaled",
    "weights",
    "deformation",
    "metrics",
    "scaling",
    "project",
)
GPU = "gpu"
ASKED_FOR = ("cluster", GPU)
EVERY = (*NAMES, *ASKED_FOR)
FILE = Path(__file__).with_name("measured.json")


def table(rows: list[Row]) -> str:
    """The rows as plain text."""
    head = f"{'work':62s}{'against':24s}{'theirs':>10s}{'ours':>10s} {'':10s}{'ratio':>8s}{'wanted':>8s}"
    lines = [head]
    for row in rows:
        wanted = f"{row.least:8.2f}  {'met' if row.met else 'NOT MET'}" if row.least is not None else ""
        lines.append(
            f"{row.work:62s}{row.peer:24s}{row.theirs:10.4g}{row.ours:10.4g} {row.unit:10s}{row.ratio:8.2f}{wanted}"
        )
    return "\n".join(lines)


def main(words: list[str]) -> int:
    names = [word for word in words if word != "--write"] or list(NAMES)
    if unknown := [name for name in names if name not in EVERY]:
        print(
            f"there is no benchmark {unknown[0]!r}: choose from {', '.join(EVERY)}, --write",
            file=sys.stderr,
        )
        return 2
    if GPU in names and not torch.cuda.is_available():
        print(f"the benchmark {GPU} needs a GPU with CUDA, and there is none here", file=sys.stderr)
        return 2
    known = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    every: list[Row] = []
    for name in names:
        on = machine(torch.device("cuda") if name == GPU else CPU)
        print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in on.items()), flush=True)
        measure = importlib.import_module(f"benchmarks.{name}").measure
        with tempfile.TemporaryDirectory() as folder:
            rows, more = measure(Path(folder)) if "folder" in inspect.signature(measure).parameters else measure()
        every += rows
        print(f"{name}: done", file=sys.stderr, flush=True)
        if "--write" in words:
            known[name] = {"machine": on, "rows": [row.to_dict() for row in rows], **more}
            write_text(FILE, json.dumps({key: known[key] for key in EVERY if key in known}, indent=1) + "\n")
    print(table(every))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
