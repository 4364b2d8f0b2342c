"""The widget for napari: its manifest is valid, and it gives a layer what the command line gives a file."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from npe2 import PluginManifest

from reprolib.data.images import open_grey
from reprolib.errors import InputError
from reprolib.files import PROJECT
from reprolib.own.folder import SHOWN
from reprolib.own.napari_plugin import segment
from reprolib.own.predict import cell_settings, find_cells
from reprolib.plan import recipes
from reprolib.runs import records

MANIFEST = PROJECT / "reprolib" / "own" / "napari.yaml"


@pytest.fixture(scope="module")
def run():
    return records.find(recipes.own_nuclei())


def layer(data: np.ndarray, rgb: bool = False) -> SimpleNamespace:
    return SimpleNamespace(data=data, rgb=rgb, name="mine", scale=np.full(data.ndim - rgb, 0.5), translate=0.0)


def test_napari_accepts_the_manifest_and_finds_the_function():
    manifest = PluginManifest.from_file(MANIFEST)
    manifest.validate_imports()
    assert [command.python_name for command in manifest.contributions.commands] == [
        f"{segment.__module__}:{segment.__name__}"
    ]
    assert "napari" not in sys.modules


def test_a_layer_gets_the_probability_and_the_cells_of_its_file(run):
    grey = open_grey(SHOWN / "nuclei" / "images" / "nuclei3.png")
    probability, cells = find_cells(run, grey)
    for data, rgb in ((grey, False), (np.stack([grey] * 3 + [np.full_like(grey, 255)], -1), True)):
        (found, options, kind), (labels, placed, what) = segment(layer(data, rgb), run.path)
        assert (kind, what) == ("image", "labels") and np.array_equal(options["scale"], [0.5, 0.5])
        assert np.array_equal(found, probability) and np.array_equal(labels, cells)
        assert str(cell_settings(run)) in placed["name"]


def test_of_a_stack_each_slice_is_an_image_and_a_threshold_takes_components(run):
    stack = np.stack([open_grey(SHOWN / "nuclei" / "images" / f"nuclei{k}.png")[:180, :180] for k in (3, 4)])
    (found, *_), (labels, placed, _) = segment(layer(stack), run.path, 0.5)
    assert found.shape == labels.shape == stack.shape and "above 0.5" in placed["name"]
    assert np.array_equal(labels[1], find_cells(run, stack[1], cell_settings(run, 0.5))[1])


def test_what_is_missing_is_told_in_a_sentence(run):
    with pytest.raises(InputError, match="open an image first"):
        segment(None, run.path)
    with pytest.raises(InputError, match="choose the record of a run"):
        segment(layer(np.zeros((200, 200))), Path("."))
    with pytest.raises(InputError, match="threshold is in"):
        segment(layer(np.zeros((200, 200))), run.path, 2.0)
