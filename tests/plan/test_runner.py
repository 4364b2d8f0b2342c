"""`reprolib plan run` trains what is missing, in order, keeps its word about time, and never trains a run twice."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from reprolib import cli
from reprolib.experiment import Experiment
from reprolib.plan import purposes, runner
from reprolib.runs import records
from reprolib.runs.locks import holding

RUNS = tuple(Experiment(data="phantom-em", fold=1, width=2, tile=188, steps=steps) for steps in (2, 3, 4))
COMMIT = "0" * 40


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A plan of three runs of seconds, in a cache of its own; the folder of its records."""
    planned = [purposes.Purpose("three runs", 1, RUNS, published=False, kept=RUNS[:1])]
    monkeypatch.setenv("REPROLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(purposes, "purposes", lambda: planned)
    for module in (records, runner):
        monkeypatch.setattr(module, "PUBLISHED", tmp_path / "published")
    monkeypatch.setattr(runner, "code_version", lambda: COMMIT)
    monkeypatch.setattr(runner, "POLL_EVERY", 0.05)
    return tmp_path / "runs"


def stand_in(task, folder):
    """A process that writes the record's file and ends, instead of a training."""
    path = folder / f"{task.name}.json"
    code = f"import pathlib, time; p = pathlib.Path({str(path)!r}); p.parent.mkdir(parents=True, exist_ok=True); "
    task.log.parent.mkdir(parents=True, exist_ok=True)
    task.log.write_text("recorded\n")
    return subprocess.Popen([sys.executable, "-c", code + "p.touch()"], start_new_session=True)


def test_what_is_missing_is_trained_in_order_and_recorded(small, monkeypatch):
    started = []
    monkeypatch.setattr(runner, "start", lambda task, folder: started.append(task) or stand_in(task, folder))
    assert runner.run(workers=1, folder=small, report=lambda line: None) == 0
    assert [task.experiment for task in started] == list(RUNS)
    assert [task.keep_weights for task in started] == [True, False, False]
    started.clear()
    assert runner.run(workers=2, folder=small, report=lambda line: None) == 0
    assert not started


def test_a_real_run_is_trained_by_its_own_process(small, monkeypatch):
    lines = []
    monkeypatch.setattr(runner, "REPORT_EVERY", 0.1)
    assert runner.run(workers=1, folder=small, only="three", report=lines.append) == 0
    record = records.read(small / f"{RUNS[0].name}.json")
    assert len(record.loss) == 2 and record.environment.threads == 1
    assert record.weights_path.exists() and len(list(small.glob("*.safetensors"))) == 1
    assert any("left for all" in line for line in lines)
    assert len({line for line in lines if "recorded:" in line}) == 3


def test_a_plan_hands_resume_anyway_on_to_its_runs(small):
    assert all("--resume-anyway" in task.command(small) for task in runner.tasks((small,), resume_anyway=True))
    assert not any("--resume-anyway" in task.command(small) for task in runner.tasks((small,)))


def test_a_run_that_another_process_trains_is_passed_over(small):
    waiting = runner.tasks((small,))
    with holding(RUNS[0]):
        assert runner.take(waiting, float("inf"), 1.0, False).experiment == RUNS[1]
    assert runner.take(waiting, float("inf"), 1.0, False).experiment == RUNS[0]


def test_a_run_that_cannot_finish_in_time_is_not_started_unless_its_checkpoint_stays(small):
    waiting = runner.tasks((small,))
    soon = time.monotonic() + 1
    assert runner.take(waiting, soon, 1.0, resumable=False) is None and len(waiting) == 3
    assert runner.take(waiting, soon, 1.0, resumable=True).experiment == RUNS[0]


def test_when_time_is_up_what_is_under_way_is_interrupted_and_waited_for(small, monkeypatch):
    processes = []

    def endless(task, folder):
        processes.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]))
        return processes[-1]

    monkeypatch.setattr(runner, "start", endless)
    lines = []
    assert runner.run(workers=2, hours=0.0002, folder=small, resumable=True, report=lines.append) == 0
    assert len(processes) == 2 and all(process.poll() is not None for process in processes)
    assert any("time is up" in line for line in lines)


def test_a_failed_run_is_counted_and_the_others_go_on(small, monkeypatch):
    def fails_first(task, folder):
        if task.experiment == RUNS[0]:
            return subprocess.Popen([sys.executable, "-c", "raise SystemExit(2)"])
        return stand_in(task, folder)

    monkeypatch.setattr(runner, "start", fails_first)
    assert runner.run(workers=1, folder=small, report=lambda line: None) == 1
    assert len(list(small.glob("*.json"))) == 2


@pytest.mark.parametrize(("version", "why"), [(COMMIT + "+", "changed since one"), ("0.1.0", "no checkout")])
def test_the_plan_refuses_to_train_from_code_that_is_no_clean_commit(small, monkeypatch, version, why):
    monkeypatch.setattr(runner, "code_version", lambda: version)
    with pytest.raises(ValueError, match=f"from a clean commit alone, .* is {why}"):
        runner.run(folder=small)


@pytest.mark.parametrize("options", [{"workers": 0}, {"hours": 0.0}, {"hours": -1.0}, {"hours": float("nan")}])
def test_numbers_out_of_range_are_refused(small, options):
    with pytest.raises(ValueError, match="workers must be 1 or more and hours above 0"):
        runner.run(folder=small, **options)


def test_the_command_line_lists_the_plan(small, capsys):
    assert cli.main(["plan", "--to", str(small)]) == 0
    text = capsys.readouterr().out
    assert "three runs" in text and text.splitlines()[-1].split()[-4:-2] == ["3", "3"]
