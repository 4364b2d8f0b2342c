"""The status page: what each chapter's outputs come from, and the machine that made them."""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import dataclass, field

from reprolib import data

LIBRARIES = ("numpy", "scipy", "torch", "torchvision", "scikit-image", "matplotlib", "numba", "papermill")


@dataclass(frozen=True)
class Execution:
    """One execution of one chapter, as measured.

    `peak_mb` is the largest resident size (in MiB) of the kernel or of papermill itself, whichever is larger:
    it never reads below papermill's own, about 100 MiB.
    """

    chapter: str  # the notebook's name without its ending: "03_overlap_tile"
    code: str  # SHA-256 of the code cells that ran
    needs: tuple[str, ...]  # the data sets the chapter is about
    missing: tuple[str, ...]  # those of them that were absent
    date: str  # start, UTC, ISO 8601 to the minute
    seconds: float  # wall time, kernel start included
    peak_mb: float
    machine: dict = field(default_factory=dict)  # what environment() returned; empty until it is asked


@dataclass(frozen=True)
class Shown:
    """Which outputs of a chapter the site shows, and why."""

    chapter: str
    source: str  # "fresh" or "committed"
    why: str
    execution: Execution | None  # the execution whose outputs are shown, where it is on record


def environment(names: tuple[str, ...] = data.REAL) -> dict:
    """The machine: Python, system, processor, threads, versions, and the SHA-256 of the data sets in `names`.

    Loads every named data set that is present, which verifies its pixels.
    """
    import torch  # late: these take seconds to import, and memory that would count as a chapter's

    from reprolib import records

    known = records.environment(torch.device("cpu"), "float32")
    return {
        "python": known["python"],
        "system": f"{platform.system()} {platform.machine()}",
        "processor": f"{known['processor']} ({known['instructions']})",
        "accelerator": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none",
        "threads": known["threads"],
        "versions": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "data": {name: dict(data.load(name).hashes) for name in names if data.present(name)},
    }


def page(shown: list[Shown]) -> str:
    """The status page as MyST Markdown: one row a chapter, then each machine that made the outputs shown."""
    machines: list[dict] = []
    rows = []
    for item in shown:
        run = item.execution
        if run is None:
            rows.append(f"| {{doc}}`{item.chapter}` | {item.source} | {item.why} | not on record | | | |")
            continue
        if run.machine not in machines:
            machines.append(run.machine)
        rows.append(
            f"| {{doc}}`{item.chapter}` | {item.source} | {item.why} | {run.date} | {run.seconds:.0f} s "
            f"| {run.peak_mb:.0f} MiB | {machines.index(run.machine) + 1} |"
        )
    lines = [
        "# Status of this build",
        "",
        "*Fresh*: the chapter ran while this site was built, on the data that it is about, and its page",
        "shows that run. *Committed*: its page shows the outputs stored in the repository, which",
        "`make publish` writes, from the real data only.",
        "",
        "| Chapter | Outputs | Why | Executed (UTC) | Wall time | Peak memory | Machine |",
        "|---|---|---|---|---|---|---|",
        *rows,
    ]
    for number, machine in enumerate(machines, 1):
        lines += ["", f"## Machine {number}", "", *_machine_table(machine)]
        if not machine["data"]:
            lines += ["", "No real data set was present."]
    return "\n".join([*lines, "", *_pixels(machines), "", *_runs()]) + "\n"


def _pixels(machines: list[dict]) -> list[str]:
    """The hash of every file's pixels, once, with the machines that had them."""
    seen: dict[tuple[str, str, str], list[str]] = {}
    for number, machine in enumerate(machines, 1):
        for name, parts in machine["data"].items():
            for part, digest in parts.items():
                seen.setdefault((name, part, digest), []).append(str(number))
    lines = ["## Real data", "", "| Data set | Part | SHA-256 of its pixels | Machine |", "|---|---|---|---|"]
    return lines + [f"| {name} | {part} | `{digest}` | {', '.join(on)} |" for (name, part, digest), on in seen.items()]


def _runs() -> list[str]:
    """The recorded runs, grouped by when, on what and with which PyTorch they were made."""
    from reprolib import records  # late, as above

    groups: dict[tuple, list[dict]] = {}
    for path in sorted(records.PUBLISHED.glob("*.json")):
        run = records.read(path)
        where = run["environment"]
        made = (
            run["date"],
            f"{where['processor']} ({where['instructions']})",
            where["threads"],
            where["number_format"],
        )
        groups.setdefault((*made, where["libraries"]["torch"]), []).append(run)
    lines = ["## Recorded runs", "", "| Date | Processor | Threads | Numbers | PyTorch | Runs | Training |"]
    lines.append("|---|---|--:|---|---|--:|--:|")
    for made, runs in sorted(groups.items()):
        hours = sum(run["training_seconds"] for run in runs) / 3600
        lines.append(f"| {' | '.join(map(str, made))} | {len(runs)} | {hours:.1f} h |")
    return lines


def _machine_table(machine: dict) -> list[str]:
    rows = {
        "Processor": machine["processor"],
        "Accelerator": machine["accelerator"],
        "Threads": machine["threads"],
        "System": machine["system"],
        "Python": machine["python"],
        **machine["versions"],
    }
    return ["| What | Value |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
