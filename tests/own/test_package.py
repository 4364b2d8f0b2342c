"""A network for other programs: BioImage.IO's own library runs it, with the digits that `reprolib predict` gives."""

from __future__ import annotations

import dataclasses
import io
import zipfile

import numpy as np
import onnxruntime
import pytest
import torch
from bioimageio.core import test_model as run_as_bioimageio_does

from reprolib import train
from reprolib.errors import InputError
from reprolib.experiment import Experiment
from reprolib.model import UNet
from reprolib.own import package as module
from reprolib.own.folder import SHOWN, named_folder
from reprolib.own.package import Probability, model_card, package, to_onnx, to_torchscript
from reprolib.runs import records


def recorded(folder, **fields):
    """A network of one step, recorded, and what it was trained on."""
    dataset = named_folder(SHOWN / "nuclei")
    channels = fields.get("channels", "grey")
    if channels != "grey":
        dataset = named_folder(SHOWN / "histology", channels)
    experiment = Experiment(data=dataset.name, fold=1, width=2, tile=188, steps=1, optimiser="adam", **fields)
    return train.train(experiment, "cpu", None, folder, dataset)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_weights_give_the_same_numbers_elsewhere_at_any_size(channels, tmp_path):
    torch.manual_seed(0)
    model, example = Probability(UNet(in_channels=channels, width=3)).eval(), torch.randn(1, channels, 204, 220)
    session = onnxruntime.InferenceSession(to_onnx(model, example), providers=["CPUExecutionProvider"])
    to_torchscript(model, example, tmp_path / "w.pt")
    script = torch.jit.load(tmp_path / "w.pt")
    for size in ((1, channels, 188, 252), (2, channels, 236, 204)):
        values = torch.randn(size)
        with torch.inference_mode():
            expected = model(values).numpy()
            assert np.abs(script(values).numpy() - expected).max() < 1e-4
        assert np.abs(session.run(None, {"input": values.numpy()})[0] - expected).max() < 1e-4
        assert expected.std() > 0.01 and expected.shape == (size[0], 1, size[2] - 184, size[3] - 184)


@pytest.mark.parametrize("fields", [{"normalisation": "percentiles"}, {"channels": "rgb", "scale": 0.8}], ids=str)
def test_bioimageios_library_validates_the_package_and_runs_both_kinds_of_weights(fields, tmp_path):
    path = package(recorded(tmp_path, **fields), tmp_path / "network.zip")
    for kind in ("onnx", "torchscript"):
        summary = run_as_bioimageio_does(str(path), weight_format=kind)
        assert summary.status == "passed", summary.format()
    with zipfile.ZipFile(path) as archive:
        given = np.load(io.BytesIO(archive.read("input.npy")))
    assert given.shape[1] == (3 if "channels" in fields else 1)


def test_the_model_card_tells_what_the_description_cannot(tmp_path):
    record = recorded(tmp_path, scale=0.5, mean_of_flips=True)
    text = model_card(record)
    assert "give images at 0.5 of their size" in text and "184 px smaller" in text and "three mirror images" in text
    assert record.weights.sha256 in text and "F1" in text and str(record.scores.detection.settings) in text


def test_images_of_a_published_set_stay_out_of_the_package(tmp_path):
    experiment = Experiment(data="phantom-em", fold=1, width=2, tile=188, steps=1, optimiser="adam")
    record = train.train(experiment, "cpu", None, tmp_path)
    noise = module.test_image(record, None)
    assert noise.shape == (252, 252) and np.array_equal(noise, module.test_image(record, None))
    assert package(record, tmp_path / "a.zip").exists()


def test_what_cannot_be_packaged_is_refused(tmp_path):
    record = recorded(tmp_path)
    with pytest.raises(InputError, match=r"must end in \.zip"):
        package(record, tmp_path / "network.tar")
    with pytest.raises(InputError, match="holds other images"):
        package(record, tmp_path / "a.zip", SHOWN / "histology")
    other = dataclasses.replace(record, experiment=record.experiment.replace(data="own-else-0123456789abcdef"))
    with pytest.raises(InputError, match="name their folder, --images"):
        package(other, tmp_path / "a.zip")
    phantoms = Experiment(data="phantom-em", fold=1, width=2, padding="same", tile=192, steps=1)
    padded = train.train(phantoms, "cpu", None, tmp_path)
    with pytest.raises(InputError, match="valid convolutions"):
        package(records.read(padded.path), tmp_path / "a.zip")
    assert not list(tmp_path.glob("*.zip"))


def test_the_name_of_a_folder_is_text_in_the_model_card(tmp_path):
    record = recorded(tmp_path)
    named = dataclasses.replace(record, experiment=dataclasses.replace(record.experiment, data="own-<b>"))
    assert "<b>" not in model_card(named) and "own-&#60;b&#62;" in model_card(named)
