"""Phantoms: exact, repeatable, and as difficult as the images they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from reprolib import data
from reprolib.data.phantoms import COUNT, phantom

NAMES = tuple(COUNT)


@pytest.fixture(scope="module")
def made():
    return {name: data.load(name) for name in NAMES}


def meetings(instances):
    """Pairs of 4-neighbouring pixels that belong to two different instances."""
    pairs = 0
    for a, b in ((instances[1:], instances[:-1]), (instances[:, 1:], instances[:, :-1])):
        pairs += int(((a != b) & (a > 0) & (b > 0)).sum())
    return pairs


@pytest.mark.parametrize("name", NAMES)
def test_a_phantom_is_a_data_set_like_the_real_one(made, name):
    one = made[name]
    assert one.phantom and one.name == name and one.images.shape == (COUNT[name], 256, 256)
    assert (one.images.dtype, one.instances.dtype, one.ignore.dtype) == (np.uint8, np.int32, bool)
    assert len(set(one.names)) == len(one.images) and not one.ignore.any()
    assert sorted(index for fold in one.folds for index in fold) == list(range(len(one.images)))
    assert all(instances.max() >= 3 for instances in one.instances)


@pytest.mark.parametrize("name", NAMES)
def test_instances_are_numbered_from_1_without_gaps(made, name):
    for instances in made[name].instances:
        assert np.array_equal(np.unique(instances[instances > 0]), np.arange(1, instances.max() + 1))


def test_em_has_ten_slices_in_five_folds_of_two_and_cells_two_videos(made):
    assert made["phantom-em"].folds == ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))
    assert made["phantom-em"].names[9] == "slice 09"
    for name in ("phantom-phc", "phantom-dic"):
        assert made[name].folds == ((0, 1, 2), (3, 4, 5))
        assert made[name].names == ("01/t000", "01/t001", "01/t002", "02/t000", "02/t001", "02/t002")


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides_every_pixel(made, name):
    again, other = phantom(name), phantom(name, seed=1)
    assert np.array_equal(again.images, made[name].images) and again.hashes == made[name].hashes
    assert not np.array_equal(other.instances, made[name].instances)


def test_em_cells_are_parted_by_membrane_that_is_dark(made):
    em = made["phantom-em"]
    for instances in em.instances:
        assert meetings(instances) == 0
        assert ndimage.label(instances > 0)[1] == instances.max()  # as the real labels are read
    assert em.images[em.instances > 0].mean() - em.images[em.instances == 0].mean() > 40
    assert 0.7 < (em.instances > 0).mean() < 0.9  # 0.78 in the real labels


def test_em_has_dark_pixels_inside_cells_so_that_a_threshold_is_not_enough(made):
    em = made["phantom-em"]
    smooth = np.stack([ndimage.gaussian_filter(image.astype(float), 1) for image in em.images])
    deep = np.stack([ndimage.binary_erosion(instances > 0, iterations=5) for instances in em.instances])
    dark = smooth < np.median(smooth[em.instances == 0]) + 10
    assert (dark & deep).sum() > 0.005 * deep.sum()


def test_neighbouring_em_slices_are_alike_and_distant_ones_are_not(made):
    flat = made["phantom-em"].images.reshape(10, -1).astype(float)
    alike = np.corrcoef(flat)
    assert np.diag(alike, 1).min() > 0.2 > alike[0, 9]


def test_dic_cells_touch_and_phase_contrast_cells_hardly_do(made):
    assert min(meetings(instances) for instances in made["phantom-dic"].instances) > 50
    assert max(meetings(instances) for instances in made["phantom-phc"].instances) < 50
    share = {name: (made[name].instances > 0).mean() for name in NAMES}
    assert share["phantom-phc"] < 0.12 < 0.35 < share["phantom-dic"]


def test_phase_contrast_cells_have_bright_halos(made):
    for image, instances in zip(made["phantom-phc"].images, made["phantom-phc"].instances, strict=True):
        away = ndimage.distance_transform_edt(instances == 0)
        assert image[(away >= 2) & (away < 4)].mean() > image[away > 25].mean() + 15


def test_dic_light_falls_from_one_side(made):
    """Towards the lamp a cell's edge is bright, away from it dark."""
    signs = []
    for image, instances in zip(made["phantom-dic"].images, made["phantom-dic"].instances, strict=True):
        cell = (instances > 0).astype(float)
        slope = ndimage.sobel(cell, axis=0) + ndimage.sobel(cell, axis=1)
        signs.append(np.corrcoef(slope[slope != 0], image[slope != 0])[0, 1])
    assert min(signs) > 0.4


def test_another_size_and_number_can_be_had():
    one = phantom("phantom-dic", n=3, side=(140, 200), seed=4)
    assert one.images.shape == (3, 140, 200) and one.folds == ((0, 1), (2,))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"name": "phantom-me"}, "did you mean 'phantom-em'"),
        ({"name": "isbi2012"}, "whose phantom is phantom-em"),
        ({"name": "phantom-em", "n": 4}, "at least 5 images"),
        ({"name": "phantom-dic", "n": 1}, "at least 2 images"),
        ({"name": "phantom-phc", "side": (64, 256)}, "from 128 to 2048"),
        ({"name": "phantom-phc", "side": (256,)}, "from 128 to 2048"),
        ({"name": "phantom-em", "seed": -1}, "seed must be 0 or more"),
    ],
)
def test_bad_arguments_are_told_in_one_sentence(arguments, told):
    with pytest.raises(ValueError, match=told):
        phantom(**arguments)
