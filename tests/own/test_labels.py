"""Labels as annotation programs write them become instance numbers; what is none is named for what it may be."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import discs, save
from PIL import Image
from skimage import measure

from reprolib.data.images import read_pages
from reprolib.data.pages import Page
from reprolib.errors import InputError
from reprolib.own.labels import class_codes, consecutive, instances

DISCS = discs()
MASK = DISCS > 0


def found(array, name: str = "labels.tif"):
    return instances(Page(np.asarray(array)), name)


def stored(path, array, **options):
    """What is made of labels that were written to a file."""
    (page,) = read_pages(save(path, array, **options), raw=True)
    return instances(page, path)


# --- accepted


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64])
def test_instance_numbers_stay_as_they_are(kind):
    labels = found(DISCS.astype(kind))
    assert np.array_equal(labels.instances, DISCS) and labels.instances.dtype == np.int32
    assert labels.objects == 8 and labels.notes == ()


def test_objects_that_touch_stay_apart_and_one_in_two_pieces_stays_one():
    touching = np.zeros((20, 20), np.uint8)
    touching[2:8, 2:8], touching[2:8, 8:14], touching[12:15, 2:5], touching[12:15, 10:13] = 1, 2, 3, 3
    assert np.array_equal(found(touching).instances, touching)


@pytest.mark.parametrize("kind", [np.uint32, np.int64, np.uint64, np.float64])
def test_huge_numbers_and_gaps_are_renumbered_in_their_order(kind):
    labels = found(np.where(MASK, DISCS.astype(kind) * 7 + 2_000_000_000, 0).astype(kind))
    assert np.array_equal(labels.instances, DISCS)
    assert "numbers up to 2000000056 became 1 to 8" in labels.notes


@pytest.mark.parametrize("kind", [np.int64, np.float32, np.float64])
def test_64_bit_and_floating_labels_are_read_from_a_file(tmp_path, kind):
    assert np.array_equal(stored(tmp_path / "labels.tif", DISCS.astype(kind)).instances, DISCS)


def test_labels_that_say_white_is_zero_are_taken_as_stored(tmp_path):
    assert np.array_equal(stored(tmp_path / "labels.tif", DISCS, photometric="miniswhite").instances, DISCS)


def test_labels_with_a_palette_are_its_indices(tmp_path):
    image = Image.fromarray(DISCS.astype(np.uint8))
    image.putpalette(np.random.default_rng(0).integers(0, 256, 768, dtype=np.uint8).tobytes())
    image.save(tmp_path / "labels.png")
    (page,) = read_pages(tmp_path / "labels.png", raw=True)
    assert np.array_equal(instances(page, tmp_path / "labels.png").instances, DISCS)


@pytest.mark.parametrize("mask", [MASK, MASK.astype(np.uint8), MASK * np.uint8(255), MASK * np.float32(1)], ids=repr)
def test_a_binary_mask_is_numbered_by_its_8_connected_parts(mask):
    mask = mask.copy()
    mask[40:44, 40:44] = 0
    mask[60, 60] = mask[61, 61] = mask.max()  # they meet at a corner
    labels = found(mask)
    assert np.array_equal(labels.instances, measure.label(mask > 0, connectivity=2))
    assert labels.objects == labels.instances.max() > 8
    assert f"numbered by its {labels.objects} connected parts" in labels.notes[-1]


@pytest.mark.parametrize("number", [1, 255, 300])
def test_one_object_of_any_number_is_one_object(number):
    labels = found(np.where(discs(1) > 0, number, 0))
    assert np.array_equal(labels.instances, discs(1)) and labels.objects == 1


@pytest.mark.parametrize("kind", [bool, np.uint8, np.float32])
def test_an_image_without_an_object_is_accepted(kind):
    labels = found(np.zeros((9, 9), kind))
    assert labels.objects == 0 and not labels.instances.any() and "no object" in labels.notes[-1]


def test_labels_without_background_have_no_pixel_left_out():
    labels = found(np.repeat([[3, 9]], 5, axis=0))
    assert np.array_equal(labels.instances, np.repeat([[1, 2]], 5, axis=0))


def test_labels_stored_as_grey_colours_are_read():
    labels = found(np.repeat(DISCS[..., None], 3, axis=-1))
    assert np.array_equal(labels.instances, DISCS) and labels.notes == ("grey stored as colour",)


def test_consecutive_numbers_have_no_gap_and_0_stays_0():
    assert consecutive(np.array([[0, 7], [2**60, 7]])).tolist() == [[0, 1], [2, 1]]
    assert consecutive(np.array([[5, 5]])).tolist() == [[1, 1]]


# --- refused


def blurred(mask: np.ndarray) -> np.ndarray:
    """A mask as an image program resizes it, with grey values at its edges."""
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(image.resize((90, 90), Image.Resampling.BICUBIC))


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.where(DISCS % 2, 1, 2) * MASK, "has 2 numbers in 8 pieces, perhaps classes"),
        (blurred(MASK), "perhaps a mask that went through JPEG or was resized"),
        (-DISCS.astype(np.int32), "holds -8: labels are whole numbers from 0"),
        (-DISCS.astype(np.float32), "holds -8"),
        (DISCS / 8, "fractions, perhaps probabilities"),
        (np.where(MASK, np.nan, 0), "fractions"),
        (np.where(MASK, np.inf, 0), "fractions"),
        (
            np.stack([DISCS, DISCS * 2, DISCS * 3], -1),
            "has 3 channels of uint16: save the labels as one number for each object",
        ),
        (np.stack([DISCS, DISCS * 2, DISCS * 3], -1).astype(np.uint8), "is a colour image"),
    ],
)
def test_what_is_no_labels_gets_one_sentence_that_says_what_it_may_be(array, told):
    with pytest.raises(InputError, match=told) as raised:
        found(array, "cell.tif")
    assert str(raised.value).startswith("cell.tif ") and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (-DISCS.astype(np.int32), "holds -8: labels are whole numbers from 0"),
        (DISCS / 8, "fractions, perhaps probabilities"),
        (np.where(MASK, np.nan, 0), "fractions"),
        (np.stack([DISCS, DISCS * 2, DISCS * 3], -1), "has 3 channels of uint16: save .* one number for each class"),
        (DISCS.astype(np.int64) * 2**24, r"holds 134217728: classes are whole numbers below 16777216"),
    ],
)
def test_classes_are_judged_as_objects_are(array, told):
    with pytest.raises(InputError, match=told):
        class_codes(Page(array), "cell.tif")


@pytest.mark.parametrize("read", [instances, class_codes])
@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_a_number_below_0_may_say_where_nobody_has_looked(read, kind):
    labels = read(Page(np.where(DISCS == 3, -1, DISCS.astype(kind))), "cell.tif", ignore=-1)
    assert np.array_equal(labels.ignored, DISCS == 3) and not labels.instances[DISCS == 3].any()


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_a_mask_that_went_through_jpeg_is_refused(tmp_path, quality):
    with pytest.raises(InputError, match=r"labels\.jpg has \d+ numbers in \d+ pieces, perhaps .* 0 and 255"):
        stored(tmp_path / "labels.jpg", MASK.astype(np.uint8) * 255, quality=quality)
