"""The plan: every run of the book by purpose, in the order of priority, what it costs, and whether it is recorded.

What a purpose needs may be incomplete: pages and tests hold only what is ``published``. ``reprolib plan`` prints the
plan, ``reprolib plan run`` trains what is missing (`reprolib.plan.runner`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from reprolib.evaluation.metric import METRICS
from reprolib.experiment import Experiment
from reprolib.plan import catalogue, recipes
from reprolib.runs import records
from reprolib.runs.records import Record

# Seconds a step on one thread of an AVX-512 processor that computes in bfloat16; five to six times that in float32.
SECONDS = {"u-net": 0.085, "n4": 0.052, "n4-65": 0.029, "fcn8": 0.083}


@dataclass(frozen=True)
class Purpose:
    """What some runs are made for."""

    name: str
    priority: int  # of the protocol, 1 first; 0: the runs of the book's first edition
    runs: tuple[Experiment, ...]
    published: bool  # pages and tests may count on every run
    rotations: bool = False  # score the mean over 7 rotations too
    kept: tuple[Experiment, ...] = ()  # whose weights the project keeps


@functools.cache
def purposes() -> tuple[Purpose, ...]:
    """The whole plan, in order; some runs serve two purposes."""
    kept = catalogue.kept_runs()
    first = [
        Purpose(
            name,
            0,
            tuple(runs),
            published=True,
            rotations=name == catalogue.EM_HEADLINE,
            kept=tuple(run for run in runs if run in kept),
        )
        for name, runs in catalogue.plan().items()
    ]
    return (*headline_purposes(), *comparison_purposes(), *first)


def headline_purposes() -> list[Purpose]:
    """Priorities 1 and 2: Table 1 and Table 2."""
    seeds = [recipes.em_test(seed) for seed in recipes.TEST_SEEDS]
    folds = [recipes.em_fold(fold) for fold in recipes.CHOICES]
    found = [
        _purpose(HEADLINE["isbi2012"], 1, seeds, rotations=True, kept=seeds[:3]),
        _purpose("EM, five folds, width 16", 1, folds, rotations=True, kept=folds[-1:]),
    ]
    for data, name, seeds_of_thirds in (("dic-hela", "HeLa", recipes.SEEDS), ("phc-u373", "U373", (0,))):
        found.append(_purpose(f"{name}, trials on the inner split", 2, recipes.cells_trials(data).values()))
        thirds = [recipes.cells(data, "thirds", third, seed) for seed in seeds_of_thirds for third in recipes.THIRDS]
        across = [recipes.cells(data, "fold", video, seed) for seed in seeds_of_thirds for video in recipes.VIDEOS]
        found += [
            _purpose(f"{name}, thirds of both videos (Table 2)", 2, thirds, kept=thirds[:3]),
            _purpose(f"{name}, across videos (Table 2)", 2, across, kept=across[:2] if data == "dic-hela" else ()),
        ]
        if shown := recipes.cells_shown(data):
            found.append(_purpose(f"{name}, trials for the reader", 2, shown.values()))
    for doubled in recipes.doubled():
        name = doubled.name.removesuffix(", width 16")
        found.append(_purpose(f"{name}: do twice the steps change the score?", 2, (*doubled.short, *doubled.long)))
    more = [recipes.cells("phc-u373", "thirds", third, seed) for seed in (1, 2) for third in recipes.THIRDS]
    return [*found, _purpose("U373, thirds of both videos, two more seeds", 4, more)]


def comparison_purposes() -> list[Purpose]:
    """Priorities 3 to 6: what the parts of the method are worth."""
    found = [
        _purpose(
            f"augmentation and dropout, EM, {slices} slices",
            3,
            [run for arm in recipes.AUGMENTATIONS for run in recipes.augmentation(slices, arm)],
        )
        for slices in recipes.FEW
    ]
    found += [
        _purpose(
            "parts of the method, EM, 24 slices", 4, [run for arm in recipes.EM_ARMS for run in recipes.em_arm(arm)]
        ),
        _purpose("weight map, HeLa", 4, [run for arm in recipes.HELA_ARMS for run in recipes.hela_arm(arm)]),
        _purpose("sliding window with as much time, EM", 5, recipes.sliding_window()),
        _purpose(NUCLEI, 6, [recipes.own_nuclei()], kept=(recipes.own_nuclei(),)),
        *(
            _purpose(f"nuclei, {name}, five folds", 6, [recipes.own_fold(data, fold) for fold in recipes.CHOICES])
            for name, data in recipes.NUCLEI.items()
        ),
        _purpose(
            "nuclei, trials on inner splits",
            6,
            [run for arm in recipes.NUCLEI_TRIALS for runs in recipes.own_trials(arm).values() for run in runs],
        ),
        _purpose("batch and momentum, EM", 6, [run for arm in recipes.BATCHES for run in recipes.batches(arm)]),
        _purpose("EM test slices, width 16", 6, [recipes.em_test(s, 16) for s in recipes.SEEDS], rotations=True),
    ]
    return found


def _purpose(name: str, priority: int, runs: Iterable[Experiment], rotations: bool = False, kept=()) -> Purpose:
    return Purpose(name, priority, tuple(runs), name in PUBLISHED, rotations, tuple(kept))


HEADLINE = {  # whose kept networks a data set's name stands for
    "isbi2012": "EM test slices, width 32, five seeds (Table 1)",
    "phc-u373": catalogue.HEADLINE,
    "dic-hela": catalogue.HEADLINE,
}

# Names of the protocol's purposes of which pages show and tests demand every run.
NUCLEI = "nuclei, the network of one's own images"
PUBLISHED = frozenset(
    {
        HEADLINE["isbi2012"],
        "EM, five folds, width 16",
        "augmentation and dropout, EM, 2 slices",
        "HeLa, trials on the inner split",
        "U373, trials on the inner split",
        NUCLEI,
        *(f"nuclei, {name}, five folds" for name in recipes.NUCLEI),
    }
)


def records_of(words: Sequence[str]) -> list[Record]:
    """The records that words name: a data set stands for its headline networks that are kept, all else for a file.

    Raises:
        NotRecorded, InputError, FileNotFoundError: if one is not there, or no record.
    """
    kept = {purpose.name: purpose.kept for purpose in purposes()}
    found = []
    for word in words:
        if word in HEADLINE:
            found += records.obtained(run for run in kept[HEADLINE[word]] if run.data == word)
        else:
            found.append(records.read(Path(word)))
    return found


def ordered() -> list[Purpose]:
    """The plan by priority: the protocol's 1, 2, 3 ..., then the first edition."""
    return sorted(purposes(), key=lambda purpose: purpose.priority or 99)


def minutes(experiment: Experiment, rotations: bool = False) -> float:
    """About how long a run takes on one thread; a U-Net by the pixels of its tile and, beyond width 16, its width."""
    wide = max(1.0, experiment.width / 16) ** 1.7 if experiment.variant not in SECONDS else 1.0
    step = SECONDS.get(experiment.variant) or SECONDS["u-net"] * (experiment.tile / 380) ** 2 * wide
    views = 30 * experiment.test * (1 + 7 * rotations) + 6 * 7 * rotations
    return 1.05 * experiment.steps * step / 60 + 1 + views * wide * 0.015  # training, its scores, the second test's


def missing(runs: Sequence[Experiment], folders: Sequence[Path] = (records.PUBLISHED,)) -> list[Experiment]:
    """Those runs that no folder holds a record of."""
    return [run for run in runs if not any((folder / f"{run.name}.json").exists() for folder in folders)]


def table(folders: Sequence[Path] = (records.PUBLISHED,)) -> list[tuple[Purpose, int, int, float, float]]:
    """Per purpose, in order: it, its runs, those missing, hours of all and of the missing; a run counts once."""
    seen: set[Experiment] = set()
    rows = []
    for purpose in ordered():
        new = [run for run in purpose.runs if run not in seen]
        seen |= set(new)
        left = missing(new, folders)
        hours = [sum(minutes(run, purpose.rotations) for run in runs) / 60 for runs in (new, left)]
        rows.append((purpose, len(new), len(left), *hours))
    return rows


def text(folder: Path | None = None) -> str:
    """The plan for the terminal: a line for each purpose, then the sum; records may lie in another folder too."""
    rows = table((folder, records.PUBLISHED) if folder else (records.PUBLISHED,))
    lines = [f"{'':3}{'purpose':52}{'runs':>5}{'to do':>7}{'hours':>7}{'to do':>7}"]
    for purpose, runs, left, hours, hours_left in rows:
        lines.append(f"{purpose.priority or '-':<3}{purpose.name:52}{runs:5}{left:7}{hours:7.1f}{hours_left:7.1f}")
    sums = [sum(row[k] for row in rows) for k in (1, 2, 3, 4)]
    lines.append(f"{'':3}{'all, in hours of one thread':52}{sums[0]:5}{sums[1]:7}{sums[2]:7.1f}{sums[3]:7.1f}")
    return "\n".join(lines)


def markdown() -> str:
    """The plan for its page: what is done and what is not, by priority."""
    lines = ["| priority | purpose | runs | recorded | hours left |", "|--:|:--|--:|--:|--:|"]
    for purpose, runs, left, _, hours_left in table():
        state = "all" if not left else f"{runs - left}"
        shown = purpose.priority or "first edition"
        lines.append(f"| {shown} | {purpose.name} | {runs} | {state} | {hours_left:.1f} |" if runs else "")
    return "\n".join(line for line in lines if line)


def headline_table() -> str:
    """The protocol's headline recipes as Markdown: what each departs from the paper in, and the keys of its records."""
    lines = ["| recipe | departures from the paper | keys |", "|:--|:--|:--|"]
    for name, run, runs in (
        ("EM, all slices", recipes.em_test(0), [recipes.em_test(seed) for seed in recipes.TEST_SEEDS]),
        ("EM, five folds", recipes.em_fold(1), [recipes.em_fold(fold) for fold in recipes.CHOICES]),
    ):
        left_out = ("data", "split", "fold", "seed", "test")
        fields = ", ".join(f"{k} = {v}" for k, v in run.departures().items() if k not in left_out)
        lines.append(f"| {name} | {fields} | {', '.join(f'`{one.key}`' for one in runs)} |")
    return "\n".join(lines)


def primary_table() -> str:
    """The primary claims as Markdown: what is compared, on what, in which metric, with which delta."""
    lines = ["| claim | with | without | trained on | metric | delta | overlap $c$ |", "|:--|:--|:--|:--|:--|--:|--:|"]
    for claim in recipes.primary_claims():
        having, lacking = claim.having[0], claim.lacking[0]
        changed = [k for k, v in having.to_dict().items() if v != getattr(lacking, k)]
        shown = (", ".join(f"{k} = {getattr(run, k)}" for k in changed) for run in (having, lacking))
        images = f"{having.images} slices" if having.images else "a fifth" if having.split == "parts" else "24 slices"
        delta = f"{claim.delta:.5f}".rstrip("0")
        row = (claim.claim, *shown, images, METRICS[claim.metric].name, delta, f"{claim.overlap:g}")
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)
