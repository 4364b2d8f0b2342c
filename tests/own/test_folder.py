"""A folder of one's own images and labels as a data set, or every sentence that names what is wrong."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tifffile
import torch
from drawn import discs, picture, save
from torch import nn

from reprolib.errors import InputError
from reprolib.evaluation import cells, ctc
from reprolib.evaluation.prediction import predict_cells
from reprolib.evaluation.score import score
from reprolib.experiment import Experiment
from reprolib.loss import IGNORE
from reprolib.own import folder
from reprolib.own.labels import consecutive
from reprolib.sampling import prepare
from reprolib.train import run_steps

CPU = torch.device("cpu")
DISCS = discs()
GREY = np.zeros((64, 64), dtype=np.uint8)


@pytest.fixture
def own(tmp_path):
    """Six 8-bit images and their labels."""
    for index in range(6):
        save(tmp_path / f"images/shot{index}.png", picture(DISCS, index))
        save(tmp_path / f"labels/shot{index}.tif", np.roll(DISCS, index, axis=1))
    return tmp_path


def test_a_folder_of_images_and_labels_becomes_a_data_set(own):
    loaded = folder.load_folder(own, folds=3)
    assert loaded.images.shape == loaded.instances.shape == loaded.ignore.shape == (6, 64, 64)
    assert (loaded.images.dtype, loaded.instances.dtype, loaded.ignore.dtype) == (np.uint8, np.int32, bool)
    for index in range(6):
        assert np.array_equal(loaded.images[index], picture(DISCS, index))
        assert np.array_equal(loaded.instances[index], np.roll(DISCS, index, axis=1))
    assert not loaded.ignore.any() and loaded.sizes == () and set(loaded.hashes) == {"images", "labels"}
    assert loaded.names[0] == "shot0" and loaded.folds == ((0, 1), (2, 3), (4, 5))
    assert loaded.name == f"own-{own.name}" and not loaded.phantom


def test_frames_are_in_the_order_of_their_numbers_and_folds_are_neighbours(tmp_path):
    for number in range(1, 13):
        save(tmp_path / f"frame{number}.png", picture(DISCS, number))
        save(tmp_path / f"frame{number}_mask.png", DISCS)
    loaded = folder.load_folder(tmp_path, folds=4)
    assert loaded.names == tuple(f"frame{number}" for number in range(1, 13))
    assert loaded.folds[0] == (0, 1, 2) and np.array_equal(loaded.images[1], picture(DISCS, 2))


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (lambda grey: grey.astype(np.uint16) * 257, {}),
        (lambda grey: grey.astype(np.uint16) * 257, {"byteorder": ">"}),
        (lambda grey: (grey / 255).astype(np.float32), {}),
        (lambda grey: grey / 255, {"compression": "zlib"}),
        (lambda grey: grey.astype(np.int32) - 100, {}),
        (lambda grey: 255 - grey, {"photometric": "miniswhite"}),
        (lambda grey: np.rot90(grey), {"extratags": [(0x0112, 3, 1, 6, True)]}),
        (lambda grey: np.repeat(grey[..., None], 3, -1), {"photometric": "rgb"}),
        (lambda grey: grey[..., None], {}),
    ],
    ids=[
        "16 bits",
        "big-endian",
        "float32",
        "float64",
        "signed",
        "white is zero",
        "turned",
        "grey as RGB",
        "(H, W, 1)",
    ],
)
def test_images_of_every_kind_become_the_same_data_set(own, change, options):
    plain = folder.load_folder(own)
    for index in range(6):
        (own / f"images/shot{index}.png").unlink()
        save(own / f"images/shot{index}.tif", change(picture(DISCS, index)), **options)
    loaded = folder.load_folder(own)
    assert loaded.images.dtype.isnative and np.array_equal(loaded.instances, plain.instances)
    samples = [prepare(Experiment(data=one.name, tile=188), one, CPU) for one in (plain, loaded)]
    for (expected, labels), (found, others) in zip(*samples, strict=True):
        assert (found - expected).abs().max() < 1e-4 and (labels == others).all()


def test_of_grey_and_colour_images_a_network_learns_colours(own):
    colour = np.stack([picture(DISCS, seed) for seed in range(3)], -1)
    save(own / "images/shot0.png", colour)
    loaded = folder.load_folder(own)
    assert loaded.channels == "rgb" and loaded.images.shape == (6, 64, 64, 3) and loaded.images.dtype == np.uint8
    assert np.array_equal(loaded.images[0], colour)
    assert np.array_equal(loaded.images[1], np.stack([picture(DISCS, 1)] * 3, -1))
    lines, _ = folder.check(own)
    assert "64 x 64 x 3" in lines[1] and "red, green and blue" in lines[2] and lines[-1].endswith("; colours train")
    ((image, labels), *_) = prepare(Experiment(data=loaded.name, channels="rgb", scale=0.5), loaded, CPU)
    assert image.shape == (3, 32, 32) and labels.shape == (2, 32, 32)


def test_colours_as_grey_are_their_luminance(own):
    colour = np.stack([picture(DISCS, seed) for seed in range(3)], -1)
    save(own / "images/shot0.png", colour)
    loaded = folder.load_folder(own, channels="grey")
    assert loaded.images.dtype == np.float32  # holds the other images' whole numbers too
    assert loaded.images[0] == pytest.approx(colour @ [0.2125, 0.7154, 0.0721], abs=1e-3)
    assert np.array_equal(loaded.images[1], picture(DISCS, 1))


def test_a_stack_is_one_image_a_slice(tmp_path):
    pages = np.stack([picture(DISCS, seed) for seed in range(3)])
    save(tmp_path / "images/stack.tif", pages)
    save(tmp_path / "labels/stack.tif", np.stack([np.roll(DISCS, k, axis=0) for k in range(3)]), compression="zlib")
    loaded = folder.load_folder(tmp_path)
    assert loaded.names == ("stack/000", "stack/001", "stack/002") and loaded.folds == ((0,), (1,), (2,))
    assert np.array_equal(loaded.images, pages) and np.array_equal(loaded.instances[2], np.roll(DISCS, 2, axis=0))
    save(tmp_path / "labels/stack.tif", DISCS)
    with pytest.raises(InputError, match="holds 3 images, but its labels 1"):
        folder.load_folder(tmp_path)


def test_binary_masks_are_numbered_and_an_image_may_have_no_object(own):
    for index in range(6):
        save(own / f"labels/shot{index}.tif", (DISCS > 0).astype(np.uint8) * 255 * (index != 2))
    loaded = folder.load_folder(own)
    assert [int(labels.max()) for labels in loaded.instances] == [8, 8, 0, 8, 8, 8]


def test_one_mask_file_an_object_and_where_two_overlap_the_later_wins(tmp_path):
    for name in ("a", "b"):
        save(tmp_path / f"{name}/images/{name}.png", np.repeat(picture(DISCS)[..., None], 4, -1))
        for number in range(1, 9):
            save(tmp_path / f"{name}/masks/m{number}.png", (DISCS == number).astype(np.uint8) * 255)
    loaded = folder.load_folder(tmp_path)
    assert np.array_equal(loaded.instances, [DISCS, DISCS]) and loaded.names == ("a", "b")
    save(tmp_path / "b/masks/m9.png", (DISCS == 1).astype(np.uint8) * 255)  # hides the first
    found = folder.read_folder(tmp_path)[1].labels
    assert found.objects == 8 and np.array_equal(np.unique(found.instances), range(9))
    assert (found.instances[DISCS == 1] == 8).all()
    save(tmp_path / "b/masks/m1.tif", np.zeros((2, 64, 64), np.uint8))
    (tmp_path / "b/masks/m1.png").unlink()
    with pytest.raises(InputError, match=r"m1\.tif holds 2 images"):
        folder.load_folder(tmp_path)
    save(tmp_path / "b/masks/m1.tif", GREY[:-1])
    with pytest.raises(InputError, match=r"m1\.tif is \(63, 64\) px"):
        folder.load_folder(tmp_path)


def test_pixel_size_and_what_was_made_of_the_files_are_told(tmp_path):
    metadata = {"axes": "YX", "PhysicalSizeX": 325, "PhysicalSizeXUnit": "nm"}
    tifffile.imwrite(tmp_path / "a.ome.tif", picture(DISCS), ome=True, metadata=metadata)
    save(tmp_path / "a_mask.png", (DISCS > 0).astype(np.uint8))
    (one,) = folder.read_folder(tmp_path)
    assert one.page.pixel_size == pytest.approx(0.325) and one.problem == ""
    assert one.labels.notes == ("a mask of 0 and 1: numbered by its 8 connected parts",)


# --- what is wrong


@pytest.mark.parametrize(
    ("file", "array", "told"),
    [
        ("images/extra.png", GREY, r"extra\.png has no labels"),
        ("labels/extra.png", GREY, r"extra\.png has no image"),
        ("labels/shot1.png", GREY, "have one name"),
        ("images/shot1.png", picture(DISCS)[:-1], "shot1.png is 63 x 64 px, but its labels are 64 x 64"),
        ("labels/shot1.tif", DISCS[:-1], "shot1.png is 64 x 64 px, but its labels are 63 x 64"),
        ("images/shot1.png", GREY + 7, r"shot1\.png is constant"),
        ("labels/shot1.tif", DISCS / 16, r"shot1\.tif holds fractions"),
        ("labels/shot1.tif", np.stack([DISCS, DISCS * 2, DISCS * 3], -1), r"shot1\.tif has 3 channels"),
        ("labels/shot1.tif", (DISCS > 0) * (1 + DISCS % 2), "perhaps classes"),
        ("labels/shot1.tif", -DISCS.astype(np.int16), "holds -8"),
    ],
)
def test_a_folder_with_something_wrong_names_the_file(own, file, array, told):
    save(own / file, array, **({"photometric": "rgb"} if array.ndim == 3 and file.endswith("tif") else {}))
    with pytest.raises(InputError, match=told):
        folder.load_folder(own)


def test_an_image_that_is_not_finite_or_has_channels_is_refused(own):
    (own / "images/shot1.png").unlink()
    save(own / "images/shot1.tif", np.where(DISCS == 2, np.nan, DISCS))
    with pytest.raises(InputError, match=r"shot1\.tif holds NaN"):
        folder.load_folder(own)
    channels = np.stack([picture(DISCS, seed) for seed in range(4)], -1)
    save(own / "images/shot1.tif", channels, planarconfig="contig")
    with pytest.raises(InputError, match=r"shot0\.png has 1 channel, and 1,2,3,4 are asked for"):
        folder.load_folder(own)
    with pytest.raises(InputError, match=r"shot1\.tif has 4 channels"):
        folder.load_folder(own, channels="grey")
    assert np.array_equal(folder.load_folder(own, channels="1").images[1], channels[..., 0])


def test_what_nobody_has_looked_at_neither_trains_nor_counts(own):
    for index in range(6):
        labels = DISCS.copy()
        labels[:20] = 255
        save(own / f"labels/shot{index}.tif", labels)
    loaded = folder.load_folder(own, ignore=255)
    assert loaded.ignore[:, :20].all() and not loaded.ignore[:, 20:].any() and not loaded.instances[:, :20].any()
    assert loaded.hashes["labels"] != folder.load_folder(own).hashes["labels"]
    ((_, planes), *_) = prepare(Experiment(data=loaded.name), loaded, CPU)
    assert (planes[:, :20] == planes[:, :1, :1]).all() and (planes[0, :20] == IGNORE).all()
    assert "% ignored" in folder.check(own, ignore=255)[0][1]


def test_all_that_is_wrong_is_told_at_once(own):
    for index in range(6):
        (own / f"images/shot{index}.png").write_bytes(b"no image" * index)
    read = folder.read_folder(own)
    assert [one.name for one in read] == [f"shot{index}" for index in range(6)]
    assert all(f"shot{index}.png cannot be read" in one.problem for index, one in enumerate(read))
    with pytest.raises(InputError, match=r"shot0\.png .*shot4\.png .*And 1 more: see reprolib check"):
        folder.load_folder(own)


def test_folders_that_nothing_can_be_learned_of_are_refused(own, tmp_path):
    with pytest.raises(FileNotFoundError, match="is no folder"):
        folder.load_folder(tmp_path / "nowhere")
    for folds in (1, 0, -1):
        with pytest.raises(InputError, match="folds must be 2 or more"):
            folder.load_folder(own, folds=folds)
    for index in range(6):
        save(own / f"labels/shot{index}.tif", GREY)
    with pytest.raises(InputError, match="nothing to learn"):
        folder.load_folder(own)


def test_two_images_are_enough_and_one_is_not(tmp_path):
    save(tmp_path / "a.png", picture(DISCS))
    save(tmp_path / "a_mask.png", DISCS.astype(np.uint8))
    with pytest.raises(InputError, match="holds one image: two or more"):
        folder.load_folder(tmp_path)
    save(tmp_path / "b.png", picture(DISCS, 1))
    save(tmp_path / "b_mask.png", DISCS.astype(np.uint8))
    assert folder.load_folder(tmp_path).folds == ((0,), (1,))


# --- images of different sizes

SIDES = ((64, 64), (50, 72), (96, 40), (64, 64))


@pytest.fixture
def mixed(tmp_path):
    """Four images of three sizes."""
    for index, (height, width) in enumerate(SIDES):
        labels = np.pad(DISCS, ((0, 32), (0, 32)))[:height, :width]
        save(tmp_path / f"images/{index}.png", picture(labels, index, 45))
        save(tmp_path / f"labels/{index}.png", labels)
    return folder.load_folder(tmp_path)


def own_labels(dataset, index: int) -> np.ndarray:
    return dataset.own_part(dataset.instances[index], index)


def test_images_of_different_sizes_are_padded_and_their_own_parts_are_the_files(mixed):
    assert mixed.images.shape == mixed.instances.shape == mixed.ignore.shape == (4, 96, 72) and mixed.sizes == SIDES
    for index, (height, width) in enumerate(SIDES):
        labels = np.pad(DISCS, ((0, 32), (0, 32)))[:height, :width]
        assert np.array_equal(mixed.image(index), picture(labels, index, 45))
        assert np.array_equal(own_labels(mixed, index), consecutive(labels))
        padding = np.ones((96, 72), bool)
        padding[:height, :width] = False
        assert np.array_equal(mixed.ignore[index], padding) and not mixed.instances[index][padding].any()


def test_padding_is_told_from_pixels_by_the_hashes(mixed, tmp_path):
    for index in range(4):
        save(tmp_path / f"other/images/{index}.png", mixed.images[index])
        save(tmp_path / f"other/labels/{index}.png", mixed.instances[index].astype(np.uint8))
    other = folder.load_folder(tmp_path / "other")
    assert np.array_equal(other.images, mixed.images) and other.hashes != mixed.hashes


def test_training_sees_no_padding_and_takes_steps(mixed):
    experiment = Experiment(data=mixed.name, fold=1, width=2, tile=188, steps=2)
    samples = prepare(experiment, mixed, CPU)
    assert [tuple(image.shape) for image, _ in samples] == list(SIDES[1:])
    assert len(run_steps(experiment, mixed, CPU, 2).losses) == 2


class Bright(nn.Module):
    """Cell where the image is brighter than its mean: a stand-in for a trained network."""

    def forward(self, x):
        logit = x[..., 92:-92, 92:-92] * (1 + 0.2 * (x[..., 92:-92, 91:-93] > 0))  # no mirror image of itself
        return torch.cat([torch.zeros_like(logit), logit], dim=1)


@pytest.mark.parametrize("changes", [{}, {"scale": 0.5}, {"mean_of_flips": True}], ids=str)
def test_scores_of_different_sizes_are_those_of_each_image_by_itself(mixed, changes):
    experiment = Experiment(data=mixed.name, fold=1, width=2, tile=188, steps=2, **changes)
    mixed = dataclasses.replace(mixed, folds=((1, 2), (0, 3)))
    model = Bright()
    scores = score(experiment, model, mixed, rotations="scale" not in changes)
    alone = {
        index: predict_cells(model, [mixed.image(index)], scale=experiment.scale, flips=experiment.mean_of_flips)
        for index in range(4)
    }
    for row in scores.held_out["seg"].rows:
        ious, both, either = [], 0, 0
        for index in (1, 2):
            gold, result = own_labels(mixed, index)[None], ctc.instances(alone[index], row["threshold"])
            ious += [cell.iou for cell in ctc.seg(gold, result).cells]
            both += ((gold > 0) & (result > 0)).sum()
            either += ((gold > 0) | (result > 0)).sum()
        assert row["seg"] == pytest.approx(np.mean(ious)) and row["cells"] == len(ious)
        assert row["foreground_iou"] == pytest.approx(both / either)
    expected = [
        replaced
        for index in (1, 2)
        for replaced in cells.gold_cells(
            (mixed.names[index],),
            own_labels(mixed, index)[None],
            alone[index],
            np.zeros(alone[index].shape, bool),
        )
    ]
    assert scores.cells == tuple(expected)
    assert len(scores.images) == 2 and 0.1 < scores.held_out["seg"].score < 1


# --- the check


def test_the_check_has_a_row_an_image_and_every_problem(own, tmp_path):
    save(own / "images/shot1.png", (picture(DISCS) > 110))
    lines, problems = folder.check(own)
    assert (
        len(lines) == 9
        and not problems
        and lines[-1] == "6 of 6 images can be used, with 48 objects; grey values train"
    )
    assert lines[1].split() == ["shot0", "64", "x", "64", "uint8", *lines[1].split()[5:8], "8"]
    assert "bool" in lines[2] and "0 to 1" in lines[2]
    save(own / "images/shot2.png", GREY)
    (own / "labels/shot4.tif").write_bytes(b"")
    lines, problems = folder.check(own, tmp_path / "looks")
    assert len(lines) == 7 and lines[-1] == "4 of 6 images can be used, with 32 objects; grey values train"
    assert len(problems) == 2 and "shot2.png is constant" in problems[0] and "shot4.tif" in problems[1]
    assert sorted(path.name for path in (tmp_path / "looks").iterdir()) == [f"shot{k}.png" for k in (0, 1, 3, 5)]


def test_the_check_tells_what_training_would_refuse(tmp_path):
    save(tmp_path / "a.png", picture(DISCS))
    save(tmp_path / "a_mask.png", GREY)
    _, problems = folder.check(tmp_path)
    assert ["nothing to learn" in problems[0], "holds one image" in problems[1]] == [True, True]


def test_a_slice_of_a_stack_has_an_overlay_of_its_own(tmp_path):
    save(tmp_path / "s.tif", np.stack([picture(DISCS, seed) for seed in range(2)]))
    save(tmp_path / "s_masks.tif", np.stack([DISCS, DISCS]))
    folder.check(tmp_path, tmp_path / "looks")
    assert sorted(path.name for path in (tmp_path / "looks").iterdir()) == ["s-000.png", "s-001.png"]


def test_overlays_that_cannot_be_written_are_told_before_an_image_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "read_folder", lambda *_: pytest.fail("images were read"))
    (tmp_path / "overlays").write_text("")
    with pytest.raises(InputError, match="overlays is a file, no folder"):
        folder.check(tmp_path, tmp_path / "overlays")
