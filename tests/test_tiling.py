"""Tiling: seamless means equal to the answer for the image in one piece, its mirror written out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tifffile
import torch
import torch.nn.functional as F
from torch import nn

from reprolib.ancestors import SlidingWindow
from reprolib.augment import normalise
from reprolib.geometry import SAME
from reprolib.model import UNet
from reprolib.own.large import predict_image
from reprolib.resample import resample_image, resize_planes
from reprolib.tiling import PLANES, SEVEN_ROTATIONS, fitting_tile, origins, predict, predict_tiles, tile_geometry


def network(seed: int = 0, **options) -> nn.Module:
    torch.manual_seed(seed)
    return UNet(width=3, **options).double()


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)


def mirror(index: int, side: int) -> int:
    """Where a pixel beyond the edge is read: there and back again, without repeating the edge pixel."""
    if side == 1:
        return 0
    while not 0 <= index < side:
        index = -index if index < 0 else 2 * (side - 1) - index
    return index


def in_one_piece(model: nn.Module, image: np.ndarray) -> np.ndarray:
    """One forward pass over one tile that covers the whole image, on pixels looked up one by one."""
    tile = [next(16 * k + 60 for k in range(8, 200) if 16 * k + 60 - 184 >= side) for side in image.shape]
    values = normalise(image).numpy().astype(float)
    rows, columns = ([mirror(i - 92, n) for i in range(t)] for t, n in zip(tile, image.shape, strict=True))
    window = torch.from_numpy(values[np.ix_(rows, columns)])
    dtype = next(model.parameters()).dtype
    was_training = model.training
    with torch.no_grad():
        probability = model.eval()(window[None, None].to(dtype)).softmax(dim=1)[0]
    model.train(was_training)
    return probability[:, : image.shape[0], : image.shape[1]].numpy()


@pytest.mark.parametrize(("sides", "tile"), [((37, 30), 204), ((21, 20), 204), ((4, 50), 220), ((53, 69), 220)])
def test_tiled_prediction_equals_whole_image_prediction(sides, tile):
    model, image = network(), picture(*sides)
    tiled = predict(model, image, tile=tile)
    assert tiled.dtype == np.float64 and tiled.shape == (2, *sides)
    np.testing.assert_allclose(tiled, in_one_piece(model, image), atol=1e-10, rtol=0)


def test_in_single_precision_the_seam_is_no_larger_than_the_rounding_error():
    image = picture(37, 21)
    exact, whole = in_one_piece(network(), image), in_one_piece(network().float(), image)
    tiled = predict(network().float(), image, tile=204)
    assert tiled.dtype == np.float32
    rounding, seam = np.abs(whole - exact).max(), np.abs(tiled - whole).max()
    assert exact.std() > 0.1
    assert seam < 4 * rounding < 1e-4


@pytest.mark.parametrize("seed", range(3))
def test_in_bfloat16_probabilities_keep_two_digits(seed):
    model, image = network(seed).float(), picture(37, 50, seed)
    model.head.weight.data /= 10  # else most probabilities are 0 or 1
    exact, reduced = predict(model, image, tile=204), predict(model, image, tile=204, reduced=True)
    assert reduced.dtype == np.float32 and exact[1].std() > 0.01
    np.testing.assert_allclose(reduced.sum(axis=0), 1, atol=1e-5)
    difference = np.abs(reduced - exact)
    assert 0 < difference.mean() < 0.03 * exact[1].std() and difference.max() < 0.03


def test_off_the_lattice_each_tile_is_the_networks_answer_for_that_tile_alone():
    model, image = network(), picture(40, 50)
    result = predict(model, image, tile=204, lattice=False)
    values = normalise(image).numpy().astype(float)
    for top, left in ((0, 0), (20, 20), (20, 40)):
        rows, columns = ([mirror(start + i - 92, side) for i in range(204)] for start, side in ((top, 40), (left, 50)))
        with torch.no_grad():
            alone = model.eval()(torch.from_numpy(values[np.ix_(rows, columns)])[None, None]).softmax(dim=1)[0]
        found = result[:, top : top + 20, left : left + 20]
        np.testing.assert_allclose(found, alone[:, : found.shape[1], : found.shape[2]], atol=1e-10, rtol=0)


def test_off_the_lattice_the_pooling_phase_shows_beyond_the_first_tile():
    model, image = network(), picture(40, 40)
    apart = np.abs(predict(model, image, tile=204, lattice=False) - in_one_piece(model, image))
    assert apart[:, :20, :20].max() < 1e-10
    assert apart[:, 20:40, 20:40].max() > 1e-3
    assert apart[:, 20:40, 20:40].mean() < 0.2


@pytest.mark.parametrize("normalisation", ["standard", "percentiles"])
def test_a_network_for_several_channels_takes_them_in_every_way_of_predicting(normalisation, tmp_path):
    torch.manual_seed(0)
    model = UNet(in_channels=2, width=2).double()
    rng = np.random.default_rng(1)
    image = rng.integers(0, 4096, (37, 50, 2)).astype(np.uint16)
    options = {"tile": 204, "normalisation": normalisation}
    tiled = predict(model, image, **options)
    values = normalise(image, normalisation).double()
    rows, columns = ([mirror(i - 92, n) for i in range(236)] for n in (37, 50))
    with torch.no_grad():
        whole = model.eval()(values[:, rows][:, :, columns][None]).softmax(1)[0, :, :37, :50]
    np.testing.assert_allclose(tiled, whole, atol=1e-10, rtol=0)
    assert tiled[1].std() > 0.01
    predict_image(model, image, tmp_path / "p.tif", tile=204, normalisation=normalisation)
    np.testing.assert_allclose(tifffile.imread(tmp_path / "p.tif") / 255, tiled[1], atol=0.003)
    turned = predict(model, np.rot90(image), rotations=(90.0,), **options)
    assert turned.shape == (2, 50, 37)
    slanted = predict(model, image, rotations=(30.0,), flips=True, **options)
    assert slanted.shape == (2, 37, 50) and np.allclose(slanted.sum(0), 1, atol=1e-6)
    assert predict(model, image, scale=0.5, **options).shape == (2, 37, 50)


@pytest.mark.parametrize("sides", [(2, 2), (1, 7), (5, 3), (3, 50)])
def test_images_smaller_than_the_halo_are_mirrored_again_and_again(sides):
    model, image = network(), picture(*sides)
    np.testing.assert_allclose(predict(model, image, tile=204), in_one_piece(model, image), atol=1e-10, rtol=0)


@pytest.mark.parametrize("lattice", [True, False])
def test_an_image_one_pixel_larger_than_the_tile_is_covered(lattice):
    model = network()
    for sides in ((20, 20), (19, 21)):
        result = predict(model, picture(*sides), tile=204, lattice=lattice)
        assert result.shape == (2, *sides)
        assert np.isfinite(result).all()


@pytest.mark.parametrize(
    "options", [{}, {"lattice": False}, {"rotations": SEVEN_ROTATIONS}, {"rotations": (0, 90.0, -33)}]
)
def test_probabilities_sum_to_one(options):
    result = predict(network(), picture(25, 30), tile=252, **options)
    assert result.min() >= 0
    np.testing.assert_allclose(result.sum(axis=0), 1, atol=1e-6)


def test_origins_cover_the_side_and_no_tile_is_idle():
    for side in range(1, 200):
        for output, step in ((20, 16), (20, 20), (36, 32)):
            starts = origins(side, output, step)
            covered = {start + k for start in starts for k in range(output)}
            assert set(range(side)) <= covered
            assert len(starts) == 1 or starts[-2] + output < side
            assert all(start % step == 0 for start in starts)


def test_tiles_step_by_a_multiple_of_16_on_the_lattice_and_by_the_output_off_it():
    assert tile_geometry(572) == (388, 384, 92)
    assert tile_geometry(572, lattice=False) == (388, 388, 92)
    assert tile_geometry(204) == (20, 16, 92)
    assert tile_geometry(512, geometry=SAME) == (512, 512, 0)


# --- rotations ----------


class Toy(nn.Module):
    """Logits from a blur and, if ``slanted``, a difference to the right, which tells directions apart."""

    def __init__(self, slanted: bool = False):
        super().__init__()
        self.slanted = slanted

    def forward(self, x):
        blurred = F.avg_pool2d(x, 3, 1)
        logit = blurred[..., 91:-91, 91:-91]
        if self.slanted:
            logit = logit + 3 * (x[..., 92:-92, 93:-91] - x[..., 92:-92, 92:-92])
        return torch.cat([torch.zeros_like(logit), logit], dim=1)


@pytest.mark.parametrize("sides", [(30, 30), (25, 42)])
def test_quarter_turns_of_a_rotation_equivariant_model_are_exact(sides):
    image = picture(*sides)
    still = predict(Toy(), image, tile=204)
    for angles in ((90,), (180.0,), (270,), (360,), (-90,), (0, 90, 180, 270)):
        np.testing.assert_allclose(predict(Toy(), image, tile=204, rotations=angles), still, atol=1e-6)


def test_a_quarter_turn_shows_the_network_the_image_turned_anticlockwise():
    model, image = network(), picture(18, 25)
    wanted = np.rot90(predict(model, np.rot90(image), tile=204), -1, (1, 2))
    np.testing.assert_allclose(predict(model, image, tile=204, rotations=(90,)), wanted, atol=1e-10)
    assert np.abs(wanted - predict(model, image, tile=204)).max() > 1e-3


def smooth(height: int, width: int) -> np.ndarray:
    y, x = np.indices((height, width))
    return np.sin(x / 5) + np.cos(y / 7 + 1) + np.sin((x + 2 * y) / 9)


@pytest.mark.parametrize("quarter", [0, 90, 180, 270])
def test_other_angles_join_the_quarter_turns_without_a_jump(quarter):
    image, inner = smooth(48, 61), (slice(None), slice(4, -4), slice(4, -4))
    exact = predict(Toy(slanted=True), image, tile=252, rotations=(quarter,))
    for angle in (quarter - 0.01, quarter + 0.01):
        near = predict(Toy(slanted=True), image, tile=252, rotations=(angle,))
        assert np.abs(near - exact)[inner].max() < 0.02
    other = predict(Toy(slanted=True), image, tile=252, rotations=(quarter + 180,))
    assert np.abs(other - exact)[inner].max() > 0.2  # the model does tell directions apart


def test_any_angle_keeps_every_pixel_in_its_place():
    image = smooth(48, 61)
    still = predict(Toy(), image, tile=252)
    for angle in SEVEN_ROTATIONS[1:]:
        turned = predict(Toy(), image, tile=252, rotations=(angle,))
        assert np.abs(turned - still)[:, 4:-4, 4:-4].max() < 0.02


def test_the_mean_over_rotations_is_the_mean():
    model, image = network(), picture(25, 30)
    single = [predict(model, image, tile=252, rotations=(angle,)) for angle in (0, 51.0, 90)]
    np.testing.assert_allclose(
        predict(model, image, tile=252, rotations=(0, 51.0, 90)), np.mean(single, axis=0), atol=1e-12
    )


class Constant(nn.Module):
    def forward(self, x):
        sides = (x.shape[-2] - 184, x.shape[-1] - 184)
        return torch.tensor([0.3, -1.2, 0.0])[None, :, None, None].expand(1, 3, *sides)


@pytest.mark.parametrize("sides", [(33, 47), (1, 9), (2, 3)])
def test_a_constant_model_stays_constant_under_seven_rotations(sides):
    image = np.arange(sides[0] * sides[1]).reshape(sides)
    result = predict(Constant(), image, tile=204, rotations=SEVEN_ROTATIONS)
    wanted = np.exp([0.3, -1.2, 0.0]) / np.exp([0.3, -1.2, 0.0]).sum()
    assert result.shape == (3, *sides) and result.dtype == np.float32
    np.testing.assert_allclose(result, np.broadcast_to(wanted[:, None, None], result.shape), atol=1e-6)


def test_the_seven_rotations_are_seven_equal_steps_of_a_full_turn():
    assert len(SEVEN_ROTATIONS) == 7
    np.testing.assert_allclose(np.diff([*SEVEN_ROTATIONS, 360.0]), 360 / 7)


# --- manners ----------


@pytest.mark.parametrize("training", [True, False])
def test_the_model_predicts_without_dropout_and_returns_to_the_mode_it_was_in(training):
    model, image = network().train(training), picture(25, 30)
    first = predict(model, image, tile=252)
    assert model.training is training and model.down[0].training is training
    np.testing.assert_array_equal(first, predict(model, image, tile=252))


def test_the_model_returns_to_training_even_if_it_fails():
    model = network(in_channels=2).train()
    with pytest.raises(ValueError):
        predict(model, picture(25, 30), tile=252)
    assert model.training


def test_a_same_padding_network_is_tiled_without_halo():
    model, image = network(padding="same"), picture(40, 30)
    result = predict(model, image, tile=32)
    window = torch.from_numpy(normalise(image).numpy().astype(float)[:32, :])
    window = torch.cat([window, window[:, [28, 27]]], dim=1)  # columns 30 and 31 are the mirror of 28 and 27
    with torch.no_grad():
        wanted = model.eval()(window[None, None]).softmax(dim=1)[0, :, :, :30]
    np.testing.assert_allclose(result[:, :32], wanted, atol=1e-10)


def test_the_image_is_left_alone_and_the_result_is_an_array_of_its_own():
    model, image = network(), picture(25, 30)
    before = image.copy()
    result = predict(model, image, tile=204)
    np.testing.assert_array_equal(image, before)
    result[:] = 0
    planes = predict_tiles(model, normalise(image).double(), 204, True)
    assert not planes.requires_grad
    planes += 1  # no inference tensor


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tile": 570}, "nearest: 556 and 572"), ({"tile": 188}, "smallest is 204"),
        ({"rotations": ()}, "at least one"),
        ({"rotations": (0, math.nan)}, "finite angle"), ({"image": np.full((9, 9), math.nan)}, "NaN"),
        ({"image": np.ones((9, 9))}, "constant"), ({"image": np.zeros((1, 1, 9, 9))}, r"\(H, W\)"),
        ({"model": UNet(width=1, padding="same"), "tile": 60}, "nearest: 48 and 64"),
    ],
)  # fmt: skip
def test_what_cannot_be_predicted_is_refused(options, message):
    given = {"model": network(), "image": picture(9, 9)}
    with pytest.raises(ValueError, match=message):
        predict(**given | options)


def test_a_188_tile_can_be_used_off_the_lattice():
    assert predict(network(), picture(9, 9), tile=188, lattice=False).shape == (2, 9, 9)


# --- flips and scale ----------


def test_the_mean_over_flips_is_the_mean_of_the_four_mirrored_predictions_mirrored_back():
    model, image = network(), picture(25, 30)
    there_and_back = [
        predict(model, image, tile=252),
        predict(model, image[::-1], tile=252)[:, ::-1],
        predict(model, image[:, ::-1], tile=252)[:, :, ::-1],
        predict(model, image[::-1, ::-1], tile=252)[:, ::-1, ::-1],
    ]
    found = predict(model, image, tile=252, flips=True)
    np.testing.assert_allclose(found, np.mean(there_and_back, axis=0), atol=1e-12)
    assert np.abs(found - there_and_back[0]).max() > 1e-3


def test_a_model_that_commutes_with_flips_is_not_changed_by_their_mean():
    image = picture(25, 42)
    for angles in ((0,), (90, 180)):
        still = predict(Toy(), image, tile=252, rotations=angles)
        np.testing.assert_allclose(predict(Toy(), image, tile=252, rotations=angles, flips=True), still, atol=1e-6)
    slanted = [predict(Toy(slanted=True), image, tile=252, flips=flips) for flips in (False, True)]
    assert np.abs(slanted[0] - slanted[1]).max() > 0.1


def test_flips_and_rotations_together_are_the_mean_of_all_views():
    model, image = network(), picture(25, 30)
    views = [
        (np.s_[:, :], np.s_[:, :, :]), (np.s_[::-1], np.s_[:, ::-1]), (np.s_[:, ::-1], np.s_[:, :, ::-1]),
        (np.s_[::-1, ::-1], np.s_[:, ::-1, ::-1]),
    ]  # fmt: skip
    each = [
        predict(model, image[there], tile=252, rotations=(angle,))[back] for there, back in views for angle in (0, 51.0)
    ]
    found = predict(model, image, tile=252, rotations=(0, 51.0), flips=True)
    np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-12)


def test_at_another_scale_the_network_sees_the_resampled_image_and_the_answer_has_the_images_sides():
    model, image = network(), picture(50, 61)
    small = predict(model, resample_image(image, 0.5), tile=252)
    found = predict(model, image, tile=252, scale=0.5)
    assert small.shape == (2, 25, 30) and found.shape == (2, 50, 61)
    np.testing.assert_allclose(found, resize_planes(small, (50, 61)), atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-12)
    np.testing.assert_array_equal(predict(model, image, tile=252, scale=1.0), predict(model, image, tile=252))


def test_at_another_scale_every_pixel_keeps_its_place():
    image = smooth(96, 122)
    still = predict(Toy(), image, tile=316)
    assert np.abs(np.diff(still, axis=1)).max() > 0.05 and np.abs(np.diff(still, axis=2)).max() > 0.05  # a shift shows
    for options in ({}, {"flips": True}, {"rotations": (90,)}):
        for scale in (0.5, 2):
            assert np.abs(predict(Toy(), image, tile=316, scale=scale, **options) - still)[:, 6:-6, 6:-6].max() < 0.03


@pytest.mark.parametrize("scale", [0.0, 4.1, math.nan])
def test_a_scale_out_of_range_is_refused(scale):
    with pytest.raises(ValueError, match="scale must be above 0 and at most 4"):
        predict(network(), picture(9, 9), scale=scale)


def test_the_tile_grows_with_the_budget_and_stops_at_the_image():
    model, sides = UNet(width=16), [fitting_tile(UNet(width=16), 20_000, m * 2**20) for m in (30, 100, 300, 1000)]
    assert sides == sorted(set(sides)) and all((side - 188) % 16 == 0 for side in sides)
    for side, mebibytes in zip(sides, (30, 100, 300, 1000), strict=True):
        held = PLANES * 16 * 4
        assert held * side**2 <= mebibytes * 2**20 < held * (side + 16) ** 2
    assert fitting_tile(model, 512) == 700
    assert fitting_tile(SlidingWindow().eval(), 20_000) == 482  # the paper's 388 px of output
    with pytest.raises(ValueError, match=r"at least 0\.02 GiB"):
        fitting_tile(model, 512, 2**20)
