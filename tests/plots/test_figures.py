"""Claims about the helpers of the figures."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from skimage.color import rgb2lab

from reprolib.evaluation import ctc
from reprolib.evaluation.loops import KINDS
from reprolib.plots import figures

TWO = np.zeros((8, 10), np.int32)
TWO[2:5, 1:4] = 1
TWO[2:5, 4:8] = 3  # touches the first; label 2 is not there


@pytest.fixture
def axis():
    figure, axis = plt.subplots()
    yield axis
    plt.close(figure)


def test_reduction_is_the_mean_of_each_block_and_cuts_off_the_rest():
    image = np.arange(35, dtype=np.uint8).reshape(5, 7)
    small = figures.reduced(image, 2)
    assert small.shape == (2, 3)
    assert small[1, 2] == image[2:4, 4:6].mean()


def test_a_reduced_picture_keeps_the_coordinates_of_the_full_one(axis):
    figures.grey(axis, np.random.default_rng(0).random((8, 10)), "a", reduce=2)
    assert axis.get_xlim() == (-0.5, 9.5)
    assert axis.get_ylim() == (7.5, -0.5)


def test_an_outline_encloses_its_instance_and_no_other_pixel(axis):
    figures.grey(axis, TWO)
    lines = figures.outline(axis, TWO).get_segments()
    assert len(lines) == 2
    rows, columns = np.indices(TWO.shape)
    pixels = np.column_stack([columns.ravel(), rows.ravel()])
    for line, label in zip(lines, (1, 3), strict=True):
        inside = matplotlib.path.Path(line).contains_points(pixels).reshape(TWO.shape)
        assert np.array_equal(inside, label == TWO)


def test_an_instance_at_the_edge_of_the_image_has_a_closed_outline(axis):
    corner = np.zeros((6, 6), np.int32)
    corner[:3, :3] = 1
    (line,) = figures.outline(axis, corner).get_segments()
    assert np.array_equal(line[0], line[-1])


def test_every_instance_has_one_colour_and_the_background_none():
    colours = figures.instance_colours(TWO, seed=1)
    assert (colours[TWO == 0] == 0).all()
    first, second = (np.unique(colours[label == TWO], axis=0) for label in (1, 3))
    assert len(first) == len(second) == 1
    assert not np.array_equal(first, second)
    assert np.array_equal(colours, figures.instance_colours(TWO, seed=1))


@pytest.mark.parametrize("seed", range(5))
def test_neighbours_are_told_apart_by_their_colours(seed):
    """A chessboard of 10 x 10 squares of 8 px, 2 px apart: the colours beside each other, by brute force."""
    labels = np.random.default_rng(seed).permutation(100).reshape(10, 10) + 1
    board = np.pad(np.kron(labels, np.pad(np.ones((8, 8), int), (0, 2))), 1)
    looks = rgb2lab(figures.instance_colours(board, seed)[5:100:10, 5:100:10, :3])
    across, down = (np.linalg.norm(np.diff(looks, axis=axis), axis=-1) for axis in (1, 0))
    assert min(across.min(), down.min()) > 25


def test_outlines_without_a_given_colour_bear_the_colours_of_the_filled_instances(axis):
    drawn = figures.outline(axis, TWO, colour=None, seed=1)
    filled = figures.instance_colours(TWO, seed=1)
    assert np.allclose(drawn.get_colors(), [filled[2, 1], filled[2, 5]])


def test_each_gold_cell_is_outlined_in_the_colour_of_its_iou_and_dashed_without_a_match(axis):
    gold = np.zeros((20, 30), np.int32)
    gold[2:10, 2:12], gold[2:10, 12:20], gold[12:19, 20:29] = 1, 2, 5
    result = np.where(gold > 0, gold, 0)
    result[gold == 2], result[gold == 5] = 1, 0  # two cells as one, the third not found
    score = ctc.seg(gold, result)
    shades = figures.cell_scores(axis, gold, score.cells)
    lines = axis.collections
    assert [line.get_linestyle()[0][1] is None for line in lines] == [True, True, False]
    for line, cell in zip(lines, score.cells, strict=True):
        assert line.get_colors()[0] == pytest.approx(shades.to_rgba(cell.iou))
    assert [text.get_text() for text in axis.texts] == ["0.56", "0.44", "0.00"]
    for text, cell in zip(axis.texts, score.cells, strict=True):
        x, y = text.get_position()
        assert gold[y, x] == cell.gold  # the number stands in its cell
    assert (shades.norm.vmin, shades.norm.vmax) == (0, 1)


def test_the_overlay_colours_the_named_kinds_alone(axis):
    layer = figures.overlay(axis, TWO, {3: figures.ERROR_COLOURS["missed"]}).get_array()
    assert np.array_equal(layer[..., 3] > 0, TWO == 3)


def test_every_kind_of_the_warping_error_has_its_own_colour():
    colours = [figures.ERROR_COLOURS[kind] for kind in KINDS[1:]]
    assert len(set(colours)) == len(colours)


def test_hatching_and_scale_bar_stay_inside_the_picture(axis):
    figures.grey(axis, TWO)
    figures.hatched(axis, TWO > 0)
    figures.hatched(axis, TWO > 9)  # empty: nothing to draw
    figures.scale_bar(axis, 5)
    figures.legend(axis, {"cell": figures.TRUTH})
    axis.figure.canvas.draw()
    assert axis.get_xlim() == (-0.5, 9.5)
    assert axis.get_ylim() == (7.5, -0.5)
    assert axis.patches[0].get_width() == 5


@pytest.mark.parametrize("factor", [0, 9, 1.5])
def test_an_impossible_reduction_is_refused(factor):
    with pytest.raises(ValueError, match="from 1 to 8"):
        figures.reduced(TWO, factor)


def test_an_image_that_is_no_matrix_is_refused(axis):
    with pytest.raises(ValueError, match="2-D"):
        figures.grey(axis, np.zeros((2, 8, 8)))
