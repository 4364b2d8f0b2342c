"""One process at a time trains an experiment; another says who does, or waits."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from concurrent.futures import Future

import pytest
from trainings import SMALL, tiny

from reprolib import cli, train
from reprolib.errors import Busy
from reprolib.runs import records
from reprolib.runs.checkpoints import checkpoint_path
from reprolib.runs.locks import holding, lock_path, locked
from reprolib.runs.records import Record


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Runs and locks of this test alone."""
    monkeypatch.setenv("REPROLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(records, "PUBLISHED", tmp_path / "published")
    return tmp_path / "cache"


def test_a_lock_tells_its_holder_and_is_free_again_when_that_is_killed():
    code = (
        "import sys, time; from reprolib.experiment import Experiment; from reprolib.runs.locks import holding\n"
        f"with holding(Experiment(**{SMALL.departures()!r})):\n    print('held', flush=True); time.sleep(600)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline() == "held\n"
        assert locked(SMALL) and not locked(SMALL.replace(seed=1))
        host = re.escape(socket.gethostname())
        who = rf"^process {child.pid} on {host}, since \d{{4}}-\d\d-\d\d \d\d:\d\d, trains {SMALL.name}"
        with pytest.raises(Busy, match=f"{who}: wait for it, or end it$"):
            train.train(SMALL, "cpu", None, dataset=tiny())
    finally:
        child.kill()
        child.wait()
    assert not locked(SMALL) and lock_path(SMALL).exists()
    with holding(SMALL):
        assert locked(SMALL)
        assert f"process {os.getpid()} on " in lock_path(SMALL).with_suffix(".holder").read_text()
    assert not lock_path(SMALL).with_suffix(".holder").exists()


def waiter(**options) -> tuple[Future[Record], threading.Event]:
    """A training that waits for this process: its record or error to come, and what is set when it has said so."""
    said = threading.Event()

    def report(line: str) -> None:
        if line.startswith(f"waiting: process {os.getpid()} on "):
            said.set()

    future: Future[Record] = Future()

    def work() -> None:
        try:
            future.set_result(train.train(SMALL, "cpu", report, dataset=tiny(), wait=True, **options))
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()  # one that hangs does not keep the tests from ending
    return future, said


@pytest.mark.parametrize("keep", [True, False])
def test_who_waits_takes_the_others_record_if_it_holds_what_is_asked_for(monkeypatch, keep):
    trained, run_steps = [], train.run_steps
    other = train.train(SMALL, "cpu", None, dataset=tiny(), keep_weights=False)
    monkeypatch.setattr(train, "run_steps", lambda *words, **named: trained.append(1) or run_steps(*words, **named))
    with holding(SMALL):
        future, said = waiter(keep_weights=keep)
        assert said.wait(60), future
        records.write(other, other.path.parent)  # what it waits for
    record = future.result(300)
    assert len(trained) == keep and record.weights_path.exists() == keep
    assert record.loss == other.loss


def test_who_waits_trains_itself_if_the_other_ended_without_a_record():
    with holding(SMALL):
        future, said = waiter()
        assert said.wait(60), future
    assert len(future.result(300).loss) == SMALL.steps


def test_weights_that_are_not_kept_never_touch_the_folder_and_an_earlier_trainings_are_removed(tmp_path, monkeypatch):
    folder, seen = tmp_path / "runs", []
    scored = train.score.score

    def look(*words):
        seen.append(sorted(path.name for path in folder.iterdir()) if folder.exists() else [])
        return scored(*words)

    monkeypatch.setattr(train.score, "score", look)
    for keep in (False, True, False, False):
        record = train.train(SMALL, "cpu", None, folder, tiny(), keep_weights=keep)
        assert record.weights.kept is record.weights_path.exists() is keep
    names = [f"{SMALL.name}.json", f"{SMALL.name}.safetensors"]
    assert seen == [[], names[:1], names, names[:1]]
    assert sorted(path.suffix for path in checkpoint_path(SMALL).parent.iterdir()) == [".lock"]


def test_two_programs_without_weights_at_once_both_end_well(tmp_path, capfd):
    words = ["train", "data=phantom-em", "fold=1", "width=2", "tile=188", "steps=2", "--no-weights", "--wait"]
    child = subprocess.Popen([sys.executable, "-m", "reprolib", *words, "--to", str(tmp_path / "runs")])
    assert cli.main([*words, "--to", str(tmp_path / "runs")]) == 0
    assert child.wait(300) == 0
    assert [path.suffix for path in (tmp_path / "runs").iterdir()] == [".json"]
    assert "Traceback" not in capfd.readouterr().err
