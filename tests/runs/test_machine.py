"""The machine: what a run's bits depend on besides its experiment."""

from __future__ import annotations

import dataclasses
import json
import re

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


def test_an_unknown_device_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="'gpu' is unknown: choose auto, cpu, cuda, cuda:N or mps"):
        machine.choose_device("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert machine.choose_device("auto") == machine.choose_device("cpu") == CPU
    with pytest.raises(ValueError, match="there is no cuda here"):
        machine.choose_device("cuda")
