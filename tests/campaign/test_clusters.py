"""A worker, the scheduler and the client are killed, one each; the campaign does it more often."""

from __future__ import annotations

import subprocess
import sys

import pytest

from reprolib.files import PROJECT


def test_a_volume_comes_to_the_same_bytes_whatever_is_killed():
    pytest.importorskip("distributed")
    command = [sys.executable, "-m", "tests.campaign", "--short", "--only", "cluster"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 kills" in done.stdout
