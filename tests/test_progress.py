"""Progress: plain lines for a log or a notebook, a live line in a terminal, silence where nobody listens."""

from __future__ import annotations

import io
import re
import sys
import threading

import pytest

from reprolib import progress
from reprolib.progress import Progress, duration


def count(report, total: int = 4, done: int = 0, pause=lambda: None) -> None:
    with Progress(total, "step", report, done) as bar:
        for _ in range(total - done):
            pause()
            bar.update()


def test_without_a_report_nothing_is_said(capsys):
    count(None)
    assert capsys.readouterr() == ("", "")


def test_plain_lines_go_to_the_function_and_nowhere_else(capsys, monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    lines = []
    count(lines.append)
    assert [line.split(",")[0] for line in lines] == ["step 1/4", "step 2/4", "step 3/4", "step 4/4"]
    assert not any("\r" in line or "\n" in line for line in lines)
    assert capsys.readouterr() == ("", "")


def test_between_two_lines_some_time_passes_but_the_last_one_always_tells_the_total():
    lines = []
    count(lines.append, total=1000)  # far less than ten seconds
    assert len(lines) == 1 and lines[0].startswith("step 1000/1000, ") and lines[0].endswith(", 00:00 left")


def test_a_line_shows_what_is_told_beside_the_speed_and_the_time_left(monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    now, lines = [100.0], []
    with Progress(40, "step", lines.append) as bar:
        bar._time = lambda: now[0]
        bar.start_t = bar.last_print_t = now[0]
        for _ in range(4):
            now[0] += 2.0
            bar.set_postfix_str("loss 0.5000", refresh=False)
            bar.update()
    assert lines[-1] == "step 4/40, loss 0.5000, 2.00 s/step, 01:12 left"  # 36 steps of two seconds


def test_many_steps_in_a_second_are_told_as_such(monkeypatch):
    lines = []
    with Progress(100, "step", lines.append) as bar:
        bar._time = lambda: bar.start_t + 2.0
        bar.update(100)
    assert lines == ["step 100/100, 50.00 step/s, 00:00 left"]


def test_what_was_done_before_is_counted_but_takes_no_part_in_the_speed():
    lines = []
    count(lines.append, total=1000, done=998)
    (line,) = lines
    assert line.startswith("step 1000/1000, ")
    lines.clear()
    count(lines.append, total=5, done=5)
    assert lines == []  # nothing was left to do


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_stops_the_work_passes_through_and_what_was_done_is_told(error):
    lines = []
    with pytest.raises(error), Progress(4, "tile", lines.append) as bar:
        bar.update(3)
        raise error
    assert len(lines) == 1 and lines[0].startswith("tile 3/4, ")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_after_a_report_that_raises_another_thread_goes_on(monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.0)

    def stop(line: str) -> None:
        raise KeyboardInterrupt

    bar = Progress(2, "step", stop)
    with pytest.raises(KeyboardInterrupt):
        bar.update()
    bar.report = lambda line: None  # it speaks again when it is collected
    lines: list[str] = []
    thread = threading.Thread(target=count, args=(lines.append, 2), daemon=True)
    thread.start()
    thread.join(30)
    assert lines[-1].startswith("step 2/2")


def test_print_means_a_live_line_in_a_terminal_and_plain_lines_elsewhere(monkeypatch, capsys):
    count(print)
    assert re.fullmatch(r"step 4/4, .* left\n", capsys.readouterr().out)
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    count(print)
    assert "\r" in terminal.getvalue() and "step 4/4, " in terminal.getvalue()
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    count([].append)  # another function gets its lines, in a terminal too
    assert terminal.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "00:00"),
        (48, "00:48"),
        (99, "01:39"),
        (720, "12:00"),
        (7500, "2:05:00"),
        (7199.6, "2:00:00"),
        (-3, "00:00"),
    ],
)
def test_a_duration_reads_as_hours_minutes_and_seconds(seconds, text):
    assert duration(seconds) == text
