"""The records behind a page's numbers, as a table."""

from __future__ import annotations

from collections.abc import Iterable

from reprolib.printing import markdown, plain
from reprolib.runs.records import Environment, Record


def setting(name: str, value: object) -> str:
    """A field of an experiment as one says it: "fold 2", "all images", "no rotate"."""
    if name == "images":
        return f"{value or 'all'} images"
    if isinstance(value, bool):
        return name if value else f"no {name}"
    return f"{name} {value}"


def machine(environment: Environment) -> str:
    """What a run was trained on, in a line."""
    threads = f"{environment.threads} thread{'s' if environment.threads > 1 else ''}"
    torch = environment.libraries["torch"]
    return plain(f"{environment.processor}, {threads}, {environment.number_format}, torch {torch}")


def runs_table(runs: Iterable[Record]) -> str:
    """Records as Markdown: file, what differs between them, time, memory, the weights' hash.

    The machine stands below the table where it is the same for all, else in a column.
    """
    runs = list(runs)
    settings = [run.experiment.to_dict() for run in runs]
    varied = [name for name in (settings[0] if settings else {}) if len({str(one[name]) for one in settings}) > 1]
    machines = [machine(run.environment) for run in runs]
    same = len(set(machines)) == 1
    head = ["record in `runs/`", "differs in", "training", "memory", "weights, SHA-256"]
    rows = [
        [
            f"`{run.path.name}`",
            ", ".join(setting(name, one[name]) for name in varied) or "-",
            f"{run.training_seconds / 60:.1f}\N{NO-BREAK SPACE}min",
            f"{run.peak_memory_bytes / 2**30:.1f}\N{NO-BREAK SPACE}GiB",
            f"`{run.weights.sha256[:12]}`",
        ]
        for run, one in zip(runs, settings, strict=True)
    ]
    if same:
        return markdown(head, rows, words=len(head)) + f"\n\nAll on {machines[0]}."
    head.append("on")
    return markdown(head, [[*row, where] for row, where in zip(rows, machines, strict=True)], words=len(head))
