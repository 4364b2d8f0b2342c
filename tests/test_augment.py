"""Augmentation: the field against an interpolation written here, the warp against ramps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage, stats

from reprolib import augment as augmentation
from reprolib.augment import PERCENTILES, augment, displacement, draw, limits, normalise


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ramps(height: int, width: int) -> torch.Tensor:
    """(2, H, W): the row and the column of each pixel; whatever is sampled from it tells where."""
    return torch.stack(torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij"))


def still(**options) -> dict:
    """Options that leave the random shift alone; the tile has no halo."""
    return {"elastic": 0.0, "rotate": False, "grey": 0.0, "halo": 0} | options


# --- the displacement field ---


def test_the_grids_vectors_have_the_asked_standard_deviation():
    generator = seeded(0)
    nodes = torch.stack([displacement(9, 10.0, generator)[:, ::4, ::4] for _ in range(1500)])  # 27,000 numbers
    assert nodes.shape == (1500, 2, 3, 3)
    assert nodes.std().item() == pytest.approx(10.0, rel=0.02)
    assert abs(nodes.mean().item()) < 0.25
    for axis in range(2):  # every node for itself: four standard errors
        assert nodes.std(dim=0)[axis].numpy() == pytest.approx(np.full((3, 3), 10.0), rel=4 / math.sqrt(2 * 1500))
    correlation = np.corrcoef(nodes.reshape(1500, 18).numpy(), rowvar=False) - np.eye(18)
    assert np.abs(correlation).max() < 0.12  # no node, and neither dy nor dx, knows of another


def cubic_convolution(nodes: np.ndarray, side: int, a: float = -0.75) -> np.ndarray:
    """Keys' cubic convolution of a (3, 3) grid spread over ``side`` px, corner to corner, constant beyond."""

    def kernel(t: float) -> float:
        t = abs(t)
        if t <= 1:
            return (a + 2) * t**3 - (a + 3) * t**2 + 1
        return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0

    matrix = np.zeros((side, 3))
    for pixel in range(side):
        place = pixel * 2 / (side - 1)
        for node in range(-2, 6):
            matrix[pixel, min(max(node, 0), 2)] += kernel(place - node)
    return matrix @ nodes @ matrix.T


@pytest.mark.parametrize("side", [5, 21, 189])
def test_the_field_is_the_bicubic_interpolation_of_its_nodes(side):
    field = displacement(side, 10.0, seeded(side)).double().numpy()
    assert field.shape == (2, side, side)
    for component in field:
        nodes = component[:: (side - 1) // 2, :: (side - 1) // 2]
        np.testing.assert_allclose(component, cubic_convolution(nodes, side), atol=1e-4)


def test_the_same_seed_gives_the_same_field_and_another_seed_another():
    assert torch.equal(displacement(50, 10.0, seeded(1)), displacement(50, 10.0, seeded(1)))
    assert not torch.equal(displacement(50, 10.0, seeded(1)), displacement(50, 10.0, seeded(2)))
    torch.manual_seed(1)  # without a generator: the global state
    assert torch.equal(displacement(50, 10.0), displacement(50, 10.0, seeded(1)))


def test_the_field_scales_with_the_standard_deviation():
    torch.testing.assert_close(displacement(50, 20.0, seeded(1)), 2 * displacement(50, 10.0, seeded(1)))
    assert not displacement(50, 0.0, seeded(1)).any()


def test_the_field_is_smooth():
    field = displacement(572, 10.0, seeded(4))
    assert field.diff(dim=1).abs().max() < 1 and field.diff(dim=2).abs().max() < 1


@pytest.mark.parametrize(("tile", "std"), [(1, 10.0), (0, 10.0), (9, -1.0), (9, math.nan), (9, math.inf)])
def test_an_impossible_field_is_refused(tile, std):
    with pytest.raises(ValueError, match="at least 2 px and std >= 0"):
        displacement(tile, std)


# --- samples ----------


def test_the_same_generator_state_gives_the_same_sample():
    image, labels = torch.randn(60, 70, generator=seeded(9)), ramps(60, 70)
    generator = seeded(3)
    first, second = (augment(image, labels, 188, generator, flip=True) for _ in range(2))
    again = augment(image, labels, 188, seeded(3), flip=True)
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], second[0])


def test_a_188_tile_has_labels_of_4_px_and_a_572_tile_of_388():
    image = torch.randn(40, 50)
    for tile, out in ((188, 4), (572, 388)):
        sampled, targets = augment(image, ramps(40, 50), tile, seeded(0))
        assert sampled.shape == (tile, tile) and targets.shape == (2, out, out)
        assert sampled.dtype == targets.dtype == torch.float32


@pytest.mark.parametrize("flip", [False, True])
def test_image_and_labels_are_warped_alike(flip):
    height, width = 150, 90
    rows, columns = ramps(height, width)
    for seed in range(6):
        for image, plane in ((rows, 0), (columns, 1)):
            sampled, targets = augment(image, ramps(height, width), 204, seeded(seed), grey=0.0, flip=flip)
            # The image tells the position to a fraction of a pixel, the labels the nearest pixel to it.
            assert (sampled[92:-92, 92:-92] - targets[plane]).abs().max() <= 0.5 + 1e-3


def test_in_flat_regions_image_and_labels_agree_exactly():
    blocks = torch.from_numpy(np.kron(np.random.default_rng(0).integers(0, 6, (8, 8)), np.ones((20, 20)))).float()
    sampled, targets = augment(blocks, blocks[None], 284, seeded(5), grey=0.0)
    sampled, target = sampled[92:-92, 92:-92].numpy(), targets[0].numpy()
    flat = ndimage.minimum_filter(target, 5) == ndimage.maximum_filter(target, 5)
    assert 0.3 < flat.mean() < 1 and len(np.unique(target[flat])) > 2
    np.testing.assert_allclose(sampled[flat], target[flat], atol=1e-4)


def test_no_label_value_is_ever_mixed():
    values = np.array([0.0, 1.0, 255.0, 3.7], np.float32)
    labels = torch.from_numpy(np.random.default_rng(0).choice(values, (2, 50, 50)))
    for seed in range(5):
        _, targets = augment(torch.randn(50, 50), labels, 252, seeded(seed), flip=True)
        assert set(targets.unique().tolist()) <= set(values.tolist())


@pytest.mark.parametrize("flip", [False, True])
def test_with_all_but_the_shift_off_a_tile_is_a_plain_crop_of_the_mirrored_image(flip):
    height, width, tile = 31, 23, 60  # the tile is larger than the image: Fig. 2's mirror shows on all sides
    planes = ramps(height, width)
    mirrored = np.pad(np.arange(height * width).reshape(height, width), tile, mode="reflect")
    for seed in range(20):
        image = torch.randn(height, width, generator=seeded(seed))
        sampled, targets = augment(image, planes, tile, seeded(seed), **still(flip=flip))
        index = (targets[0] * width + targets[1]).numpy().astype(int)
        rows, columns = targets[0, :, 0].numpy(), targets[1, 0].numpy()
        assert (targets[0] == targets[0, :, :1]).all() and (targets[1] == targets[1, :1]).all()
        # Where in the mirrored image do these rows and columns stand?
        long_rows, long_columns = mirrored[:, tile] // width, mirrored[tile] % width
        top = next(t for t in range(height + tile + 1) if (long_rows[t : t + tile] == rows).all())
        options = [columns, columns[::-1]]
        found = [
            (left, k) for k, c in enumerate(options) for left in range(width + tile + 1)
            if (long_columns[left : left + tile] == c).all()
        ]  # fmt: skip
        left, reverse = found[0]
        crop = mirrored[top : top + tile, left : left + tile]
        np.testing.assert_array_equal(index, crop[:, ::-1] if reverse else crop)
        assert flip or not reverse
        # The image is that crop up to the fraction of a pixel, by linear interpolation.
        ramp = augment(planes[0], planes, tile, seeded(seed), **still(flip=flip))[0]
        slope = augment(planes[1], planes, tile, seeded(seed), **still(flip=flip))[0]
        wanted = ndimage.map_coordinates(image.double().numpy(), [ramp.numpy(), slope.numpy()], order=1)
        inside = (
            (ramp > 1) & (ramp < height - 2) & (slope > 1) & (slope < width - 2)
        )  # a ramp's own turning points blur
        np.testing.assert_allclose(sampled[inside].numpy(), wanted[inside.numpy()], atol=1e-3)


def test_the_tiles_centre_is_anywhere_in_the_image():
    rows, columns = ramps(101, 51)
    centres = []
    for seed in range(400):
        y, x = (augment(image, ramps(101, 51), 3, seeded(seed), **still())[0][1, 1].item() for image in (rows, columns))
        centres.append((y / 100, x / 50))
    for axis in zip(*centres, strict=True):
        assert stats.kstest(axis, "uniform").pvalue > 0.01
    assert abs(np.corrcoef(*zip(*centres, strict=True))[0, 1]) < 0.15


def angles_and_hands(samples: int, **options) -> tuple[list[float], list[float]]:
    """Angles in turns, and handedness (+1 or -1), of undeformed samples, from the slopes of the ramps."""
    planes, angles, hands = ramps(400, 400), [], []
    for seed in range(samples):
        y, x = (augment(image, planes, 3, seeded(seed), **still(**options))[0] for image in planes)
        if min(y.min(), x.min()) < 3 or max(y.max(), x.max()) > 396:
            continue  # folded at the edge
        a, b = (y[2, 1] - y[0, 1]).item() / 2, (x[2, 1] - x[0, 1]).item() / 2
        c, d = (y[1, 2] - y[1, 0]).item() / 2, (x[1, 2] - x[1, 0]).item() / 2
        assert math.hypot(a, b) == pytest.approx(1, abs=1e-3) and math.hypot(c, d) == pytest.approx(1, abs=1e-3)
        assert a * c + b * d == pytest.approx(0, abs=1e-3)  # neither shear nor scale
        angles.append(math.atan2(b, a) / (2 * math.pi) % 1)
        hands.append(a * d - b * c)
    assert len(angles) > 0.9 * samples
    return angles, hands


def test_the_angle_of_rotation_is_uniform_and_nothing_is_mirrored():
    angles, hands = angles_and_hands(300, rotate=True)
    assert stats.kstest(angles, "uniform").pvalue > 0.01
    assert min(hands) > 0.99


def test_without_rotation_the_angle_is_zero():
    assert all(math.sin(math.pi * angle) == pytest.approx(0, abs=1e-3) for angle in angles_and_hands(20)[0])


def test_zoom_enlarges_by_a_factor_whose_logarithm_is_uniform_and_turns_and_shifts_nothing():
    planes, logarithms = ramps(400, 400), []
    for seed in range(300):
        plain = [augment(image, planes, 3, seeded(seed), **still())[0] for image in planes]
        zoomed = [augment(image, planes, 3, seeded(seed), **still(zoom=1.5))[0] for image in planes]
        if min(each.min() for each in plain) < 3 or max(each.max() for each in plain) > 396:
            continue  # folded at the edge
        slopes = [image.diff(dim=axis) for axis, image in enumerate(zoomed)]
        factor = 1 / slopes[0][0, 0].item()
        for axis, (before, after) in enumerate(zip(plain, zoomed, strict=True)):
            torch.testing.assert_close(after[1, 1], before[1, 1], atol=1e-3, rtol=0)
            torch.testing.assert_close(slopes[axis], torch.full_like(slopes[axis], 1 / factor), atol=1e-3, rtol=0)
        logarithms.append(math.log(factor) / math.log(1.5))
    assert len(logarithms) > 250
    assert stats.kstest(logarithms, "uniform", args=(-1, 2)).pvalue > 0.01


def test_flips_mirror_half_of_the_samples():
    _, hands = angles_and_hands(300, rotate=True, flip=True)
    assert 0.4 < np.mean([hand < 0 for hand in hands]) < 0.6


def test_the_elastic_deformation_is_a_smooth_field_for_the_rows_and_another_for_the_columns():
    """Two samples that differ in the deformation alone are apart by a smooth field of the asked size."""
    planes, spread = ramps(1500, 1500), []
    for seed in range(60):
        fields = []
        for image in planes:
            plain, bent = (augment(image, planes[:1], 61, seeded(seed), **still(elastic=std))[0] for std in (0.0, 4.0))
            if 80 < plain.min() and plain.max() < 1419:
                fields.append((bent - plain).numpy())
        if len(fields) == 2:
            for field in fields:
                np.testing.assert_allclose(field, cubic_convolution(field[::30, ::30], 61), atol=5e-3)
            spread.append([field[::30, ::30].ravel() for field in fields])
    assert len(spread) > 40
    dy, dx = np.moveaxis(spread, 1, 0)
    assert dy.std() == pytest.approx(4.0, rel=0.12) and dx.std() == pytest.approx(4.0, rel=0.12)
    assert abs(np.corrcoef(dy.ravel(), dx.ravel())[0, 1]) < 0.15


def test_displacements_are_proportional_to_their_standard_deviation_however_small():
    small, large = (draw(seeded(0), elastic=std).grid for std in (0.5, 10.0))
    torch.testing.assert_close(20 * small, large)
    assert draw(seeded(0), elastic=0.0).grid is None


def test_without_grey_variation_no_grey_value_is_made_up():
    image = torch.randn(50, 50, generator=seeded(0))
    sampled, _ = augment(image, ramps(50, 50), 188, seeded(0), grey=0.0)
    assert image.min() <= sampled.min() and sampled.max() <= image.max()
    constant, _ = augment(torch.full((50, 50), 0.7), ramps(50, 50), 188, seeded(0), grey=0.0)
    torch.testing.assert_close(constant, torch.full((188, 188), 0.7))


def test_grey_variation_is_a_contrast_about_the_tiles_mean_and_a_brightness_within_g():
    image, labels, g = torch.randn(50, 50, generator=seeded(0)), ramps(50, 50), 0.3
    contrasts, shifts = [], []
    for seed in range(200):
        plain, before = augment(image, labels, 20, seeded(seed), elastic=0.0, grey=0.0, halo=0)
        varied, after = augment(image, labels, 20, seeded(seed), elastic=0.0, grey=g, halo=0)
        assert torch.equal(before, after)
        contrast, offset = np.polyfit(plain.flatten().double(), varied.flatten().double(), 1)
        np.testing.assert_allclose(varied, contrast * plain + offset, atol=1e-5)
        contrasts.append(contrast - 1)
        shifts.append((varied.mean() - plain.mean()).item())
    for values in (contrasts, shifts):
        assert stats.kstest(values, "uniform", args=(-g, 2 * g)).pvalue > 0.01
    assert abs(np.corrcoef(contrasts, shifts)[0, 1]) < 0.2


def test_the_labels_are_the_centre_of_what_they_would_be_without_halo():
    image, labels = torch.randn(60, 60), ramps(60, 60)
    whole_image, whole = augment(image, labels, 204, seeded(7), halo=0)
    same_image, centre = augment(image, labels, 204, seeded(7))
    assert torch.equal(whole_image, same_image)
    assert torch.equal(centre, whole[:, 92:-92, 92:-92])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image": torch.zeros(1, 1, 9, 9)}, "do not fit"), ({"labels": torch.zeros(9, 9)}, "do not fit"),
        ({"labels": torch.zeros(1, 9, 8)}, "do not fit"), ({"tile": 184}, "184 px leaves nothing"),
        ({"grey": 1.0}, "grey must be in"), ({"grey": -0.1}, "grey must be in"),
        ({"grey": math.nan}, "grey must be in"),
        ({"elastic": -1.0}, "elastic must be"), ({"elastic": math.nan}, "elastic must be"),
        ({"zoom": 0.9}, "zoom must be"), ({"zoom": math.inf}, "zoom must be"),
        ({"tile": 1, "halo": 0}, "at least 2 px"),
        ({"image": torch.zeros(1, 9), "labels": torch.zeros(1, 1, 9)}, "do not fit"),
    ],
)  # fmt: skip
def test_what_cannot_be_augmented_is_refused(options, message):
    given = {"image": torch.zeros(9, 9), "labels": torch.zeros(1, 9, 9), "tile": 188, "generator": seeded(0)}
    with pytest.raises(ValueError, match=message):
        augment(**given | options)


# --- normalisation ----------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64, bool])
def test_a_normalised_image_has_mean_0_and_standard_deviation_1(dtype):
    image = (np.random.default_rng(0).random((40, 30)) * 200 + 20).astype(dtype)
    if dtype is bool:
        image[::3] = False
    values = normalise(image)
    assert values.dtype == torch.float32
    exact = image.astype(float)
    np.testing.assert_allclose(values, (exact - exact.mean()) / exact.std(), atol=1e-5)


def test_scale_and_offset_of_the_grey_values_do_not_matter():
    image = np.random.default_rng(0).random((40, 30))
    np.testing.assert_allclose(normalise(image), normalise(7 * image + 100), atol=1e-4)
    np.testing.assert_allclose(normalise(image[::2, ::-1]), normalise(image[::2, ::-1].copy()), atol=1e-6)


@pytest.mark.parametrize("how", ["standard", "percentiles"])
def test_each_channel_is_normalised_as_if_alone(how):
    image = np.random.default_rng(0).integers(0, 200, (40, 30, 3)).astype(np.uint16) * np.array([1, 7, 100], np.uint16)
    values = normalise(image, how)
    assert values.shape == (3, 40, 30) and values.is_contiguous()
    for channel in range(3):
        np.testing.assert_allclose(values[channel], normalise(image[..., channel], how), atol=1e-5)
    image[..., 1] = 9
    assert (normalise(image, how)[1] == (0 if how == "standard" else -1)).all()  # an empty channel


def test_percentiles_become_minus_1_and_1_whatever_a_few_pixels_are():
    image = np.random.default_rng(0).normal(100, 10, (200, 200))
    values = normalise(image, "percentiles")
    for share, level in zip(PERCENTILES, (-1, 1), strict=True):
        assert np.percentile(values, share) == pytest.approx(level, abs=1e-4)
    outlier = image.copy()
    outlier[0, :5] = 1e5
    assert (normalise(outlier, "percentiles")[1:] - values[1:]).abs().max() < 0.02
    np.testing.assert_allclose(normalise(5 * image - 300, "percentiles"), values, atol=1e-4)
    few = np.zeros((100, 100), np.uint8)
    few[3, 3:5] = 100, 200  # so few that both percentiles are the ground
    assert normalise(few, "percentiles")[3, 2:6].tolist() == [-1, 0, 1, -1]


def test_percentiles_of_a_large_image_are_those_of_a_regular_grid(monkeypatch):
    image = np.random.default_rng(0).integers(0, 4096, (90, 130), dtype=np.uint16)
    monkeypatch.setattr(augmentation, "MOST_SAMPLED", 90 * 130 // 9)
    assert limits(image) == pytest.approx(np.percentile(image[::3, ::3], PERCENTILES))


def test_channels_are_warped_alike_and_each_as_if_alone():
    rng = np.random.default_rng(0)
    image, labels = torch.from_numpy(rng.normal(size=(2, 300, 260)).astype(np.float32)), torch.zeros(1, 300, 260)
    tiles, _ = augment(image, labels, 204, torch.Generator().manual_seed(3), flip=True, grey=0.3)
    assert tiles.shape == (2, 204, 204)
    for channel in (0, 1):
        alone, _ = augment(image[channel], labels, 204, torch.Generator().manual_seed(3), flip=True, grey=0.3)
        np.testing.assert_allclose(tiles[channel], alone, atol=1e-5)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((2, 3, 4, 4)), "must be"), (np.zeros(4), "must be"), (np.zeros((4, 4), complex), "must be"),
        (np.array([["a", "b"]]), "must be"), (np.full((4, 4), 7), "is constant"),
        (np.full((4, 4, 3), [1, 2, 3]), "is constant"),
        (np.array([[0, 1], [2, math.nan]]), "NaN or infinite"), (np.array([[0, 1],
        [2, math.inf]]), "NaN or infinite"),
        (np.zeros((0, 4)), "must be"),
    ],
)  # fmt: skip
def test_what_is_no_grey_image_is_refused(image, message):
    with pytest.raises(ValueError, match=message):
        normalise(image)
