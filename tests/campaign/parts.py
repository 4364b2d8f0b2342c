"""The parts of the campaign: what each tries, how often, and the words of its row in the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from tests.campaign import apart, archives, clusters, images, notebooks, records
from tests.campaign.apart import Judge, Trial


@dataclass(frozen=True)
class Part:
    """One row of the table."""

    name: str
    about: str
    full: int  # trials of the whole campaign
    short: int  # and of the short one
    run: Callable[[range], Iterator[Trial]]  # trials of these numbers, in order
    counted: str = "inputs"  # what a trial's count counts
    lacking: Callable[[], str] = lambda: ""  # why it cannot be run here, "" where it can


def _damaged(name: str, about: str, judge: Judge, good: str, full: int, short: int) -> Part:
    return Part(name, about, full, short, partial(apart.damaged, judge, (good, "sentence"), 1))


PARTS = (
    _damaged("images", "Damaged images and label files, all readers", images.judge, "image", 40_000, 300),
    _damaged("notebooks", "Damaged notebooks", notebooks.judge, "chapter", 20_000, 300),
    _damaged("records", "Damaged run records", records.judge, "record", 10_000, 300),
    _damaged("archives", "Damaged archives of data sets", archives.judge, "unpacked", 40_000, 1000),
    Part(
        "cluster",
        "Kills of a worker, the scheduler or the client while a volume is predicted",
        60,
        3,
        clusters.killed,
        "kills",
        clusters.lacking,
    ),
)
