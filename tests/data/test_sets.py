"""Data sets by name: cells, folds, regions that are not annotated, the labels that came later than the paper."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tiny_sets import LABELS, RNG, TEST_PAGES, fill, ids, loaded, save, scene, sha

from reprolib import data
from reprolib.data import dataset, published, sources


def test_em_cells_are_the_4_connected_components_of_label_255(small):
    fill(small)
    loaded = data.load("isbi2012")
    for labels, instances in zip(LABELS, loaded.instances, strict=True):
        assert np.array_equal(instances > 0, labels == 255)
        assert flooded(labels == 255) == {frozenset(np.flatnonzero(instances == k)) for k in ids(instances)}
    assert loaded.instances.dtype == np.int32 and not loaded.ignore.any() and not loaded.phantom


def flooded(mask):
    """4-connected components by flood fill, as sets of flat indices."""
    left, found = set(zip(*np.nonzero(mask), strict=True)), set()
    while left:
        piece, edge = set(), {left.pop()}
        while edge:
            piece |= edge
            edge = {(y + a, x + b) for y, x in edge for a, b in ((0, 1), (1, 0), (0, -1), (-1, 0))} & left
            left -= edge
        found.add(frozenset(int(y * mask.shape[1] + x) for y, x in piece))
    return found


# --- labels that came later than the paper


@pytest.mark.parametrize("name", sources.TEST_LABELS)
def test_only_the_published_rows_of_test_labels_are_read_and_verified(with_test_labels, name):
    pages = TEST_PAGES.copy()
    pages[:, :4] = 127  # whatever is above them
    save(with_test_labels / name, pages)
    assert np.array_equal(data.test_labels(), TEST_PAGES[:, 4:])
    rows = {row.file: row for row in published.verify_folder("isbi2012", with_test_labels)}
    assert rows[name].ok and len(rows) == 3  # the other one is not there, and not asked for
    pages[2, 4, 1] ^= 255
    save(with_test_labels / name, pages)
    with pytest.raises(ValueError, match=rf"{name} does not hold the published pixels"):
        data.test_labels()
    assert not {row.file: row.ok for row in published.verify_folder("isbi2012", with_test_labels)}[name]


def test_the_archives_own_test_labels_go_before_the_recovered_ones(with_test_labels):
    own, recovered = (with_test_labels / name for name in sources.TEST_LABELS)
    save(recovered, TEST_PAGES)
    assert np.array_equal(data.test_labels(), TEST_PAGES[:, 4:])
    save(own, TEST_PAGES[::-1])
    with pytest.raises(ValueError, match=r"test-labels\.tif does not hold"):
        data.test_labels()


def test_without_test_labels_one_sentence_says_where_they_lie(with_test_labels):
    with pytest.raises(data.MissingData, match=r"lacks test-labels\.tif, .*archive of the challenge, https://") as told:
        data.test_labels()
    assert "\n" not in str(told.value)
    assert data.present("isbi2012")  # the set is complete without them


def test_test_labels_are_no_images(with_test_labels):
    save(with_test_labels / "test-labels.tif", TEST_PAGES)
    with pytest.raises(ValueError, match=r"no images 'test-labels\.tif'"):
        data.frames("isbi2012", "test-labels.tif")


# --- cells


def test_cell_sets_take_gold_frames_only_and_hold_out_whole_videos(small, monkeypatch):
    chosen = {"01": (1, 3), "02": (0, 2, 3)}
    arrays, root = {}, small / "DIC-C2DH-HeLa"
    gold, markers = scene()
    for video, numbers in chosen.items():
        frames = RNG.integers(0, 256, size=(4, *gold.shape), dtype=np.uint8)
        seg = np.stack([gold * (k + 1) for k in range(len(numbers))])
        tra = np.stack([markers] * 4)
        tra[numbers[0]][markers == 9] = 0  # the first gold frame of each video is annotated everywhere
        for part, stem, stack, stamps in (
            (video, "t", frames, range(4)),
            (f"{video}_GT/SEG", "man_seg", seg, numbers),
            (f"{video}_GT/TRA", "man_track", tra, range(4)),
        ):
            for stamp, page in zip(stamps, stack, strict=True):
                save(root / part / f"{stem}{stamp:03d}.tif", [page], compression="tiff_lzw")
            listed = tuple(stamps) if "SEG" in part else None
            arrays[part] = sources.Pixels(len(stack), str(stack.dtype), sha(stack), numbers=listed)
        arrays[video + " frames"] = frames
    frames = {video: arrays.pop(video + " frames") for video in chosen}
    (root / "01/._t000.tif").write_bytes(b"left by another system")
    source = dataclasses.replace(sources.SOURCES["dic-hela"], arrays=arrays, size=gold.shape)
    monkeypatch.setitem(sources.SOURCES, "dic-hela", source)

    loaded = data.load("dic-hela")
    assert loaded.names == ("01/t001", "01/t003", "02/t000", "02/t002", "02/t003")
    assert loaded.folds == ((0, 1), (2, 3, 4))
    wanted = np.concatenate([frames[video][list(chosen[video])] for video in chosen])
    assert np.array_equal(loaded.images, wanted)
    assert np.array_equal(loaded.instances[3], 2 * gold) and loaded.instances.dtype == np.int32
    assert loaded.ignore.any(axis=(1, 2)).tolist() == [False, True, False, True, True]

    seg = root / "02_GT/SEG"
    (seg / "man_seg002.tif").rename(seg / "man_seg001.tif")
    assert not data.present("dic-hela")
    with pytest.raises(data.MissingData, match="02_GT/SEG"):
        data.load("dic-hela")
    assert "frame 001" in {row.file: row for row in published.verify_folder("dic-hela", root)}["02_GT/SEG"].found


@pytest.mark.parametrize(("count", "folds"), [(30, 5), (10, 5), (6, 4), (7, 7)])
def test_blocks_are_contiguous_and_cover_every_image_once(count, folds):
    parts = dataset.blocks(count, folds)
    assert [index for part in parts for index in part] == list(range(count))
    assert len(parts) == folds and max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_part_that_a_set_does_not_have_is_refused_with_those_it_has():
    with pytest.raises(ValueError, match="no images '03': choose one of 01, 02"):
        data.frames("dic-hela", "03")
    with pytest.raises(ValueError, match=r"no images 'test-volume': .*did you mean 'test-volume.tif'"):
        data.frames("isbi2012", "test-volume")
    with pytest.raises(ValueError, match="phantom-em is made from a seed"):
        data.frames("phantom-em", "01")


# --- the real data


@pytest.mark.realdata("isbi2012")
def test_isbi2012_has_30_slices_in_five_blocks_of_six_and_78_percent_inside():
    em = loaded("isbi2012")
    assert em.images.shape == (30, 512, 512) and em.names[29] == "slice 29"
    assert em.folds == tuple(tuple(range(start, start + 6)) for start in range(0, 30, 6))
    assert (em.instances > 0).mean() == pytest.approx(0.780, abs=0.0005)
    dark, light = em.images[em.instances == 0].mean(), em.images[em.instances > 0].mean()
    assert light - dark > 30  # images and labels belong together


@pytest.mark.realdata("isbi2012")
def test_the_test_slices_labels_are_29_percent_membrane_below_row_66():
    path = published.set_folder("isbi2012")
    if not any((path / name).exists() for name in sources.TEST_LABELS):
        pytest.skip("the labels of the test slices are not in this copy")
    labels = data.test_labels()
    assert labels.shape == (30, 446, 512) and labels.dtype == np.uint8
    assert np.unique(labels).tolist() == [0, 255]
    assert (labels == 0).mean() == pytest.approx(0.29, abs=0.005)
    images = data.frames("isbi2012", "test-volume.tif")[:, 66:]
    light, dark = images[labels == 255].mean(), images[labels == 0].mean()
    assert light - dark > 30  # images and labels belong together


@pytest.mark.realdata("isbi2012")
def test_a_whole_file_of_other_test_labels_is_refused(tmp_path):
    folder = tmp_path / "isbi2012"
    folder.mkdir()
    for name in ("train-volume.tif", "train-labels.tif"):
        (folder / name).symlink_to(published.set_folder("isbi2012") / name)
    with pytest.raises(data.MissingData, match=r"lacks test-labels\.tif"):
        data.test_labels(tmp_path)
    save(folder / "test-labels.tif", np.where(loaded("isbi2012").instances > 0, 255, 0).astype(np.uint8))
    with pytest.raises(
        ValueError, match=r"test-labels\.tif does not hold the published pixels: .* expected 74efe8ca8efd"
    ):
        data.test_labels(tmp_path)


@pytest.mark.realdata("phc-u373", "dic-hela")
@pytest.mark.parametrize("video", [1, 2])
@pytest.mark.parametrize(("name", "count"), [("phc-u373", 115), ("dic-hela", 84)])
def test_silver_truth_labels_every_frame_of_a_video_much_as_the_gold_masks_do(name, count, video):
    if not (published.set_folder(name) / f"{video:02d}_ST/SEG").exists():
        pytest.skip("the silver truth is not in this copy")
    silver, gold = data.silver_truth(name, video), loaded(name)
    assert silver.shape == (count, *gold.images.shape[1:]) and silver.dtype == np.int32
    assert len(data.frames(name, f"{video:02d}")) == count and silver.any(axis=(1, 2)).all()
    both = either = 0
    for index in gold.folds[video - 1]:
        counted = ~gold.ignore[index]
        true, found = gold.instances[index] > 0, silver[int(gold.names[index][-3:])] > 0
        both, either = both + (true & found)[counted].sum(), either + (true | found)[counted].sum()
    assert both / either > 0.8


@pytest.mark.realdata("phc-u373", "dic-hela")
@pytest.mark.parametrize(("name", "split", "cells"), [("phc-u373", (15, 19), 210), ("dic-hela", (9, 9), 195)])
def test_cell_sets_hold_their_gold_frames_and_cells(name, split, cells):
    video = loaded(name)
    assert tuple(map(len, video.folds)) == split
    assert sum(len(ids(instances)) for instances in video.instances) == cells
    assert all(video.names[index].startswith("01/") for index in video.folds[0])


@pytest.mark.realdata("isbi2012", "dic-hela")
def test_the_images_to_segment_are_the_published_ones():
    assert data.frames("isbi2012", "test-volume.tif").shape == (30, 512, 512)
    hela = data.load("dic-hela")
    assert np.array_equal(data.frames("dic-hela", "02")[6], hela.images[hela.names.index("02/t006")])
