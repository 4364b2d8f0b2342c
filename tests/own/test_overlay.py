"""An image with its objects outlined: the outlines lie on the objects' edges, all else is the image."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import discs, picture
from PIL import Image

from reprolib.own.overlay import BLUE, YELLOW, outlines, overlay, save_overlay

DISCS = discs()


def edges_of(labels: np.ndarray) -> np.ndarray:
    """Pixels of objects beside, above or below which another number stands."""
    edges = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        differ = np.diff(labels.astype(int), axis=axis) != 0
        for shift in ((0, 1), (1, 0)):
            edges |= np.pad(differ, [shift if other == axis else (0, 0) for other in (0, 1)])
    return edges & (labels > 0)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, np.float64, np.int16])
def test_edges_are_yellow_and_all_else_is_grey(kind):
    shown = overlay(picture(DISCS).astype(kind), DISCS)
    edges = edges_of(DISCS)
    assert shown.shape == (64, 64, 3) and shown.dtype == np.uint8
    assert (shown[edges] == YELLOW).all() and np.array_equal(outlines(DISCS), edges)
    assert (shown[~edges] == shown[~edges][:, :1]).all()
    inside = (DISCS > 0) & ~edges
    assert shown[inside].mean() > shown[DISCS == 0].mean() + 100


def test_objects_that_touch_are_outlined_each_in_the_colour_asked_for():
    labels = np.zeros((12, 12), int)
    labels[2:10, 2:6], labels[2:10, 6:10] = 1, 2
    shown = overlay(np.arange(144).reshape(12, 12), labels, BLUE)
    assert (shown[edges_of(labels)] == BLUE).all() and (shown[4, 5:7] == BLUE).all()
    assert (shown == BLUE).all(-1).sum() == edges_of(labels).sum() == 40


def test_a_few_extreme_pixels_do_not_darken_the_rest():
    image = picture(DISCS).astype(np.float32)
    image[0, 0], image[0, 1] = 1e9, -1e9
    none = np.zeros((64, 64), int)
    assert np.abs(overlay(image, none).astype(int) - overlay(picture(DISCS), none))[1:].max() < 12


def test_bits_and_flat_images_are_shown():
    assert set(np.unique(overlay(DISCS > 0, np.zeros_like(DISCS)))) == {0, 255}
    assert not overlay(np.full((9, 9), 7, np.uint8), np.zeros((9, 9), int)).any()


def test_a_file_is_written_whole_with_the_folder_above_it(tmp_path):
    save_overlay(tmp_path / "new" / "one.png", picture(DISCS), DISCS)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "new" / "one.png")), overlay(picture(DISCS), DISCS))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["one.png"]
