"""A checkpoint whose training is recorded is removed; one that a training can go on from stays."""

from __future__ import annotations

import pytest
from trainings import SMALL, tiny

from reprolib import train
from reprolib.runs import records
from reprolib.runs.checkpoints import checkpoint_path
from reprolib.runs.locks import holding


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REPROLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(records, "PUBLISHED", tmp_path / "published")


class Killed(BaseException):
    """The process ends here."""


def killed_after(monkeypatch, experiment, name: str, folder=None) -> None:
    """Train, and end just after the step of this name."""
    done = getattr(records if name == "write" else train, name)

    def then_killed(*words, **named):
        done(*words, **named)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(records if name == "write" else train, name, then_killed)
        with pytest.raises(Killed):
            train.train(experiment, "cpu", None, folder, tiny())
    assert checkpoint_path(experiment).exists()


@pytest.mark.parametrize("where", ["cache", "elsewhere"])
def test_only_the_checkpoint_of_a_recorded_training_is_removed_at_the_next_start(tmp_path, monkeypatch, where):
    folder = tmp_path / "runs" if where == "elsewhere" else None
    recorded, unfinished = SMALL, SMALL.replace(seed=1)
    killed_after(monkeypatch, unfinished, "run_steps")
    killed_after(monkeypatch, recorded, "write", folder)
    broken = checkpoint_path(SMALL).with_name("broken.safetensors")
    broken.write_bytes(b"no checkpoint")
    (tmp_path / "cache" / "runs").mkdir(exist_ok=True)
    (tmp_path / "cache" / "runs" / "broken.json").write_text("no record")
    with holding(recorded):
        train.train(SMALL.replace(seed=2), "cpu", None, folder, tiny())
    assert checkpoint_path(recorded).exists()
    train.train(SMALL.replace(seed=3), "cpu", None, folder, tiny())
    assert not checkpoint_path(recorded).exists()
    assert checkpoint_path(unfinished).exists() and broken.exists()


def test_a_checkpoint_of_other_losses_than_recorded_stays(monkeypatch):
    killed_after(monkeypatch, SMALL, "write")
    (path,) = checkpoint_path(SMALL).parents[1].glob("runs/*.json")
    record = records.read(path)
    path.write_text(path.read_text().replace(str(record.loss[0]), "0.5"))
    train.train(SMALL.replace(seed=3), "cpu", None, dataset=tiny())
    assert checkpoint_path(SMALL).exists()
