"""The machine: what a run's bits depend on besides its experiment."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import safetensors
import scipy
import torch

from reprolib.runs import machine

CPU = torch.device("cpu")


def test_the_environment_names_all_that_the_bits_depend_on():
    found = machine.environment(CPU)
    for library in (torch, np, scipy, safetensors):
        assert found.libraries[library.__name__].split("+")[0] == library.__version__.split("+")[0]
    assert found.threads == torch.get_num_threads()
    assert (found.device, found.number_format) == ("cpu", machine.number_format(CPU))
    assert re.fullmatch(r"[0-9a-f]{40}\+?|\d+\.\d+.*", found.code)
    assert all(dataclasses.asdict(found).values())
    assert json.loads(json.dumps(dataclasses.asdict(found))) == dataclasses.asdict(found)


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A checkout of one commit in the place of the project's."""
    (tmp_path / "reprolib").mkdir()
    (tmp_path / "reprolib" / "code.py").write_text("1")
    for words in ("init -q", "add .", "-c user.name=n -c user.email=e commit -qm one"):
        subprocess.run(["git", "-C", tmp_path, *words.split()], check=True)
    monkeypatch.setattr(machine, "PROJECT", tmp_path)
    return tmp_path


def head(folder: Path) -> str:
    return (folder / ".git" / "refs" / "heads" / os.listdir(folder / ".git" / "refs" / "heads")[0]).read_text().strip()


def test_the_code_is_named_by_its_commit_and_a_change_since_it(checkout):
    assert machine.code_version() == head(checkout)
    (checkout / "notes").write_text("2")
    assert machine.code_version() == head(checkout)
    (checkout / "reprolib" / "code.py").write_text("2")
    assert machine.code_version() == head(checkout) + "+"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file away")
def test_the_commit_of_another_users_checkout_is_told(checkout):
    for path in (checkout, *checkout.rglob("*")):
        os.chown(path, 12345, 12345)
    assert machine.code_version() == head(checkout)


def test_a_checkout_that_git_does_not_read_is_not_taken_for_a_release(checkout):
    (checkout / ".git" / "HEAD").unlink()
    assert machine.code_version() == f"{metadata.version('reprolib')}, commit unknown"
    (checkout / ".git").rename(checkout / "moved")
    assert machine.code_version() == metadata.version("reprolib")


def test_a_package_within_the_checkout_of_something_else_is_not_of_its_commit(checkout, monkeypatch):
    monkeypatch.setattr(machine, "PROJECT", checkout / "reprolib")
    assert machine.code_version() == metadata.version("reprolib")


def test_an_unknown_device_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="'gpu' is unknown: choose auto, cpu, cuda, cuda:N or mps"):
        machine.choose_device("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert machine.choose_device("auto") == machine.choose_device("cpu") == CPU
    with pytest.raises(ValueError, match="there is no cuda here"):
        machine.choose_device("cuda")
