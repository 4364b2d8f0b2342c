"""A folder of one's own images and labels as a data set, or one sentence that names what is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from reprolib.own import folder

RNG = np.random.default_rng(7)


def save(path, pages):
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *rest = map(Image.fromarray, pages)
    first.save(path, **({"save_all": True, "append_images": rest} if rest else {}))


@pytest.fixture
def own(tmp_path):
    for index in range(6):
        cells = np.zeros((20, 24), dtype=np.uint16)
        cells[2:9, 3:9], cells[10:15, 12 + index : 18] = 1, 300
        save(tmp_path / f"images/shot{index}.png", [RNG.integers(0, 256, size=(20, 24), dtype=np.uint8)])
        save(tmp_path / f"labels/shot{index}.tif", [cells])
    return tmp_path


def test_a_folder_of_images_and_labels_becomes_a_data_set(own):
    loaded = folder.load_folder(own, folds=3)
    assert loaded.images.shape == loaded.instances.shape == loaded.ignore.shape == (6, 20, 24)
    assert (loaded.images.dtype, loaded.instances.dtype, loaded.ignore.dtype) == (np.uint8, np.int32, bool)
    assert np.unique(loaded.instances).tolist() == [0, 1, 300]
    assert loaded.names[0] == "shot0" and loaded.folds == ((0, 1), (2, 3), (4, 5))


GREY = np.zeros((20, 24), dtype=np.uint8)


@pytest.mark.parametrize(
    ("file", "array", "told"),
    [
        ("images/extra.png", GREY, "labels has no file named extra"),
        ("labels/extra.png", GREY, "images has no file named extra"),
        ("labels/shot1.png", GREY, "two endings"),
        ("images/shot1.png", GREY[:-1], "shot1.png is .19, 24. px"),
        ("labels/shot1.tif", GREY[:-1], "shot1.tif is .19, 24. px"),
        ("images/shot1.png", np.zeros((20, 24, 3), np.uint8), "colour image"),
        ("images/shot1.png", np.zeros((20, 24), np.uint16), "convert it to 8-bit grey"),
        ("labels/shot1.tif", np.ones((20, 24), np.float32), "whole numbers"),
        ("labels/shot1.tif", GREY, "has no cell"),
    ],
)
def test_a_folder_with_something_wrong_names_the_file(own, file, array, told):
    save(own / file, [array])
    with pytest.raises(ValueError, match=told):
        folder.load_folder(own)


def test_images_that_are_stacks_have_a_colour_table_or_are_damaged_are_refused(own):
    save(own / "labels/shot1.tif", [GREY + 1, GREY + 1])
    with pytest.raises(ValueError, match="stack of 2 pages"):
        folder.load_folder(own)
    Image.fromarray(GREY).convert("P").save(own / "images/shot0.png")
    with pytest.raises(ValueError, match="colour table"):
        folder.load_folder(own)
    (own / "images/shot0.png").write_bytes(b"not an image")
    with pytest.raises(ValueError, match=r"shot0\.png cannot be read"):
        folder.load_folder(own)


def test_a_mask_in_place_of_numbered_cells_is_refused(own):
    for path in (own / "labels").iterdir():
        save(path, [(np.asarray(Image.open(path)) > 0).astype(np.uint8) * 255])
    with pytest.raises(ValueError, match="one number for all cells"):
        folder.load_folder(own)


def test_empty_folders_and_impossible_folds_are_refused(own, tmp_path):
    with pytest.raises(FileNotFoundError, match="images must hold"):
        folder.load_folder(tmp_path / "nowhere")
    for folds in (1, 7):
        with pytest.raises(ValueError, match="folds must be 2 to 6"):
            folder.load_folder(own, folds=folds)
