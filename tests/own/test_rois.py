"""Objects as ImageJ's regions: each polygon encloses its object's pixels."""

from __future__ import annotations

import numpy as np
import roifile
from drawn import discs
from skimage.draw import polygon2mask

from reprolib.own.rois import save_rois


def test_each_polygon_encloses_the_pixels_of_its_object(tmp_path):
    labels = discs()
    labels[60:, :3] = 12  # at the image's corner
    save_rois(tmp_path / "a.zip", labels)
    regions = roifile.roiread(tmp_path / "a.zip")
    assert [region.name for region in regions] == ["1", "2", "3", "4", "5", "6", "7", "8", "12"]
    for region in regions:
        x, y = region.coordinates().T
        inside = polygon2mask(labels.shape, np.stack([y - 0.5, x - 0.5], 1))  # from corners to centres of pixels
        assert np.array_equal(inside, labels == int(region.name))


def test_an_image_without_objects_gives_an_empty_zip(tmp_path):
    save_rois(tmp_path / "a.zip", np.zeros((9, 9), int))
    assert (tmp_path / "a.zip").exists()
