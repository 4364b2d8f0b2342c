"""All claims, in the order of the chapters."""

from __future__ import annotations

from reprolib.claims import method, results, speed
from reprolib.claims.claim import Claim


def claims() -> list[Claim]:
    """Every row of the first page's table."""
    return [*method.claims(), *results.claims(), *speed.claims()]
