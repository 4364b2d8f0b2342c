"""Images at another scale: labels looked up pixel by pixel, grey values against plain means, probabilities whole."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from reprolib.resample import (
    resample_image,
    resample_image_by_rows,
    resample_labels,
    resize_plane_by_rows,
    resize_planes,
    scaled_sides,
)


@pytest.mark.parametrize("scale", [0.05, 0.25, 1 / 3, 0.5, 0.77, 0.99, 1.5, 2, 3.7])
@pytest.mark.parametrize("sides", [(40, 52), (37, 61)])
def test_a_label_is_that_of_the_pixel_under_the_new_pixels_centre(scale, sides):
    labels = np.random.default_rng(0).integers(0, 1000, sides).astype(np.int32)
    found = resample_labels(labels, scale)
    assert found.shape == scaled_sides(sides, scale) and found.dtype == labels.dtype
    for row, column in np.ndindex(found.shape):
        y, x = ((k + 0.5) * old / new for k, old, new in zip((row, column), sides, found.shape, strict=True))
        assert found[row, column] == labels[math.floor(y), math.floor(x)]


def test_at_half_the_scale_each_label_is_one_of_its_four_pixels():
    labels = np.random.default_rng(0).integers(0, 1000, (40, 52))
    found = resample_labels(labels, 0.5)
    blocks = labels.reshape(20, 2, 26, 2).transpose(0, 2, 1, 3).reshape(20, 26, 4)
    assert (found[..., None] == blocks).any(axis=2).all()


def test_no_label_is_mixed_and_a_mask_stays_a_mask():
    labels = np.random.default_rng(0).choice([0, 7, 300], (50, 41))
    for scale in (0.2, 0.5, 0.9, 2.5):
        assert set(np.unique(resample_labels(labels, scale))) <= {0, 7, 300}
        assert np.array_equal(resample_labels(labels > 0, scale), resample_labels(labels, scale) > 0)
    assert resample_labels(labels > 0, 0.5).dtype == bool


def test_at_half_the_scale_a_grey_value_is_the_mean_of_four_smoothed_pixels():
    image = np.random.default_rng(0).integers(0, 256, (40, 52)).astype(np.uint8)
    found = resample_image(image, 0.5)
    smoothed = ndimage.gaussian_filter(image.astype(np.float64), 0.5, mode="mirror")
    means = smoothed.reshape(20, 2, 26, 2).mean(axis=(1, 3))
    assert found.dtype == np.float32 and found.shape == (20, 26)
    np.testing.assert_allclose(found, means, atol=1e-3)


def test_at_twice_the_scale_a_grey_value_lies_between_its_neighbours_at_a_quarter_of_their_distance():
    image = np.random.default_rng(0).integers(0, 256, (1, 9)).astype(np.uint8)
    found = resample_image(image, 2)[0]
    left, right = image[0, :-1].astype(float), image[0, 1:].astype(float)
    np.testing.assert_allclose(found[1:-1:2], 0.75 * left + 0.25 * right, atol=1e-3)
    np.testing.assert_allclose(found[2:-1:2], 0.25 * left + 0.75 * right, atol=1e-3)


def test_what_is_finer_than_the_new_pixels_is_not_folded_in():
    rows = np.indices((60, 60))[0]
    stripes = 100.0 * (rows % 2)  # at a quarter of the scale, one pixel in four would see one kind of row alone
    assert np.ptp(resample_image(stripes, 0.25)[2:-2]) < 2
    np.testing.assert_allclose(resample_image(stripes, 0.25)[2:-2], 50, atol=1)


def test_the_image_and_its_labels_keep_their_places():
    """A ramp tells where the image was read, an index where its labels were: within half a pixel of the old grid."""
    rows, columns = np.indices((60, 84))
    for scale in (0.3, 0.5, 0.8, 1.7, 3):
        for ramp in (rows, columns):
            image, labels = resample_image(ramp, scale), resample_labels(ramp, scale)
            assert np.abs(image - labels)[3:-3, 3:-3].max() <= 0.5 + 1e-3


def test_at_scale_1_nothing_changes():
    image = np.random.default_rng(0).integers(0, 256, (20, 30)).astype(np.uint8)
    planes = np.random.default_rng(0).random((2, 20, 30)).astype(np.float32)
    assert resample_image(image, 1.0) is image and resample_labels(image, 1.0) is image
    assert resize_planes(planes, (20, 30)) is planes


@pytest.mark.parametrize("sides", [(40, 52), (37, 61), (5, 9)])
@pytest.mark.parametrize("scale", [0.2, 0.5, 0.77, 1.3, 4])
def test_there_and_back_gives_the_sides_of_the_image(sides, scale):
    image = np.random.default_rng(0).random(sides)
    small = resample_image(image, scale)
    assert small.shape == scaled_sides(sides, scale) == tuple(max(2, round(side * scale)) for side in sides)
    assert resize_planes(small[None], sides).shape == (1, *sides)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_resized_probabilities_still_sum_to_one_and_stay_within_0_and_1(dtype):
    planes = np.random.default_rng(0).dirichlet([0.2, 0.3, 0.5], (20, 26)).transpose(2, 0, 1).astype(dtype)
    planes[:, 3:6, 3:6] = np.array([1, 0, 0])[:, None, None]  # what a sure network gives
    full = resize_planes(planes, (41, 50))
    assert full.dtype == dtype and full.min() >= 0 and full.max() <= 1
    np.testing.assert_allclose(full.sum(axis=0), 1, atol=1e-6)


def test_between_two_pixel_centres_a_probability_is_linear():
    full = resize_planes(np.array([[[0.0, 1.0]] * 2]), (2, 8))[0]
    # the centres of the two old pixels lie at 1.5 and 5.5 of the new grid
    np.testing.assert_allclose(full, np.clip((np.arange(8) - 1.5) / 4, 0, 1)[None].repeat(2, axis=0), atol=1e-12)


@pytest.mark.parametrize("scale", [0.0, -0.5, 4.01, math.nan, math.inf])
def test_a_scale_that_is_none_is_refused(scale):
    for function in (resample_image, resample_labels):
        with pytest.raises(ValueError, match="scale must be above 0 and at most 4"):
            function(np.zeros((9, 9)), scale)


@given(data=st.data())
def test_a_few_rows_at_a_time_give_the_whole_image_at_any_scale(data):
    sides = data.draw(st.tuples(st.integers(1, 90), st.integers(1, 40)))
    channels = data.draw(st.sampled_from([(), (1,), (3,)]))
    scale, rows = data.draw(st.floats(0.05, 4).filter(lambda scale: scale != 1)), data.draw(st.integers(1, 50))
    image = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, 65536, (*sides, *channels))
    whole = resample_image(image.astype(np.uint16), scale)
    found, count = np.zeros_like(whole), np.zeros(len(whole), int)
    for part, values in resample_image_by_rows(image.astype(np.uint16), scale, rows):
        found[part] = values
        count[part] += 1
    assert (count == 1).all() and found.dtype == values.dtype == np.float32
    np.testing.assert_allclose(found, whole, atol=0.05)  # of 65,535
    plane = np.random.default_rng(0).random(whole.shape[:2]).astype(np.float32)
    large = resize_planes(plane[None], sides)[0]
    parts = list(resize_plane_by_rows(plane, sides, rows))
    assert [part.start for part, _ in parts] == [0, *(part.stop for part, _ in parts)][:-1]
    np.testing.assert_allclose(np.concatenate([values for _, values in parts]), large, atol=1e-6)


def test_no_more_rows_are_read_than_a_part_needs():
    class Counted:
        shape, most = (4000, 30), 0

        def __getitem__(self, rows):
            self.most = max(self.most, rows.stop - rows.start)
            return np.zeros((rows.stop - rows.start, 30))

    for scale in (0.05, 0.5, 0.9, 2.5):
        image = Counted()
        assert sum(len(values) for _, values in resample_image_by_rows(image, scale, 100)) == 4000 * scale
        assert image.most < 100 + 2 * (4 / scale + 4)
