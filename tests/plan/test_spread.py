"""`reprolib plan run --scheduler`: a scheduler's workers train the plan, and the records are those of one process."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from reprolib import cli
from reprolib.errors import Failed
from reprolib.experiment import Experiment
from reprolib.plan import purposes, runner, spread
from reprolib.runs import records

distributed = pytest.importorskip("distributed")
RUNS = tuple(Experiment(data="phantom-em", fold=1, width=2, tile=188, steps=steps) for steps in (2, 3))


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A plan of two runs of seconds, in a cache of its own; the folder of its records."""
    planned = [purposes.Purpose("two runs", 1, RUNS, published=False, kept=RUNS[:1])]
    monkeypatch.setenv("REPROLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(purposes, "purposes", lambda: planned)
    for module in (records, runner, spread):
        monkeypatch.setattr(module, "PUBLISHED", tmp_path / "published")
    monkeypatch.setattr(runner, "code_version", lambda: "0" * 40)
    return tmp_path / "runs"


@pytest.fixture
def address():
    with distributed.LocalCluster(1, processes=False, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


def test_workers_train_the_plan_and_one_process_has_the_same_losses(small, address, tmp_path, capsys):
    assert cli.main(["plan", "run", "--scheduler", address, "--to", str(small)]) == 0
    assert "2 runs to train" in capsys.readouterr().out
    assert len(list(small.glob("*.json"))) == 2 and len(list(small.glob("*.safetensors"))) == 1
    there = records.read(small / f"{RUNS[0].name}.json")
    process = runner.start(runner.Task(RUNS[0], False, True), tmp_path / "here", "--again")
    assert process.wait() == 0
    here = records.read(tmp_path / "here" / f"{RUNS[0].name}.json")
    assert there.loss == here.loss and there.weights == here.weights
    assert there.experiment == here.experiment and there.scores == here.scores
    cli.main(["plan", "run", "--scheduler", address, "--to", str(small)])
    assert "0 runs to train" in capsys.readouterr().out


def test_a_run_that_fails_is_named_by_its_last_line_and_the_others_are_recorded(small, address, monkeypatch):
    real = runner.Task.command
    monkeypatch.setattr(
        runner.Task,
        "command",
        lambda task, folder: [*real(task, folder), "steps=x"] if task.experiment == RUNS[0] else real(task, folder),
    )
    with pytest.raises(Failed, match=rf"1 of 2 runs failed, {RUNS[0].name} by: .*steps"):
        spread.run(address, small, report=str)
    assert [path.stem for path in small.glob("*.json")] == [RUNS[1].name]


def test_what_was_trained_for_a_client_that_is_gone_is_not_trained_again(small, address, monkeypatch):
    spread.trained(runner.tasks((small,))[0])
    began = []
    real = runner.start
    monkeypatch.setattr(runner, "start", lambda task, *more: began.append(task) or real(task, *more))
    spread.run(address, small, report=str)
    log = began[0].log.read_text()
    assert "recorded already" in log and len(list(small.glob("*.json"))) == 2


def test_hours_are_refused_with_a_scheduler(small, capsys):
    assert cli.main(["plan", "run", "--scheduler", "tcp://nowhere:1", "--hours", "1"]) == 2
    assert "no --hours" in capsys.readouterr().err


def test_a_killed_worker_process_loses_nothing(small, monkeypatch):
    pids, lines = [], []

    def kill():
        while not runner.tasks((small,))[0].log.exists():
            time.sleep(0.01)
        os.kill(pids[0], signal.SIGKILL)

    real = spread.connected

    def connected(*words):
        opened = real(*words)

        class Watched:
            def __enter__(self):
                client = opened.__enter__()
                pids.extend(client.run(os.getpid).values())
                threading.Thread(target=kill, daemon=True).start()
                return client

            def __exit__(self, *error):
                return opened.__exit__(*error)

        return Watched()

    monkeypatch.setattr(spread, "connected", connected)
    spread.run("local", small, report=lines.append, workers=2)
    assert sorted(path.stem for path in small.glob("*.json")) == sorted(run.name for run in RUNS)
    trained = [len(records.read(small / f"{run.name}.json").loss) for run in RUNS]
    assert trained == [2, 3]
