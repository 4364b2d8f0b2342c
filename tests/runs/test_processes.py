"""Several processes share a batch: they come to what one process comes to, killed or not, and say what is wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from reprolib import cli, train
from reprolib.errors import InputError
from reprolib.experiment import Experiment
from reprolib.files import PROJECT
from reprolib.runs import machine, processes, records

STEPS = 30
BATCH = Experiment(data="phantom-dic", fold=2, width=2, tile=188, steps=STEPS, batch=4, optimiser="adam")
WORDS = ["train", *(f"{name}={value}" for name, value in BATCH.departures().items()), "--device", "cpu", "--to", "runs"]
SLOWLY = f"""
import os, sys
from pathlib import Path
from reprolib import cli, train
train.CHECKPOINT_EVERY = 0.0
Path(f"process{{os.environ['RANK']}}").write_text(str(os.getpid()))
sys.exit(cli.main({WORDS!r}))
"""
EXCHANGES = """
import os
import torch
from pathlib import Path
from reprolib.errors import InputError
from reprolib.runs import processes
number, lines = processes.number(), []
for meeting in range(3):
    with processes.together(torch.device("cpu")):
        tensors = [torch.full((2, 3), 1.0 + number), torch.tensor(10.0 + number)]
        processes.add_up(tensors)
        lines.append([tensors[0].tolist(), tensors[1].item(), processes.from_first(lambda: f"made by {number}")])
        processes.check_alike({"seed": 3, "images": "a"})
        try:
            processes.check_alike({"seed": 3, "images": number})
        except InputError as error:
            lines.append(str(error))
Path(f"told{number}").write_text(repr(lines))
"""


def start(folder: Path, *words: str, count: int = 2) -> subprocess.Popen:
    """torchrun, as a user would start it, with a cache folder of this test."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(count), *words]
    told = {"PYTHONPATH": str(PROJECT), "REPROLIB_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=folder, env=os.environ | told, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(child: subprocess.Popen) -> tuple[int, str]:
    try:
        output, _ = child.communicate(timeout=400)
    finally:
        child.kill()
    return child.returncode, output


def script(folder: Path, text: str) -> str:
    path = folder / "script.py"
    path.write_text(text)
    return str(path)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    """The folder in which two processes trained."""
    folder = tmp_path_factory.mktemp("undisturbed")
    status, output = finish(start(folder, "-m", "reprolib", *WORDS))
    assert status == 0, output
    assert output.count("recorded: ") == 1
    return folder


def test_two_processes_come_to_what_one_comes_to_with_the_same_batch(undisturbed, tmp_path, monkeypatch):
    monkeypatch.setenv("REPROLIB_CACHE", str(tmp_path))
    assert sorted(path.suffix for path in (undisturbed / "runs").iterdir()) == [".json", ".safetensors"]
    two = records.read(undisturbed / "runs" / f"{BATCH.name}.json")
    one = train.train(BATCH, "cpu", None, tmp_path / "runs")
    assert (two.environment.processes, one.environment.processes) == (2, 1)
    assert two.experiment == one.experiment == BATCH
    np.testing.assert_allclose(two.loss, one.loss, rtol=1e-5)  # they add the four gradients in another order
    ours, theirs = load_file(one.weights_path), load_file(two.weights_path)
    for name in ours:
        torch.testing.assert_close(ours[name].float(), theirs[name].float(), rtol=2**-10, atol=1e-5)  # half precision


def done(checkpoint: Path) -> int:
    """Steps in a checkpoint; 0 before there is one."""
    try:
        with safe_open(checkpoint, "pt") as file:
            return len(file.get_tensor("losses"))
    except (FileNotFoundError, SafetensorError):
        return 0


def test_when_one_of_two_processes_is_killed_the_same_command_goes_on_to_the_same_bits(undisturbed, tmp_path):
    checkpoint = tmp_path / "cache" / "checkpoints" / f"{BATCH.name}.safetensors"
    program = script(tmp_path, SLOWLY)
    for victim, steps in ((1, 3), (0, 8)):
        child = start(tmp_path, program)
        patience = time.monotonic() + 300
        while done(checkpoint) < steps:
            assert child.poll() is None and time.monotonic() < patience, "no checkpoint was written"
            time.sleep(0.005)
        os.kill(int((tmp_path / f"process{victim}").read_text()), signal.SIGKILL)
        status, output = finish(child)
        assert status != 0 and "recorded" not in output
        assert "SIGKILL" in output or "Signal 9" in output
        assert steps <= done(checkpoint) < STEPS
        assert not (tmp_path / "runs").exists()
    status, output = finish(start(tmp_path, program))
    assert status == 0 and output.count("resuming after step") == 1, output
    here, there = (folder / "runs" / f"{BATCH.name}.safetensors" for folder in (tmp_path, undisturbed))
    assert here.read_bytes() == there.read_bytes()
    losses = [json.loads(path.with_suffix(".json").read_text())["loss"] for path in (here, there)]
    assert losses[0] == losses[1]
    assert not checkpoint.exists()


def test_processes_exchange_sums_and_what_the_first_made_and_notice_what_differs(tmp_path):
    status, output = finish(start(tmp_path, script(tmp_path, EXCHANGES)))
    assert status == 0, output
    told = "process 1 has not the images of process 0: all need the same images, and one cache folder (REPROLIB_CACHE)"
    expected = [[[[3.0] * 3] * 2, 21.0, "made by 0"], told] * 3
    assert [(tmp_path / f"told{number}").read_text() for number in (0, 1)] == [repr(expected)] * 2


def test_two_processes_train_on_own_images_as_many_steps_as_the_first_one_chooses(tmp_path):
    rng = np.random.default_rng(0)
    for name in "abc":
        labels = np.zeros((64, 64), np.uint8)
        labels[10:30, 10:30], labels[36:56, 30:50] = 1, 2
        for kind, array in (
            ("images", np.where(labels > 0, 170, 60) + rng.normal(0, 9, labels.shape)),
            ("labels", labels),
        ):
            (tmp_path / "mine" / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array.astype(np.uint8)).save(tmp_path / "mine" / kind / f"{name}.png")
    words = ["train", "--images", "mine", "width=2", "batch=2", "--minutes", "0.001", "--device", "cpu", "--to", "runs"]
    text = "import sys\nfrom reprolib import cli\nfrom reprolib.own import recipe\nrecipe.FEWEST = 5\n"
    program = script(tmp_path, f"{text}sys.exit(cli.main({words!r}))\n")
    status, output = finish(start(tmp_path, program))
    assert status == 0 and all(output.count(once) == 1 for once in ("3 images; ", "recorded: ", "report: ")), output
    (path,) = (tmp_path / "runs").glob("*.json")
    record = records.read(path)
    assert record.environment.processes == 2 and record.experiment.steps == len(record.loss) >= 5
    status, output = finish(start(tmp_path, program))
    assert status == 0 and output.count("recorded already") == 1, output


# --- one process alone, and what is refused ----------


@pytest.fixture
def second_of_two(monkeypatch):
    """The environment of the second of two processes, which nobody has started."""
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "1"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)


def test_one_process_exchanges_nothing(monkeypatch):
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert (processes.count(), processes.number(), processes.share(5)) == (1, 0, range(5))
    tensor = torch.tensor([1.0, 2.0])
    with processes.together(torch.device("cpu")):
        processes.add_up([tensor])
        processes.check_alike({"images": 1})
        assert processes.from_first(lambda: 7) == 7 and tensor.tolist() == [1.0, 2.0]
    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize(("batch", "fits"), [(1, 2), (3, 4), (5, 4)])
def test_a_batch_that_the_processes_cannot_share_is_refused_with_the_nearest(second_of_two, batch, fits):
    assert processes.share(6) == range(3, 6)
    with pytest.raises(InputError, match=f"2 processes cannot share a batch of {batch}: set batch={fits}"):
        processes.share(batch)


def test_processes_that_nobody_has_started_are_refused(second_of_two, monkeypatch):
    with pytest.raises(InputError, match="MASTER_ADDR is not set: start them with torchrun --nproc-per-node 2"):
        with processes.together(torch.device("cpu")):
            pytest.fail("there is nobody to join")
    with pytest.raises(InputError, match="not joined"):
        processes.add_up([torch.zeros(1)])
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(InputError, match="WORLD_SIZE must be a number"):
        processes.count()


def test_other_commands_are_one_processs_work(second_of_two, capsys):
    assert cli.main(["claims"]) == 2
    assert capsys.readouterr().err.startswith("reprolib, process 1 of 2: claims is one process's work")


def test_each_process_takes_the_gpu_of_its_number(second_of_two, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert machine.choose_device("auto") == machine.choose_device("cuda") == torch.device("cuda", 1)
    assert machine.choose_device("cpu") == torch.device("cpu")
    for name in ("cuda:0", "mps"):
        with pytest.raises(InputError, match=f"2 processes need a device each, and {name} is one"):
            machine.choose_device(name)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="process 1 has no GPU of its own, there are 1 here"):
        machine.choose_device("auto")
