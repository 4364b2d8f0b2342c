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
from bioimageio.spec import load_model_description
from drawn import discs, picture, save

from reprolib import train
from reprolib.augment import normalise
from reprolib.errors import InputError
from reprolib.experiment import Experiment
from reprolib.model import UNet
from reprolib.own import package as module
from reprolib.own.folder import SHOWN, named_folder
from reprolib.own.package import Probability, model_card, package, to_onnx, to_torchscript
from reprolib.runs import records
from reprolib.tiling import evaluating, probabilities

NAMES = ("ground", "dark cells", "-<b>")


def class_folder(folder):
    """Images of 64 px with labels of three classes, 255 where nobody has looked, and the classes' names."""
    for index in range(3):
        labels = np.where(discs() > 4, 2, np.minimum(discs(), 1)).astype(np.uint8)
        labels[:5] = 255
        save(folder / f"images/{index}.png", picture(discs(), index))
        save(folder / f"labels/{index}.png", labels)
    (folder / "classes.txt").write_text("\n".join(NAMES), encoding="utf-8")
    return folder


def recorded_classes(folder, images, **fields):
    dataset = named_folder(class_folder(images), "", 255, "classes")
    fields = {"width": 2, "tile": 192 if "padding" in fields else 188, "optimiser": "adam", **fields}
    experiment = Experiment(data=dataset.name, fold=1, steps=1, classes=3, weights="balanced", **fields)
    return train.train(experiment, "cpu", None, folder, dataset)


def recorded(folder, **fields):
    """A network of one step, recorded, and what it was trained on."""
    dataset = named_folder(SHOWN / "nuclei")
    channels = fields.get("channels", "grey")
    if channels != "grey":
        dataset = named_folder(SHOWN / "histology", channels)
    fields = {"width": 2, "tile": 192 if fields.get("padding") == "same" else 188, "optimiser": "adam", **fields}
    experiment = Experiment(data=dataset.name, fold=1, steps=1, **fields)
    return train.train(experiment, "cpu", None, folder, dataset)


@pytest.mark.parametrize(
    ("channels", "classes", "padding"),
    [(1, 2, "valid"), (3, 2, "valid"), (1, 4, "valid"), (1, 2, "same"), (2, 3, "same")],
)
def test_the_weights_give_the_same_numbers_elsewhere_at_any_size(channels, classes, padding, tmp_path):
    torch.manual_seed(0)
    network = UNet(in_channels=channels, classes=classes, width=3, padding=padding)
    loss, count = (184 if padding == "valid" else 0), (classes if classes > 2 else 1)
    model, example = Probability(network, classes > 2).eval(), torch.randn(1, channels, 20 + loss, 36 + loss)
    if padding == "same":
        example = torch.randn(1, channels, 64, 48)
    session = onnxruntime.InferenceSession(to_onnx(model, example), providers=["CPUExecutionProvider"])
    to_torchscript(model, example, tmp_path / "w.pt")
    script = torch.jit.load(tmp_path / "w.pt")
    for size in ((1, channels, 188, 252), (2, channels, 236, 204)):
        size = size if padding == "valid" else (*size[:2], size[2] // 16 * 16, size[3] // 16 * 16)
        values = torch.randn(size)
        with torch.inference_mode():
            expected = model(values).numpy()
            assert np.abs(script(values).numpy() - expected).max() < 1e-4
        assert np.abs(session.run(None, {"input": values.numpy()})[0] - expected).max() < 1e-4
        assert expected.std() > 0.01 and expected.shape == (size[0], count, size[2] - loss, size[3] - loss)
        if classes > 2:
            np.testing.assert_allclose(expected.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    "fields",
    [{"normalisation": "percentiles"}, {"channels": "rgb", "scale": 0.8}, {"padding": "same", "channels": "rgb"}],
    ids=str,
)
def test_bioimageios_library_validates_the_package_and_runs_both_kinds_of_weights(fields, tmp_path):
    path = package(recorded(tmp_path, **fields), tmp_path / "network.zip")
    for kind in ("onnx", "torchscript"):
        summary = run_as_bioimageio_does(str(path), weight_format=kind)
        assert summary.status == "passed", summary.format()
    with zipfile.ZipFile(path) as archive:
        given = np.load(io.BytesIO(archive.read("input.npy")))
    assert given.shape[1] == (3 if "channels" in fields else 1)
    assert given.shape[-1] == (256 if "padding" in fields else 252)


@pytest.mark.parametrize("fields", [{}, {"padding": "same", "normalisation": "percentiles"}], ids=str)
def test_a_network_for_classes_has_a_channel_a_class_with_its_name(fields, tmp_path):
    record = recorded_classes(tmp_path, tmp_path / "mine", **fields)
    with pytest.raises(InputError, match=r"classes\.txt names 3 classes, and the labels have 4"):
        package(record, tmp_path / "network.zip", tmp_path / "mine")
    path = package(record, tmp_path / "network.zip", tmp_path / "mine", ignore=255)
    for kind in ("onnx", "torchscript"):
        summary = run_as_bioimageio_does(str(path), weight_format=kind)
        assert summary.status == "passed", summary.format()
    described = load_model_description(path)
    assert tuple(described.outputs[0].axes[1].channel_names) == NAMES
    with zipfile.ZipFile(path) as archive:
        given, expected = (np.load(io.BytesIO(archive.read(f"{name}.npy"))) for name in ("input", "output"))
    assert expected.shape[1] == 3
    network, values = train.network(record), normalise(given[0, 0], record.experiment.normalisation).numpy()
    with evaluating(network):
        np.testing.assert_allclose(probabilities(network, values).numpy(), expected[0], atol=1e-4)
    card = model_card(record)
    assert "0 = ground, 1 = dark cells, 2 = -&#60;b&#62;" in card and "IoU" in card and "Cells:" not in card
    assert ("multiples of 16 px" if "padding" in fields else "184 px smaller") in card


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
    phantoms = Experiment(data="phantom-em", fold=1, width=2, variant="n4-65", tile=65, steps=1, weights="none")
    window = train.train(phantoms, "cpu", None, tmp_path)
    with pytest.raises(InputError, match="holds a U-Net, not the ancestor 'n4-65'"):
        package(records.read(window.path), tmp_path / "a.zip")
    assert not list(tmp_path.glob("*.zip"))


def test_the_name_of_a_folder_is_text_in_the_model_card(tmp_path):
    record = recorded(tmp_path)
    named = dataclasses.replace(record, experiment=dataclasses.replace(record.experiment, data="own-<b>"))
    assert "<b>" not in model_card(named) and "own-&#60;b&#62;" in model_card(named)
