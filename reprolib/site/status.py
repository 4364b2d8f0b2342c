"""The status page: what each chapter's outputs come from, and the machine that made them."""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import dataclass

import torch

from reprolib import data
from reprolib.printing import markdown, plain
from reprolib.runs import machine, records
from reprolib.runs.records import Record
from reprolib.site.chapters import Execution

LIBRARIES = ("numpy", "scipy", "torch", "torchvision", "scikit-image", "matplotlib", "numba", "papermill")


@dataclass(frozen=True)
class Shown:
    """Which outputs of a chapter the site shows, and why."""

    chapter: str
    source: str  # "fresh" or "committed"
    why: str
    execution: Execution | None  # the execution whose outputs are shown, where it is on record


def describe_machine(names: tuple[str, ...] = data.REAL) -> dict:
    """The machine: Python, system, processor, threads, versions, and the SHA-256 of the data sets in `names`.

    Loads every named data set that is present, which verifies its pixels.
    """
    here = machine.environment(torch.device("cpu"))
    return {
        "python": here.python,
        "system": f"{platform.system()} {platform.machine()}",
        "processor": f"{here.processor} ({here.instructions})",
        "accelerator": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none",
        "threads": here.threads,
        "versions": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "data": {name: dict(data.load(name).hashes) for name in names if data.present(name)},
    }


def page(shown: list[Shown]) -> str:
    """The status page as MyST Markdown: one row a chapter, then each machine that made the outputs shown."""
    machines: list[dict] = []
    rows = []
    for item in shown:
        run = item.execution
        made = ("not on record", "", "", "")
        if run:
            if run.machine not in machines:
                machines.append(run.machine)
            number = machines.index(run.machine) + 1
            made = (plain(run.date), f"{run.seconds:.0f} s", f"{run.peak_mb:.0f} MiB", str(number))
        rows.append((f"{{doc}}`{item.chapter}`", item.source, plain(item.why), *made))
    head = ("Chapter", "Outputs", "Why", "Executed (UTC)", "Wall time", "Peak memory", "Machine")
    lines = [
        "# Status of this build",
        "",
        "*Fresh*: the chapter ran while this site was built, on the data that it is about, and its page",
        "shows that run. *Committed*: its page shows the outputs stored in the repository, which",
        "`make publish` writes, from the real data only.",
        "",
        markdown(head, rows, words=len(head)),
    ]
    for number, one in enumerate(machines, 1):
        lines += ["", f"## Machine {number}", "", _machine_table(one)]
        if not one["data"]:
            lines += ["", "No real data set was present."]
    return "\n".join([*lines, "", *_pixels(machines), "", *_runs()]) + "\n"


def _pixels(machines: list[dict]) -> list[str]:
    """The hash of every file's pixels, once, with the machines that had them."""
    seen: dict[tuple[str, str, str], list[str]] = {}
    for number, one in enumerate(machines, 1):
        for name, parts in one["data"].items():
            for part, digest in parts.items():
                seen.setdefault((name, part, digest), []).append(str(number))
    rows = [
        (plain(name), plain(part), f"`{plain(digest)}`", ", ".join(on)) for (name, part, digest), on in seen.items()
    ]
    return ["## Real data", "", markdown(("Data set", "Part", "SHA-256 of its pixels", "Machine"), rows, words=4)]


def _runs() -> list[str]:
    """The recorded runs, grouped by when, on what and with which PyTorch they were made."""
    groups: dict[tuple, list[Record]] = {}
    for path in sorted(records.PUBLISHED.glob("*.json")):
        run = records.read(path)
        where = run.environment
        processor = f"{where.processor} ({where.instructions})"
        made = (run.date, processor, where.threads, where.number_format, where.libraries["torch"])
        groups.setdefault(made, []).append(run)
    rows = [
        (*map(plain, made), str(len(runs)), f"{sum(run.training_seconds for run in runs) / 3600:.1f} h")
        for made, runs in sorted(groups.items())
    ]
    head = ("Date", "Processor", "Threads", "Numbers", "PyTorch", "Runs", "Training")
    return ["## Recorded runs", "", markdown(head, rows, words=5)]


def _machine_table(described: dict) -> str:
    rows = {
        "Processor": described["processor"],
        "Accelerator": described["accelerator"],
        "Threads": described["threads"],
        "System": described["system"],
        "Python": described["python"],
        **described["versions"],
    }
    return markdown(("What", "Value"), [(plain(name), plain(value)) for name, value in rows.items()], words=2)
