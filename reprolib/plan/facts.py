"""The numbers that a chapter prints: recorded once from the real data, and held against a new computation ever after.

A chapter's text must be the same whether or not the real data is at hand, and must not go stale. So every number that
comes from the data lies in ``book/facts/<chapter>.json``. Where the data is there, it is computed anew and compared;
where it is not, the record alone is shown.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Callable

from reprolib import data
from reprolib.errors import InputError, NotRecorded
from reprolib.files import PROJECT, write_text

FOLDER = PROJECT / "book" / "facts"
WRITE = "REPROLIB_PUBLISH"  # environment variable; set to 1, facts are written instead of compared


def source(real: str, choice: str = "auto") -> str:
    """The data set that a chapter's figures are drawn from: ``real`` where it is there, else its phantom.

    Args:
        real: a real data set's name.
        choice: a chapter's ``dataset`` parameter: "auto", or a name to be used as it is.
    """
    if choice != "auto":
        return choice
    return real if data.present(real) else data.PHANTOM_OF[real]


def numbers(chapter: str, section: str) -> dict:
    """The recorded numbers of a chapter's section, as they are."""
    path = FOLDER / f"{chapter}.json"
    return json.loads(path.read_text(encoding="utf-8"))[section]["numbers"]


def recorded(
    chapter: str,
    section: str,
    compute: Callable[[], dict],
    needs: str | None = None,
    parameters: dict | None = None,
    tolerance: float = 1e-4,
) -> dict:
    """The recorded numbers of one section of a chapter, checked against a new computation where that is possible.

    Args:
        chapter: the notebook's name without ending, such as "04_weight_map".
        section: a name within the chapter.
        compute: gives the numbers as a dict fit for JSON (nested dicts, lists, strings, numbers).
        needs: name of the real data set that ``compute`` reads; None if it needs none. Where an optional part of it is
            missing, ``compute`` may raise MissingData: the record is shown then, too.
        parameters: the chapter's parameters that the numbers depend on. With others than the recorded ones nothing
            is compared: the new numbers are returned.
        tolerance: largest relative difference (absolute below 1) that counts as equal.

    Raises:
        AssertionError: if a number differs; names it, with both values.
        ValueError: if the chapter's record is damaged.
        LookupError: if there is no record of this section, and it cannot be computed here.
    """
    parameters = json.loads(json.dumps(parameters or {}))  # as it will be read again: a tuple is a list there
    path = FOLDER / f"{chapter}.json"
    try:
        book = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is damaged ({error}): restore it, or record it again with {WRITE}=1") from None
    known = book.get(section)
    computed = None
    if needs is None or data.present(needs):
        with contextlib.suppress(data.MissingData):  # an optional part of the set, such as the test labels
            computed = json.loads(json.dumps(compute(), allow_nan=False))  # as it will be read again
    if computed is None:
        if known is None or known["parameters"] != parameters:
            raise NotRecorded(
                f"{chapter}, {section}: no record for these parameters, and {needs} is not here to compute it"
            )
        return known["numbers"]
    if os.environ.get(WRITE) == "1":
        book[section] = {"parameters": parameters, "needs": needs, "numbers": computed}
        write_text(path, json.dumps(dict(sorted(book.items())), indent=1) + "\n")
    elif known is not None and known["parameters"] == parameters:
        differences = list(differences_of(known["numbers"], computed, tolerance))
        if differences:
            raise AssertionError(
                f"{chapter}, {section}: recorded and computed numbers differ: {'; '.join(differences[:5])}"
            )
        return known["numbers"]
    return computed


def differences_of(known, new, tolerance: float, where: str = ""):
    """Yield a sentence for each place where two nested results differ by more than ``tolerance``."""
    if isinstance(known, dict) and isinstance(new, dict):
        for name in sorted(known.keys() | new.keys()):
            if name in known and name in new:
                yield from differences_of(known[name], new[name], tolerance, f"{where}.{name}".lstrip("."))
            else:
                yield f"{where}.{name}".lstrip(".") + f" is only in the {'record' if name in known else 'computation'}"
    elif isinstance(known, list) and isinstance(new, list) and len(known) == len(new):
        for position, pair in enumerate(zip(known, new, strict=True)):
            yield from differences_of(*pair, tolerance, f"{where}[{position}]")
    elif _is_number(known) and _is_number(new):
        if not math.isclose(known, new, rel_tol=tolerance, abs_tol=tolerance):
            yield f"{where}: {known} recorded, {new} computed"
    elif known != new:
        yield f"{where}: {known!r} recorded, {new!r} computed"


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
