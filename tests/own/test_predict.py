"""Segmenting files: every image gets cells and measurements, nothing is overwritten, a second start goes on."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image
from skimage import measure as skimage_measure

from reprolib import data, train
from reprolib.data.images import open_grey
from reprolib.errors import InputError
from reprolib.experiment import Experiment
from reprolib.own import predict as own
from reprolib.own.predict import list_inputs, measure, predict, save_labels
from reprolib.runs import records
from reprolib.tiling import predict as predict_array

SIZE = 0.5  # micrometres


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """A network of two steps, recorded with its weights."""
    folder = tmp_path_factory.mktemp("runs")
    experiment = Experiment(data="phantom-em", fold=1, width=2, tile=188, steps=2, optimiser="adam")
    return train.train(experiment, "cpu", None, folder)


@pytest.fixture
def inputs(tmp_path):
    """A plain TIFF, a PNG of another size, and a stack of two slices with a pixel size."""
    pictures = data.load("phantom-em").images
    folder = tmp_path / "in"
    folder.mkdir()
    tifffile.imwrite(folder / "a1.tif", pictures[0].astype(np.uint16) * 100)
    Image.fromarray(pictures[1][:100, :130]).save(folder / "a2.png")
    about = {"axes": "ZYX", "PhysicalSizeX": SIZE, "PhysicalSizeXUnit": "µm"}
    tifffile.imwrite(folder / "a10.ome.tif", pictures[2:4], ome=True, metadata=about)
    return folder


def level(record, image):
    """A threshold that some pixels of this image are above."""
    return float(np.median(predict_array(train.network(record), image)[1]))


def test_each_image_gets_probability_cells_outlines_and_measurements(record, inputs, tmp_path):
    image = open_grey(inputs / "a2.png")
    threshold, out = level(record, image), tmp_path / "out"
    lines = list(predict(record.path, [inputs], out, threshold=threshold, smallest=4, report=lambda line: None))
    assert [line.split(":")[0] for line in lines[:-1]] == ["a1", "a2", "a10-000", "a10-001"]
    probability = open_grey(out / "a2.probability.tif")
    assert np.abs(probability / 255 - predict_array(train.network(record), image)[1]).max() <= 0.5 / 255 + 1e-6
    cells = tifffile.imread(out / "a2.cells.tif")
    whole = skimage_measure.label(probability > 255 * threshold, connectivity=1)
    sizes = np.bincount(whole.ravel())
    assert cells.dtype == np.uint16 and cells.max() == (sizes[1:] >= 4).sum() > 1
    assert np.array_equal(cells > 0, (whole > 0) & (sizes[whole] >= 4))
    assert Image.open(out / "a2.outlines.png").size == (130, 100)
    rows = list(csv.DictReader((out / "cells.csv").open(encoding="utf-8")))
    assert {row["image"] for row in rows} == {"a1", "a2", "a10-000", "a10-001"}
    mine = [row for row in rows if row["image"] == "a2"]
    assert [float(row["area"]) for row in mine] == np.bincount(cells.ravel())[1:].tolist()
    assert float(mine[0]["intensity_mean"]) == pytest.approx(image[cells == 1].mean())
    assert all(row["area (um2)"] == "" for row in mine)  # a PNG knows no pixel size
    known = [row for row in rows if row["image"] == "a10-000"]
    assert all(float(row["area (um2)"]) == pytest.approx(SIZE**2 * float(row["area"])) for row in known)
    with tifffile.TiffFile(out / "a10-000.cells.tif") as file:
        assert f'PhysicalSizeX="{SIZE}"' in file.ome_metadata


def test_a_second_start_does_what_is_left_and_no_more(record, inputs, tmp_path, monkeypatch):
    out, words = tmp_path / "out", {"threshold": 0.5, "report": lambda line: None}
    list(predict(record.path, [inputs], out, **words))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    known = json.loads((out / own.DONE).read_text())
    del known["images"]["a2"]  # as if it had been killed before this was written
    (out / own.DONE).write_text(json.dumps(known))
    calls = []
    monkeypatch.setattr(own, "predict_image", lambda *a, **k: calls.append(a[2].name) or shutil.copy(a[2], a[2]))
    monkeypatch.setattr(shutil, "copy", lambda *_: None)
    lines = list(predict(record.path, [inputs], out, **words))
    assert calls == ["a2.probability.tif"] and sum("done before" in line for line in lines) == 3
    after = {path.name: path.read_bytes() for path in out.iterdir()}
    assert json.loads(after.pop(own.DONE)) == json.loads(before.pop(own.DONE)) and after == before


def test_results_of_other_settings_are_not_mixed(record, inputs, tmp_path):
    quiet = {"report": lambda line: None}
    list(predict(record.path, [inputs / "a2.png"], tmp_path / "out", threshold=0.5, **quiet))
    for changed in ({"threshold": 0.4}, {"threshold": 0.5, "smallest": 9}):
        with pytest.raises(ValueError, match="another network or other settings"):
            list(predict(record.path, [inputs / "a2.png"], tmp_path / "out", **changed, **quiet))


def test_another_image_of_the_same_name_is_not_taken_for_the_first(record, inputs, tmp_path):
    words = {"threshold": 0.5, "report": lambda line: None}
    list(predict(record.path, [inputs / "a2.png"], tmp_path / "out", **words))
    Image.fromarray(data.load("phantom-em").images[5]).save(inputs / "a2.png")
    with pytest.raises(ValueError, match="results of another image a2"):
        list(predict(record.path, [inputs / "a2.png"], tmp_path / "out", **words))


def test_names_that_would_meet_are_refused_and_an_image_may_be_called_cells(record, inputs, tmp_path):
    shutil.copy(inputs / "a2.png", inputs / "a10-000.png")
    with pytest.raises(ValueError, match="two images would have the name a10-000"):
        list(predict(record.path, [inputs], tmp_path / "out", threshold=0.5, report=lambda line: None))
    (inputs / "a2.png").rename(inputs / "cells.png")
    list(predict(record.path, [inputs / "cells.png"], tmp_path / "one", threshold=0.5, report=lambda line: None))
    own_table = len((tmp_path / "one" / "cells.cells.csv").read_text().splitlines())
    assert len((tmp_path / "one" / "cells.csv").read_text().splitlines()) == own_table


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"threshold": 40}, r"threshold is in \[0, 1\]"),
        ({"smallest": -1}, "0 px or more"),
        ({"memory": -1.0}, "memory must be above 0 GiB"),
        ({"memory": float("inf")}, "memory must be above 0 GiB and finite, not inf"),
    ],
)
def test_what_is_out_of_range_is_refused_before_anything_is_written(record, inputs, tmp_path, changed, message):
    with pytest.raises(ValueError, match=message):
        list(predict(record.path, [inputs], tmp_path / "out", **changed))
    assert not (tmp_path / "out").exists()


def test_an_input_is_never_in_the_folder_of_results(record, inputs):
    before = sorted(path.name for path in inputs.iterdir())
    with pytest.raises(ValueError, match="a folder of its own"):
        list(predict(record.path, [inputs / "a1.tif"], inputs))
    assert sorted(path.name for path in inputs.iterdir()) == before


def test_inputs_that_cannot_be_told_apart_or_are_not_there_are_refused(inputs, tmp_path):
    shutil.copy(inputs / "a1.tif", tmp_path / "a1.tif")
    with pytest.raises(ValueError, match="have one name"):
        list_inputs([inputs, tmp_path / "a1.tif"])
    with pytest.raises(FileNotFoundError, match="does not exist"):
        list_inputs([tmp_path / "a9.tif"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no image"):
        list_inputs([tmp_path / "empty"])


def test_probabilities_alone_need_no_cells(record, inputs, tmp_path):
    list(predict(record.path, [inputs / "a1.tif"], tmp_path / "out", cells=False, report=lambda line: None))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a1.probability.tif", own.DONE}


def test_more_objects_than_16_bits_hold_are_kept(tmp_path):
    labels = np.zeros((300, 300), np.int32)
    labels.flat[:70000] = np.arange(1, 70001)
    save_labels(tmp_path / "cells.tif", labels)
    assert np.array_equal(tifffile.imread(tmp_path / "cells.tif"), labels)


def test_measurements_are_those_of_a_known_shape():
    labels, image = np.zeros((20, 30), np.int32), np.full((20, 30), 7.0)
    labels[2:6, 3:13] = 1
    table = measure(labels, image, pixel_size=2.0)
    assert (table["area"][0], table["centroid-0"][0], table["centroid-1"][0]) == (40, 3.5, 7.5)
    assert table["intensity_mean"][0] == 7 and table["area (um2)"][0] == 160 and table["centroid-1 (um)"][0] == 15


def test_a_record_without_its_weights_says_so(record, inputs, tmp_path):
    alone = dataclasses.replace(record, path=None)
    path = records.write(alone, tmp_path / "alone")
    with pytest.raises(FileNotFoundError, match=r"\.safetensors are not there"):
        list(predict(path, [inputs / "a1.tif"], tmp_path / "out"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes")
def test_a_pipe_is_no_image(tmp_path):
    os.mkfifo(tmp_path / "a.tif")
    with pytest.raises(InputError, match="is a pipe, socket or device"):
        list_inputs([tmp_path / "a.tif"])


@pytest.fixture
def no_network(monkeypatch):
    """Any work of a network fails the test: what is refused is refused before."""
    monkeypatch.setattr(train, "network", lambda record: pytest.fail("the network was loaded"))


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_an_image_that_lies_in_the_folder_of_results_by_a_link_is_refused(record, inputs, tmp_path, no_network, link):
    (tmp_path / "out").mkdir()
    link(inputs / "a1.tif", tmp_path / "out" / "b.probability.tif")
    with pytest.raises(InputError, match=r"a1\.tif lies in the folder for the results"):
        list(predict(record.path, [inputs / "a1.tif"], tmp_path / "out"))


def test_an_image_is_not_the_folder_of_its_own_results(record, inputs, tmp_path, no_network):
    with pytest.raises(InputError, match=r"a1\.tif is a file, no folder: results need a folder"):
        list(predict(record.path, [inputs / "a1.tif"], inputs / "a1.tif"))
    zarr.create_array(tmp_path / "b.zarr", shape=(64, 64), chunks=(64, 64), dtype="uint8")
    before = sorted((tmp_path / "b.zarr").rglob("*"))
    for folder in (tmp_path / "b.zarr", tmp_path / "b.zarr" / "below"):
        with pytest.raises(InputError, match=r"b\.zarr lies in the folder for the results"):
            list(predict(record.path, [tmp_path / "b.zarr"], folder))
    assert sorted((tmp_path / "b.zarr").rglob("*")) == before


@pytest.mark.parametrize("name", ["predicted.json", "cells.csv", "a1.cells.tif", "a1.outlines.png"])
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: path.symlink_to("nowhere")])
def test_what_is_no_file_among_the_results_is_refused_before_any_work(record, inputs, tmp_path, no_network, name, make):
    (tmp_path / "out").mkdir()
    make(tmp_path / "out" / name)
    with pytest.raises(InputError, match=f"{name} is a .*, which is not replaced"):
        list(predict(record.path, [inputs / "a1.tif"], tmp_path / "out"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"settings": {}, "images": 3}', "\0"])
def test_a_damaged_list_of_results_is_told(record, inputs, tmp_path, text):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "predicted.json").write_text(text)
    with pytest.raises(InputError, match=r"predicted\.json does not tell which results are there"):
        list(predict(record.path, [inputs / "a1.tif"], tmp_path / "out"))


def test_a_disk_with_too_little_room_for_an_image_is_told_before_its_first_tile(record, inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=50_000))
    monkeypatch.setattr(own, "predict_image", lambda *_, **__: pytest.fail("a tile was computed"))
    with pytest.raises(InputError, match=r"has 0\.0 MiB free, and 0\.\d MiB are needed"):
        list(predict(record.path, [inputs / "a1.tif"], tmp_path / "out"))
