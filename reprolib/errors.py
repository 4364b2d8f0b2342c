"""Errors that a user can put right: each message is one sentence that says what is wrong and what is allowed.

The command line prints their message alone. Any other exception is a bug, and shows its traceback; but for an OSError,
which is what a full disk or a file without permission gives.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ReprolibError(Exception):
    """What all of them have in common."""


class InputError(ReprolibError, ValueError):
    """A value, file or name that was given is not what it should be."""


class MissingData(ReprolibError, FileNotFoundError):
    """A data set is not on this machine; the message says how to get it."""


class NotRecorded(ReprolibError, LookupError):
    """A run that is asked for has no record."""


class Busy(ReprolibError, RuntimeError):
    """Another process is at it."""


class Failed(ReprolibError, RuntimeError):
    """A chapter, the site's builder or another process ended with an error of its own, which the message tells."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: all valid ones, and that which is most like it."""
    known = list(known)
    like = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    return f"choose one of {', '.join(known) or '(none)'}" + (f"; did you mean {like[0]!r}?" if like else "")


def check_choice(what: str, value: str, allowed: Iterable[str]) -> str:
    """``value`` if it is among ``allowed``.

    Raises:
        InputError: if not, with all of them and the nearest.
    """
    if value not in (names := list(allowed)):
        raise InputError(f"{what} {value!r} is unknown: {nearest(value, names)}")
    return value
