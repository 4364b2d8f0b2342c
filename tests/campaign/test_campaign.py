"""The campaign itself: it goes on where it was ended, belongs to one commit, and sees what goes wrong."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

import numpy as np
import pytest

from reprolib.runs import machine
from tests.campaign import __main__ as campaign
from tests.campaign import apart, archives, parts
from tests.campaign.apart import Trial


@pytest.fixture
def asked(tmp_path, monkeypatch) -> list[range]:
    """A campaign of two parts of ten trials, of which number 7 fails; which numbers it was asked for."""
    ranges: list[range] = []

    def run(numbers: range):
        ranges.append(numbers)
        return (Trial(k, f"case {k}", "broken" if k == 7 else "", 0.5 * k, k << 20, count=2) for k in numbers)

    made = [parts.Part(name, f"About {name}", 10, 3, run, "kills") for name in ("one", "other")]
    monkeypatch.setattr(campaign, "PARTS", made)
    monkeypatch.setattr(campaign, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(campaign, "FIGURES", tmp_path / "campaign.json")
    monkeypatch.setattr(machine, "code_version", lambda: "a" * 40)
    return ranges


def figures() -> dict:
    return json.loads(campaign.FIGURES.read_text())


def test_the_whole_campaign_counts_what_failed_and_says_so(asked, capsys):
    assert campaign.main([]) == 1
    assert list(figures()) == ["one", "other"] and asked == [range(10)] * 2
    found = figures()["one"]
    assert (found["trials"], found["wanted"], found["count"], found["failures"]) == (10, 10, 20, 1)
    assert (found["seconds"], found["memory"], found["commit"]) == (4.5, 9 << 20, "a" * 40)
    assert found["faults"] == ["7 (case 7): broken"] and "one 7 (case 7): broken" in capsys.readouterr().out


def test_the_short_campaign_keeps_nothing(asked):
    assert campaign.main(["--short", "--only", "one"]) == 0
    assert asked == [range(3)] and not campaign.KEPT.exists() and not campaign.FIGURES.exists()


def test_it_goes_on_where_it_ended_and_another_commit_starts_anew(asked, monkeypatch):
    assert campaign.main(["--minutes", "0"]) == 0 and asked == []
    path = campaign.KEPT / ("a" * 40) / "one.jsonl"
    done = "".join(json.dumps({"number": k, "what": "before", "seconds": 9.0}) + "\n" for k in range(8))
    path.write_text(done + '{"number": 8, "wh')  # cut short
    assert campaign.main(["--only", "one"]) == 0  # number 7 is not tried again
    assert asked == [range(8, 10)] and figures()["one"]["trials"] == 10 and figures()["one"]["seconds"] == 9.0
    monkeypatch.setattr(machine, "code_version", lambda: "b" * 40)
    assert campaign.main(["--only", "other"]) == 1
    assert asked[1:] == [range(10)] and figures()["other"]["commit"] == "b" * 40
    assert figures()["one"]["commit"] == "a" * 40


def test_changed_code_is_tried_but_its_figures_are_not_stored(asked, monkeypatch, capsys):
    monkeypatch.setattr(machine, "code_version", lambda: "a" * 40 + "+")
    assert campaign.main([]) == 1 and "that of no commit" in capsys.readouterr().err
    assert not campaign.KEPT.exists() and not campaign.FIGURES.exists()


def test_an_unknown_part_is_refused_with_the_nearest(asked, capsys):
    with pytest.raises(SystemExit):
        campaign.main(["--only", "othr"])
    assert "no part 'othr': choose one of one, other; did you mean 'other'?" in capsys.readouterr().err


def test_a_part_that_cannot_be_run_is_skipped_and_named(asked, monkeypatch, capsys):
    lacking = parts.Part("third", "About", 1, 1, lambda numbers: [], lacking=lambda: "no disk can be mounted")
    monkeypatch.setattr(campaign, "PARTS", [lacking])
    assert campaign.main(["--short"]) == 0 and "third: skipped, no disk can be mounted" in capsys.readouterr().out


def _outcomes(judge: Callable, monkeypatch) -> list[Trial]:
    monkeypatch.setattr(apart, "SECONDS", 1)
    monkeypatch.setattr(apart, "MEMORY", 2**26)
    return list(apart.damaged(judge, ("fine",), 5, range(3)))


def _crash(seed: int, number: int) -> tuple[str, str]:
    if number == 1:
        os.abort()
    return f"{seed}-{number}", "fine"


def _wait(seed: int, number: int) -> tuple[str, str]:
    time.sleep(3 * (number == 1))
    return f"{seed}-{number}", "fine"


def _odd(seed: int, number: int) -> tuple[str, str]:
    return f"{seed}-{number}", "ValueError: no" if number == 1 else "fine"


def _greedy(seed: int, number: int) -> tuple[str, str]:
    np.ones(9 << 23 if number == 1 else 9, np.uint8)
    return f"{seed}-{number}", "fine"


@pytest.mark.parametrize(
    ("judge", "told"),
    [
        (_crash, "the process died"),
        (_wait, "the process died"),
        (_odd, "ValueError: no"),
        (_greedy, "it took 7"),
    ],
)
def test_a_crash_a_delay_an_exception_and_too_much_memory_are_each_one_fault(judge, told, monkeypatch):
    first, second, third = _outcomes(judge, monkeypatch)
    assert (first.what, third.what) == ("5-0", "5-2") and not first.fault and not third.fault
    assert second.number == 1 and second.fault.startswith(told)


def test_150_damaged_archives_are_unpacked_or_refused_in_one_sentence(tmp_path):
    outcomes = [archives.judge(0, number)[1] for number in range(150)]
    assert set(outcomes) == {"unpacked", "sentence"}
    assert outcomes.count("unpacked") > 2  # few, since each byte is covered by a checksum


def test_a_member_that_was_written_outside_is_a_fault(monkeypatch):
    def careless(archive, target):
        target.mkdir(parents=True)
        (target.parent / "evil").write_text("")

    monkeypatch.setattr(archives, "unpack", careless)
    assert "outside" in archives.judge(0, 0)[1]
