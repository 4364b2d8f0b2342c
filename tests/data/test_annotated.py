"""Where gold frames are not annotated: markers without a mask, the pixels round them, the edge of a frame."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from tiny_sets import ids, loaded, scene

from reprolib.data import annotated, published


def test_a_marker_without_a_mask_is_found():
    gold, markers = scene()
    assert annotated.unmasked_markers(gold, markers) == [9]
    assert annotated.unmasked_markers(gold, gold) == []


def test_a_neighbours_mask_that_grazes_a_marker_is_not_its_mask():
    gold, markers = scene()
    gold[20:29, 60:75] = 3  # one of the marker's three rows
    assert annotated.unmasked_markers(gold, markers) == [9]
    gold[29] = gold[28]
    assert annotated.unmasked_markers(gold, markers) == []


def test_the_pixels_nearest_to_an_unmasked_marker_are_ignored_less_the_masks():
    gold, markers = scene()
    ignored = annotated.unannotated(gold, markers)
    points = np.argwhere(markers > 0)
    for y, x in np.random.default_rng(0).integers((0, 0), gold.shape, size=(400, 2)):
        square = ((points - (y, x)) ** 2).sum(axis=1)
        nearest = {int(markers[tuple(point)]) for point in points[square == square.min()]}
        if len(nearest) == 1:  # at equal distances either will do
            assert ignored[y, x] == (nearest == {9} and gold[y, x] == 0)


def test_a_fully_masked_frame_is_annotated_everywhere():
    gold, markers = scene()
    markers[markers == 9] = 0
    assert not annotated.unannotated(gold, markers).any()


def test_where_most_cells_have_no_mask_only_the_masks_and_a_ring_count():
    gold, markers = scene()
    gold[gold == 2] = 0  # one mask for three markers
    ignored = annotated.unannotated(gold, markers, ring=6)
    assert annotated.unmasked_markers(gold, markers) == [4, 9]
    ys, xs = np.nonzero(gold)
    for y, x in np.argwhere(~ignored):
        assert np.hypot(ys - y, xs - x).min() <= 6
    assert not ignored[gold > 0].any()
    assert not ignored[10:20, 26:30].any()  # the ring, where the masked cell's own marker is the nearest


# --- the real data


UNMASKED = {  # markers whose cell has no gold mask, as listed when the data were first looked through
    "phc-u373": {"02/t026": [7], "02/t051": [11], "02/t085": [18], "02/t106": [2, 9]},
    "dic-hela": {
        "01/t034": [54],
        "01/t039": [54],
        "01/t067": [4, 5, 8, 10, 12, 14, 16, 18, 21, 28, 30, 35, 36, 39, 56],
        "02/t007": [32],
        "02/t014": [32],
        "02/t042": [35, 45],
        "02/t061": [26],
        "02/t067": [26],
    },
}


def frame(name, image, kind, stem):
    """One annotation of a real frame, read straight from its file; None where there is none."""
    video, number = image.split("/t")
    path = published.set_folder(name) / f"{video}_{kind}" / f"{stem}{number}.tif"
    return np.asarray(Image.open(path)).astype(np.int64) if path.exists() else None


@pytest.mark.realdata("phc-u373", "dic-hela")
@pytest.mark.parametrize("name", UNMASKED)
def test_exactly_the_listed_markers_have_no_gold_mask(name):
    found = {
        image: annotated.unmasked_markers(instances, frame(name, image, "GT/TRA", "man_track"))
        for image, instances in zip(loaded(name).names, loaded(name).instances, strict=True)
    }
    assert {image: markers for image, markers in found.items() if markers} == UNMASKED[name]
    partly = {image for image, ignored in zip(loaded(name).names, loaded(name).ignore, strict=True) if ignored.any()}
    assert partly == set(UNMASKED[name])


@pytest.mark.realdata("dic-hela")
def test_of_the_frame_with_3_of_18_cells_drawn_only_these_and_a_narrow_ring_count():
    hela = loaded("dic-hela")
    index = hela.names.index("01/t067")
    gold, counted = hela.instances[index] > 0, ~hela.ignore[index]
    assert len(ids(hela.instances[index])) == 3 and counted[gold].all()
    ring = counted & ~gold
    assert 0 < ring.mean() < 0.05 and ndimage.distance_transform_edt(~gold)[ring].max() <= annotated.RING


@pytest.mark.realdata("isbi2012", "phc-u373", "dic-hela")
def test_near_the_edge_of_a_cell_frame_unlabelled_pixels_teach_nothing_and_in_the_em_stack_all_do():
    for name in ("phc-u373", "dic-hela"):
        video = loaded(name)
        for index in (0, len(video.names) - 1):
            out = annotated.untrained(video, index)
            height, width = out.shape
            y, x = np.ogrid[:height, :width]
            far = (np.minimum(y, height - 1 - y) >= 50) & (np.minimum(x, width - 1 - x) >= 50)
            assert not out[video.instances[index] > 0].any()
            assert np.array_equal(out[far], video.ignore[index][far])
            assert out[~far & (video.instances[index] == 0)].all()
    assert not annotated.untrained(loaded("isbi2012"), 7).any()


@pytest.mark.realdata("phc-u373", "dic-hela")
@pytest.mark.parametrize("name", UNMASKED)
def test_silver_masks_of_the_unmasked_cells_are_ignored(name):
    """The silver truth, made by computers, plays no part in `unannotated`, so it can check it."""
    seen = 0
    for index, image in enumerate(loaded(name).names):
        silver = frame(name, image, "ST/SEG", "man_seg")
        if silver is None or image not in UNMASKED[name]:
            continue
        cells = np.isin(silver, UNMASKED[name][image]) & (loaded(name).instances[index] == 0)
        if cells.any():
            seen += 1
            assert loaded(name).ignore[index][cells].mean() > 0.95
    if not seen:
        pytest.skip("the silver truth is not in this copy")
