"""Results in the challenges' formats: what their programs would read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from invented import record
from PIL import Image

from reprolib import cli, data, progress, train
from reprolib.errors import InputError
from reprolib.evaluation import ctc
from reprolib.evaluation.cells import SMALLEST
from reprolib.evaluation.prediction import predict_cells
from reprolib.evaluation.scores import AtThreshold, Scores
from reprolib.experiment import Experiment
from reprolib.own import export
from reprolib.runs import records
from reprolib.runs.records import Record, Weights
from reprolib.runs.weights import save_weights


def recorded(folder: Path, name: str, fold: int, seed: int = 0) -> Record:
    """A record of an untrained network, with its weights."""
    experiment = Experiment(data=name, fold=fold, width=2, seed=seed)
    torch.manual_seed(seed)
    made = record(experiment, Scores({"seg": AtThreshold(0.5, 0.4)}))
    path = folder / f"{experiment.name}.safetensors"
    weights = Weights(save_weights(train.build(experiment), path), path.stat().st_size, kept=True)
    return records.read(records.write(replace(made, weights=weights), folder))


@pytest.fixture
def images(monkeypatch):
    """Three small noisy images in the place of every published part."""
    found = np.random.default_rng(0).integers(0, 256, (3, 40, 52)).astype(np.uint8)
    asked = []

    def frames(name, key, folder=None):
        asked.append((name, key))
        return found

    monkeypatch.setattr(data, "frames", frames)
    return found, asked


def test_em_slices_become_one_tiff_of_the_mean_probability_of_not_membrane(tmp_path, images):
    runs = [recorded(tmp_path, "isbi2012", fold, seed=fold) for fold in (1, 2)]
    lines = []
    output = export.export(runs, tmp_path / "out" / "test.tif", report=lines.append)
    with Image.open(output) as file:
        assert (file.n_frames, file.mode, file.size) == (3, "F", (52, 40))
        pages = [np.asarray(file) for page in range(3) if not file.seek(page)]
    planes = [predict_cells(train.network(run), images[0]) for run in runs]
    np.testing.assert_allclose(pages, np.mean(planes, axis=0), atol=1e-6)
    assert images[1] == [("isbi2012", "test-volume.tif")] and lines[-1].startswith("slice 3/3, ")
    assert [path.name for path in output.parent.iterdir()] == ["test.tif"]


def test_a_video_becomes_a_folder_of_masks_at_the_training_threshold(tmp_path, images, monkeypatch):
    monkeypatch.setitem(SMALLEST, "dic-hela", 7)
    run = recorded(tmp_path, "dic-hela", 2)
    stale = tmp_path / "out" / "02_RES"
    stale.mkdir(parents=True)
    (stale / "mask999.tif").touch()
    export.export([run], tmp_path / "out", report=lambda line: None)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["02_RES"] and images[1] == [("dic-hela", "02")]
    assert sorted(path.name for path in stale.iterdir()) == ["mask000.tif", "mask001.tif", "mask002.tif"]
    for number, image in enumerate(images[0]):
        mask = np.asarray(Image.open(stale / f"mask{number:03d}.tif"))
        expected = predict_cells(train.network(run), image[None])[0]
        assert mask.dtype == np.uint16 and np.array_equal(mask, ctc.instances(expected, 0.4, 7))


def test_what_an_export_did_not_write_is_never_deleted(tmp_path, images):
    run = recorded(tmp_path, "dic-hela", 1)
    folder = tmp_path / "out" / "01_RES"
    folder.mkdir(parents=True)
    for name in ("mask000.tif", "notes.txt"):
        (folder / name).write_text("mine")
    with pytest.raises(ValueError, match=r"01_RES would be replaced, and it holds notes\.txt: move that away"):
        export.export([run], tmp_path / "out")
    assert sorted(path.read_text() for path in folder.iterdir()) == ["mine", "mine"]
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="is no plain folder"):
        export.export([run], tmp_path / "out")
    assert folder.is_symlink() and len(list(folder.iterdir())) == 2


def test_an_interrupted_export_leaves_the_old_masks(tmp_path, images, monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    run = recorded(tmp_path, "phc-u373", 1)
    old = tmp_path / "out" / "01_RES"
    old.mkdir(parents=True)
    (old / "mask000.tif").write_text("old")

    def stop(line):
        if "frame 2" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export.export([run], tmp_path / "out", report=stop)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["01_RES"]
    assert (old / "mask000.tif").read_text() == "old"


def test_runs_of_several_sets_or_of_none_are_refused(tmp_path, capsys):
    em, hela = recorded(tmp_path, "isbi2012", 1), recorded(tmp_path, "dic-hela", 1)
    phantom, again = recorded(tmp_path, "phantom-em", 1), recorded(tmp_path, "dic-hela", 1, seed=1)
    for runs, message in (
        ([em, hela], "not of dic-hela, isbi2012"),
        ([phantom], "not of phantom-em"),
        ([hela, again], "same video"),
    ):
        with pytest.raises(ValueError, match=message):
            export.export(runs, tmp_path / "out")
    assert cli.main(["export", str(phantom.path), "--to", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("reprolib: export takes runs of one of")


def test_the_name_of_a_set_stands_for_its_published_networks(monkeypatch, tmp_path, capsys):
    given = []
    monkeypatch.setattr(export, "export", lambda runs, *_: given.extend(runs) or tmp_path)
    assert cli.main(["export", "isbi2012", "--to", str(tmp_path / "test.tif")]) == 0
    assert [run.experiment.seed for run in given] == [0, 1, 2]
    assert all(run.weights_path.exists() for run in given)
    given.clear()
    assert cli.main(["export", "phc-u373", "--to", str(tmp_path)]) == 0
    assert sorted(run.experiment.fold for run in given) == [1, 2]
    assert cli.main(["export", "isbi2013", "--to", str(tmp_path)]) == 2
    assert "isbi2013" in capsys.readouterr().err


def test_where_results_cannot_go_is_told_before_a_network_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "network", lambda record: pytest.fail("the network was loaded"))
    slices, cells = recorded(tmp_path, "isbi2012", 1), recorded(tmp_path, "phc-u373", 1)
    (tmp_path / "out.tif").symlink_to("nowhere")
    with pytest.raises(InputError, match="a link to nowhere, which is not replaced"):
        export.export([slices], tmp_path / "out.tif")
    for run in (slices, cells):
        with pytest.raises(InputError, match="is a file, no folder"):
            export.export([run], slices.path / "out.tif")
