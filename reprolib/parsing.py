"""Values from text: what the command line and papermill are given."""

from __future__ import annotations

TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def parse(text: str, kind: type) -> bool | int | float | str:
    """A bool, int, float or str from its text.

    Raises:
        ValueError: if it is none.
    """
    if kind is bool:
        try:
            return TRUTH[text.strip().lower()]
        except KeyError:
            raise ValueError(f"{text!r} is neither true nor false") from None
    return kind(text)
