"""Try to break the project: python -m tests.campaign [--list] [--short] [--only NAME ...] [--minutes M]

Each part tries one kind of misfortune many times over: damaged inputs, kills, full disks, wrong code. Whole, they take
hours; interrupted, or ended by --minutes, the same command goes on: what is done lies in _build/campaign, by the commit
that it was done to, and another commit starts anew. The figures of each part go to book/facts/campaign.json, with their
commit; the page "How to check us" shows them. --short, of some minutes at most, keeps and writes nothing: it is for
every change. Both return 1 if a trial failed, and say which.

Needs Linux.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from reprolib.errors import InputError, nearest
from reprolib.files import PROJECT, write_text
from reprolib.printing import text_table
from reprolib.progress import Progress, duration
from reprolib.runs import machine
from tests.campaign.apart import Trial
from tests.campaign.parts import PARTS, Part

KEPT = PROJECT / "_build" / "campaign"
FIGURES = PROJECT / "book" / "facts" / "campaign.json"
PIECE = 100  # trials that are begun together
SHOWN = 10  # faults that the figures tell in words


@dataclass(frozen=True)
class Row:
    """A part's figures: those of all trials done to one commit."""

    about: str
    counted: str  # what is counted
    count: int
    trials: int
    wanted: int  # trials of the whole campaign
    failures: int
    faults: tuple[str, ...]  # the first of them, in words
    seconds: float  # the longest trial
    memory: int  # bytes, the largest
    commit: str
    date: str
    machine: str


def row(part: Part, trials: Sequence[Trial], commit: str) -> Row:
    """Sum a part's trials up."""
    bad = [one for one in trials if one.fault]
    here = machine.environment(torch.device("cpu"))
    return Row(
        about=part.about,
        counted=part.counted,
        count=sum(one.count for one in trials),
        trials=len(trials),
        wanted=part.full,
        failures=len(bad),
        faults=tuple(f"{one.number} ({one.what}): {one.fault}" for one in bad[:SHOWN]),
        seconds=round(max((one.seconds for one in trials), default=0.0), 2),
        memory=max((one.memory for one in trials), default=0),
        commit=commit,
        date=time.strftime("%Y-%m-%d", time.gmtime()),
        machine=f"{here.processor} ({here.instructions}), Python {here.python}, PyTorch {here.libraries['torch']}",
    )


def kept(path: Path) -> list[Trial]:
    """The trials that a file holds, a line each; a last line that was cut short is none."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [Trial(**json.loads(line)) for line in lines]


def run(part: Part, wanted: int, path: Path | None, deadline: float) -> list[Trial]:
    """Run a part's trials, those that the file lacks, until all are done or the deadline is over."""
    trials = kept(path) if path else []
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(asdict(one)) + "\n" for one in trials), encoding="utf-8")
    with Progress(wanted, part.name, print, len(trials)) as progress:
        while len(trials) < wanted and time.monotonic() < deadline:
            for one in part.run(range(len(trials), min(len(trials) + PIECE, wanted))):
                trials.append(one)
                if path:
                    with path.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(asdict(one)) + "\n")
                if one.fault:
                    print(f"{part.name} {one.number} ({one.what}): {one.fault}", flush=True)
                progress.update()
                if time.monotonic() > deadline:
                    break
    return trials


def table(rows: dict[str, Row]) -> str:
    """The figures as plain text."""
    head = ("part", "trials", "of", "counted", "failures", "longest", "memory", "commit")
    lines = [
        (name, f"{one.trials}", f"{one.wanted}", f"{one.count} {one.counted}", f"{one.failures}")
        + (f"{one.seconds:.1f} s", f"{one.memory / 2**20:.0f} MiB", one.commit[:10])
        for name, one in rows.items()
    ]
    return "\n".join(text_table([head, *lines]))


def store(rows: dict[str, Row]) -> None:
    """Put rows into the tracked figures; the other parts' stay."""
    known = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
    known |= {name: asdict(one) for name, one in rows.items()}
    ordered = {part.name: known[part.name] for part in PARTS if part.name in known}
    write_text(FIGURES, json.dumps(ordered, indent=1) + "\n")


def choose(names: Sequence[str]) -> list[Part]:
    """The parts of these names, or whose names begin so; all of them if there is none.

    Raises:
        InputError: if a name is no part's.
    """
    for name in names:
        if not any(part.name.startswith(name) for part in PARTS):
            raise InputError(f"the campaign has no part {name!r}: {nearest(name, [part.name for part in PARTS])}")
    return [part for part in PARTS if not names or part.name.startswith(tuple(names))]


def main(words: Sequence[str] | None = None) -> int:
    """Run what is asked for; 0 if nothing failed."""
    parser = argparse.ArgumentParser("python -m tests.campaign", description=__doc__.split("\n\n")[1])
    parser.add_argument("--list", action="store_true", help="list the parts, and run nothing")
    parser.add_argument("--short", action="store_true", help="a few trials of each part")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="the parts whose names begin so")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="end after so long; go on another time")
    given = parser.parse_args(words)
    try:
        parts = choose(given.only)
    except InputError as error:
        parser.error(str(error))
    commit = machine.code_version()
    unnamed = commit.endswith(("+", "unknown"))  # the code is that of no commit: nothing is kept of it
    deadline = time.monotonic() + 60 * given.minutes
    if given.list:
        lines = [(p.name, f"{p.full}", f"{p.short}", f"{len(kept(_place(commit, p)))}", p.about) for p in parts]
        print("\n".join(text_table([("part", "whole", "short", "done", "what is tried"), *lines])))
        return 0
    rows: dict[str, Row] = {}
    began = time.monotonic()
    for part in parts:
        if why := part.lacking():
            print(f"{part.name}: skipped, {why}", flush=True)
            continue
        path = None if given.short or unnamed else _place(commit, part)
        trials = run(part, part.short if given.short else part.full, path, deadline)
        if trials:
            rows[part.name] = row(part, trials, commit)
    print(f"{table(rows)}\n{duration(time.monotonic() - began)} in all", flush=True)
    if unnamed and not given.short:
        print("the figures are not stored: the code is that of no commit", file=sys.stderr)
    elif not given.short:
        store(rows)
        print(f"stored: {FIGURES}")
    return 1 if any(one.failures for one in rows.values()) else 0


def _place(commit: str, part: Part) -> Path:
    return KEPT / commit / f"{part.name}.jsonl"


if __name__ == "__main__":
    sys.exit(main())
