"""Progress and the time left: a live line in a terminal, else plain lines, for a log or a notebook."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable

from tqdm import tqdm

Report = Callable[[str], None]
EVERY = 10.0  # seconds between two plain lines
FORMAT = "{desc}{n_fmt}/{total_fmt}{postfix}, {rate_fmt}, {remaining} left"


class Progress(tqdm):
    """tqdm that hands its plain lines to a function.

    Args:
        total: how many there are to do.
        unit: of what, such as "step".
        report: takes a line; None for silence. ``print`` means a live line where stdout is a terminal.
        done: how many of them were done before.
    """

    def __init__(self, total: int, unit: str, report: Report | None, done: int = 0):
        self.report = report
        self.live = report is print and sys.stdout.isatty()
        super().__init__(
            total=total,
            initial=done,
            desc=f"{unit} ",
            unit=f" {unit}",
            file=sys.stdout,
            disable=report is None,
            mininterval=0.2 if self.live else EVERY,
            maxinterval=EVERY,
            miniters=1,
            smoothing=0.05,
            bar_format=FORMAT,
            leave=True,
        )

    def __str__(self) -> str:
        # tqdm pads the rate, and the unit is " step", so that it reads "5.00 step/s" and "2.00 s/step"
        return super().__str__().replace(",  ", ", ").replace("s/ ", " s/")

    def refresh(self, nolock: bool = False, lock_args: tuple | None = None) -> bool | None:
        # tqdm's own keeps its lock when the report raises, such as at Ctrl-C, and every other thread waits for ever
        with contextlib.nullcontext() if nolock else self.get_lock():
            return super().refresh(nolock=True)

    def display(self, msg: str | None = None, pos: int | None = None) -> bool | None:
        if self.live:
            return super().display(msg, pos)
        if self.n > self.initial:  # not before the first is done
            self.report(str(self))
        return True

    def clear(self, *args, **kwargs) -> None:
        if self.live:
            super().clear(*args, **kwargs)

    def close(self) -> None:
        if self.live or self.disable:
            super().close()
        else:  # the last line, whenever the one before was
            self.disable = True
            self._decr_instances(self)
            if self.n > max(self.initial, self.last_print_n):
                self.report(str(self))


def duration(seconds: float) -> str:
    """Seconds as hours, minutes and seconds: "1:43:00", "02:10"."""
    return tqdm.format_interval(max(0, round(seconds)))
