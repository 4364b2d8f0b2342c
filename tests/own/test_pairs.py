"""Images find their labels in every layout that programs leave behind, and all that lack a partner are named."""

from __future__ import annotations

import os

import pytest

from reprolib.errors import InputError
from reprolib.own.pairs import LABELS, SUFFIXES, find_pairs, image_files, natural, stem


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def listed(folder) -> list[tuple[str, str, list[str]]]:
    return [
        (pair.name, str(pair.image.relative_to(folder)), [str(path.relative_to(folder)) for path in pair.labels])
        for pair in find_pairs(folder)
    ]


@pytest.mark.parametrize("labels", LABELS)
def test_images_and_labels_in_two_folders(tmp_path, labels):
    touch(tmp_path, "images/a.png", "images/b.png", f"{labels}/a.png", f"{labels}/b.png", "images/.hidden.png")
    touch(tmp_path, "notes.txt", "images/Thumbs.db", "images/._a.png", f"{labels}/readme.md")
    assert listed(tmp_path) == [(name, f"images/{name}.png", [f"{labels}/{name}.png"]) for name in "ab"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_images_and_labels_side_by_side(tmp_path, suffix):
    touch(tmp_path, "cell1.tif", f"cell1{suffix}.tif", "CELL2.TIF", f"CELL2{suffix.upper()}.TIF")
    assert listed(tmp_path) == [
        ("cell1", "cell1.tif", [f"cell1{suffix}.tif"]),
        ("CELL2", "CELL2.TIF", [f"CELL2{suffix.upper()}.TIF"]),
    ]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_suffix_may_stand_in_a_folder_of_labels_too(tmp_path, suffix):
    touch(tmp_path, "images/a.tif", f"masks/a{suffix}.png")
    assert listed(tmp_path) == [("a", "images/a.tif", [f"masks/a{suffix}.png"])]


def test_a_folder_for_each_image_with_a_mask_an_object(tmp_path):
    for name in ("n10", "n9"):
        touch(tmp_path, f"{name}/images/{name}.png", *(f"{name}/masks/m{number}.png" for number in (1, 2, 10)))
    touch(tmp_path, "other/readme.txt")
    assert listed(tmp_path) == [
        (name, f"{name}/images/{name}.png", [f"{name}/masks/m{number}.png" for number in (1, 2, 10)])
        for name in ("n9", "n10")
    ]


def test_a_folder_for_each_image_holds_one_image(tmp_path):
    touch(tmp_path, "n/images/a.png", "n/images/b.png", "n/masks/m.png")
    with pytest.raises(InputError, match="holds 2 images"):
        find_pairs(tmp_path)


def test_endings_may_differ_and_ome_is_a_part_of_the_ending(tmp_path):
    touch(tmp_path, "images/a.jpg", "labels/a.tif", "images/b.ome.tif", "labels/b.png", "images/c.TIFF", "labels/c.bmp")
    (tmp_path / "images/d.ome.zarr").mkdir()
    touch(tmp_path, "labels/d.gif")
    assert [(name, image) for name, image, _ in listed(tmp_path)] == [
        ("a", "images/a.jpg"),
        ("b", "images/b.ome.tif"),
        ("c", "images/c.TIFF"),
        ("d", "images/d.ome.zarr"),
    ]
    assert stem(tmp_path / "x.y.ome.tif") == "x.y"


def test_numbers_in_names_count_as_numbers(tmp_path):
    names = [f"frame{number}" for number in range(1, 13)]
    touch(tmp_path, *(f"images/{name}.png" for name in names), *(f"labels/{name}.png" for name in names))
    assert [pair.name for pair in find_pairs(tmp_path)] == names
    assert [path.stem for path in image_files(tmp_path / "images")] == names
    assert sorted(["b2", "B10", "a", "10", "9", "²", "1²2"], key=natural) == ["1²2", "9", "10", "a", "b2", "B10", "²"]


def test_all_files_without_a_partner_are_named_at_once(tmp_path):
    touch(tmp_path, "images/a.png", "images/b.png", "images/c.tif", "labels/b.png", "labels/d.bmp")
    with pytest.raises(InputError) as told:
        find_pairs(tmp_path)
    for part in ("a.png has no labels", "c.tif has no labels", "d.bmp has no image"):
        assert part in str(told.value)
    assert "b.png" not in str(told.value) and str(tmp_path) in str(told.value)
    touch(tmp_path, *(f"images/more{number}.png" for number in range(12)))
    with pytest.raises(InputError, match=r"a\.png has no labels; .*, and 5 more"):
        find_pairs(tmp_path)


def test_files_without_a_partner_side_by_side_are_named_too(tmp_path):
    touch(tmp_path, "a.png", "a_mask.png", "b.png", "c_mask.png")
    with pytest.raises(InputError, match=r"b\.png has no labels; c_mask\.png has no image"):
        find_pairs(tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        ("images/a.png", "images/a.tif", "labels/a.png"),
        ("images/a.png", "labels/a.png", "labels/a.tif"),
        ("a.png", "a_mask.png", "a_labels.png"),
        ("a.png", "a.jpg", "a_mask.png"),
    ],
)
def test_two_files_of_one_name_are_refused(tmp_path, names):
    with pytest.raises(InputError, match=r"a.* and a.* have one name: keep one"):
        find_pairs(touch(tmp_path, *names))


def test_folders_without_images_say_what_is_looked_for(tmp_path):
    with pytest.raises(FileNotFoundError, match="is no folder"):
        find_pairs(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"holds no image \(\.tif"):
        find_pairs(tmp_path)
    (tmp_path / "images").mkdir()
    with pytest.raises(InputError, match="no labels/"):
        find_pairs(tmp_path)
    (tmp_path / "labels").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no image"):
        find_pairs(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes")
def test_a_pipe_among_the_images_is_refused_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.tif is a pipe, socket or device, no image"):
        image_files(tmp_path)
