"""Train what the plan lacks on the workers of a Dask scheduler, one run a worker's thread at a time.

A worker trains as `reprolib train` does, in its own cache folder, and gives back record and weights. Where its cache is
shared, a run whose worker died goes on from its checkpoint on another one; a lock sees to it that nobody trains it
twice.
"""

from __future__ import annotations

from pathlib import Path

from reprolib.cluster.connect import connected, each
from reprolib.errors import Failed
from reprolib.files import cache_folder, check_room, replacing
from reprolib.plan import runner
from reprolib.plan.runner import Task
from reprolib.progress import Report, duration
from reprolib.runs.records import PUBLISHED

KINDS = ".safetensors", ".json"  # in the order of writing: a record is there only with its weights


def run(
    scheduler: str,
    folder: Path | None = None,
    only: str = "",
    report: Report = print,
    resume_anyway: bool = False,
    workers: int = 0,
) -> None:
    """Train what is missing.

    Args:
        scheduler, workers: see `connect.connected`.
        folder, only, resume_anyway: see `runner.run`.

    Raises:
        InputError: if the imported package is not a clean commit, no scheduler answers, or a worker runs another
            version.
        Failed: if runs failed, when all others are recorded; at once if the scheduler is gone.
    """
    runner.check_commit()
    folder = folder or PUBLISHED
    check_room(folder)
    tasks = runner.tasks((folder, PUBLISHED), only, resume_anyway)
    report(f"{len(tasks)} runs to train, about {duration(60 * sum(task.minutes for task in tasks))} of one thread")
    if not tasks:
        return
    with connected(scheduler, workers, report) as client:
        for task, files in each(client, trained, tasks, "run"):
            for kind in KINDS:
                if kind in files:
                    with replacing(folder / f"{task.name}{kind}") as aside:
                        aside.write_bytes(files[kind])
            report(f"{task.name}: recorded")


def trained(task: Task) -> dict[str, bytes]:
    """Train a run here, unless it was; its record and weights, by their kind.

    Raises:
        Failed: if it failed, with the last line of its log.
    """
    folder = cache_folder() / "spread"
    process = runner.start(task, folder, "--wait")  # for one whose worker is gone, and that trains on
    try:
        status = process.wait()
    finally:
        runner.stop([process] if process.poll() is None else [])
    if status:
        raise Failed(runner.last_line(task.log))
    paths = {kind: folder / f"{task.name}{kind}" for kind in KINDS}
    return {kind: path.read_bytes() for kind, path in paths.items() if path.exists()}
