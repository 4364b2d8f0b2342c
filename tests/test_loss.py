"""The energy against brute force: Eq. 2 pixel by pixel, Eq. 1 in loops, separation in a double loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from reprolib.loss import (
    IGNORE,
    class_frequency_weights,
    separate,
    two_nearest_cells,
    weight_map,
    weighted_cross_entropy,
)


def random_labels(seed: int, cells: int, sides: tuple[int, int] = (23, 31)) -> np.ndarray:
    """Discs of instance labels anywhere, also across the image's edge."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(sides)
    labels = np.zeros(sides, np.int32)
    for label in rng.permutation(cells) + 1:
        centre, radius = rng.uniform(0, sides), rng.uniform(2, 5)
        labels[(y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2] = label
    return labels


def distance_to(mask: np.ndarray) -> np.ndarray:
    """Distance of each pixel to the nearest true pixel, by measuring all of them."""
    y, x = np.indices(mask.shape)
    points = np.argwhere(mask)
    return np.sqrt((y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2).min(axis=-1)


def equation_2(labels: np.ndarray, w_background: float, w_cell: float, w0: float, sigma: float) -> np.ndarray:
    """Eq. 2 with one distance transform of the whole image per cell, sorted."""
    weights = np.where(labels > 0, w_cell, w_background).astype(float)
    names = [label for label in np.unique(labels) if label]
    if len(names) >= 2:
        d1, d2 = np.sort([distance_to(labels == label) for label in names], axis=0)[:2]
        weights += np.where(labels == 0, w0 * np.exp(-((d1 + d2) ** 2) / (2 * sigma**2)), 0)
    return weights


@pytest.mark.parametrize("cells", [0, 1, 2, 3, 9])
@pytest.mark.parametrize(("sigma", "w0"), [(0.7, 10.0), (2.0, 10.0), (5.0, 10.0), (5.0, 0.5)])
def test_the_weight_map_equals_brute_force(cells, sigma, w0):
    for seed in range(4):
        labels = separate(random_labels(seed, cells))
        found = weight_map(labels, class_weights=(1.5, 0.25), w0=w0, sigma=sigma)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, equation_2(labels, 1.5, 0.25, w0, sigma), atol=1e-5, rtol=0)


def test_the_weight_map_equals_brute_force_where_the_image_is_wider_than_the_reach():
    labels = np.zeros((3, 400), np.int32)
    for label, column in enumerate((0, 9, 200, 212, 399), start=1):
        labels[1, column] = label
    np.testing.assert_allclose(weight_map(labels, None), equation_2(labels, 1, 1, 10.0, 5.0), atol=1e-5, rtol=0)


def test_a_gap_of_three_pixels_weighs_what_the_hand_computes():
    labels = np.array([[1, 1, 0, 0, 0, 2, 2, 0]])
    # In the gap d1 + d2 is 1 + 3, 2 + 2, 3 + 1; to the right of cell 2 it is 1 + 6.
    # With sigma 5 that makes exp(-16/50) and exp(-49/50).
    gap, right = 1 + 10 * math.exp(-0.32), 1 + 10 * math.exp(-0.98)
    np.testing.assert_allclose(weight_map(labels, None), [[1, 1, gap, gap, gap, 1, 1, right]], rtol=1e-6)
    # Balanced: 4 of 8 pixels are cell, so both classes weigh 1 and nothing changes.
    np.testing.assert_allclose(weight_map(labels), weight_map(labels, None), rtol=1e-6)


def test_the_two_distances_of_a_row_of_three_cells_are_what_the_eye_reads():
    d1, d2 = two_nearest_cells(np.array([[1, 0, 2, 0, 0, 3]]), reach=100.0)
    assert d1.tolist() == [[0, 1, 0, 1, 1, 0]]
    assert d2.tolist() == [[2, 1, 2, 2, 2, 3]]


def test_a_cell_in_two_pieces_is_one_cell():
    assert weight_map(np.array([[1, 0, 1, 0, 0]]), None).tolist() == [[1, 1, 1, 1, 1]]


def test_label_numbers_do_not_matter():
    labels = separate(random_labels(5, 6))
    renamed = np.where(labels > 0, 250 - 7 * labels, 0)
    np.testing.assert_array_equal(weight_map(labels), weight_map(renamed))
    np.testing.assert_array_equal(weight_map(labels), weight_map(renamed.astype(np.uint8)))


def test_balanced_weights_have_mean_1_and_give_both_classes_the_same_sum():
    labels = random_labels(1, 4)
    weights = weight_map(labels, w0=0).astype(float)
    assert weights.mean() == pytest.approx(1)
    assert weights[labels > 0].sum() == pytest.approx(weights[labels == 0].sum())


def test_ignored_pixels_weigh_nothing_and_do_not_count_in_the_class_frequencies():
    labels = random_labels(2, 5)
    ignore = np.zeros(labels.shape, bool)
    ignore[:, :9] = True
    weights = weight_map(labels, w0=0, ignore=ignore)
    assert not weights[ignore].any()
    np.testing.assert_array_equal(weights[:, 9:], weight_map(labels[:, 9:].copy(), w0=0))


def test_a_cell_in_the_ignored_region_still_draws_its_border():
    labels = np.array([[1, 0, 0, 2]])
    ignore = np.array([[True, False, False, False]])
    np.testing.assert_array_equal(weight_map(labels, None, ignore=ignore)[:, 1:], weight_map(labels, None)[:, 1:])


def separated_by_loops(labels: np.ndarray) -> np.ndarray:
    result = labels.copy()
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            around = labels[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
            if labels[y, x] and any(other not in (0, labels[y, x]) for other in around.flat):
                result[y, x] = 0
    return result


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64, np.uint16])
def test_separation_equals_a_double_loop(dtype):
    rng = np.random.default_rng(0)
    for seed in range(4):
        labels = random_labels(seed, 14).astype(dtype)
        labels[labels == 14] = min(np.iinfo(dtype).max, 2**53)  # the largest label there is, too
        speckle = rng.integers(0, 4, labels.shape).astype(dtype)
        for case in (labels, speckle):
            before = case.copy()
            found = separate(case)
            np.testing.assert_array_equal(found, separated_by_loops(case))
            assert found.dtype == dtype
            np.testing.assert_array_equal(case, before)


def test_after_separation_no_two_cells_are_neighbours_and_nothing_else_changes():
    touched = 0
    for seed in range(6):
        labels = random_labels(seed, 14)
        result = separate(labels)
        kept = result == labels
        assert not result[~kept].any()  # what changed became background
        padded = np.pad(result, 1)
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                other = np.roll(padded, (dy, dx), (0, 1))
                assert not ((padded > 0) & (other > 0) & (padded != other)).any()
        touched += int((~kept).sum())
        np.testing.assert_array_equal(separate(result), result)
    assert touched > 50


def test_touching_cells_end_up_two_pixels_apart():
    assert separate(np.array([[1, 1, 1, 2, 2, 2]])).tolist() == [[1, 1, 0, 0, 2, 2]]
    assert separate(np.array([[1, 1, 0, 2, 2]])).tolist() == [[1, 1, 0, 2, 2]]


def equation_1(logits: np.ndarray, target: np.ndarray, weights: np.ndarray) -> float:
    """Eq. 1 written out: soft-max, log, weighted sum over the annotated pixels, divided by their number."""
    total, count = 0.0, 0
    batch, _, height, width = logits.shape
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                if target[b, y, x] == 255:
                    continue
                exponentials = [math.exp(a) for a in logits[b, :, y, x]]
                total -= weights[b, y, x] * math.log(exponentials[target[b, y, x]] / sum(exponentials))
                count += 1
    return total / count


def batch(classes: int = 2, seed: int = 0):
    rng = np.random.default_rng(seed)
    target = rng.integers(0, classes, (2, 5, 7))
    target[rng.random(target.shape) < 0.2] = IGNORE
    return rng.normal(0, 3, (2, classes, 5, 7)), target, rng.uniform(0, 11, target.shape)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_loss_equals_a_softmax_written_in_loops(classes):
    logits, target, weights = batch(classes)
    found = weighted_cross_entropy(*map(torch.from_numpy, (logits, target, weights)))
    assert found.dtype == torch.float64
    assert float(found) == pytest.approx(equation_1(logits, target, weights), rel=1e-12)


def test_the_gradient_is_w_times_p_minus_1_and_exactly_zero_where_ignored():
    logits, target, weights = map(torch.from_numpy, batch())
    logits.requires_grad_()
    weighted_cross_entropy(logits, target, weights).backward()
    ignored = target == IGNORE
    gradient = logits.grad.movedim(1, -1)
    assert ignored.any() and not gradient[ignored].any()
    assert (gradient[~ignored] != 0).all()
    p = logits.detach().softmax(dim=1).movedim(1, -1)[~ignored]
    one_hot = torch.eye(2, dtype=torch.float64)[target[~ignored]]
    wanted = weights[~ignored][:, None] * (p - one_hot) / (~ignored).sum()
    torch.testing.assert_close(gradient[~ignored], wanted, rtol=1e-10, atol=0)


def test_if_all_is_ignored_loss_and_gradient_are_zero():
    logits = torch.randn(1, 2, 3, 3, requires_grad=True)
    loss = weighted_cross_entropy(logits, torch.full((1, 3, 3), IGNORE), torch.ones(1, 3, 3))
    loss.backward()
    assert loss.item() == 0 and not logits.grad.any()


def test_the_value_at_ignored_pixels_does_not_matter_even_if_huge():
    logits, target, weights = map(torch.from_numpy, batch())
    other = torch.where((target == IGNORE)[:, None], 1e6, logits)
    assert torch.equal(weighted_cross_entropy(logits, target, weights), weighted_cross_entropy(other, target, weights))


def test_huge_logits_stay_finite():
    logits = torch.tensor([1e4, -1e4]).reshape(1, 2, 1, 1)
    loss = weighted_cross_entropy(logits, torch.ones(1, 1, 1, dtype=torch.long), torch.ones(1, 1, 1))
    assert loss.item() == pytest.approx(2e4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_computed_in_single_precision(dtype):
    logits, target, weights = map(torch.from_numpy, batch())
    short = logits.to(dtype)
    found = weighted_cross_entropy(short, target, weights.float())
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(equation_1(short.double().numpy(), target.numpy(), weights.numpy()), rel=1e-5)


@pytest.mark.parametrize(
    "labels",
    [
        np.zeros((3, 3)),
        np.zeros((2, 3, 3), int),
        np.full((2, 2), -1),
        np.zeros((0, 3), int),
        [[0, 1]],
        np.zeros((2, 2), bool),
    ],
)
def test_what_are_no_instance_labels_is_refused(labels):
    for function in (separate, weight_map):
        with pytest.raises(ValueError, match="instance labels"):
            function(labels)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"w0": -1.0}, "w0 must be >= 0"), ({"sigma": 0.0}, "sigma > 0"), ({"sigma": math.nan}, "sigma > 0"),
        ({"w0": math.inf}, "w0"), ({"class_weights": "balance"}, "'balance' is unknown: use 'balanced'"),
        ({"class_weights": (1.0,)}, "two finite numbers"),
        ({"class_weights": (1.0, -1.0)}, "two finite numbers"),
        ({"class_weights": (1.0, math.nan)}, "two finite numbers"),
        ({"ignore": np.zeros((2, 2), bool)}, "shape"),
        ({"ignore": np.zeros((1, 4), int)}, "bool array"),
        ({"ignore": np.ones((1, 4), bool)}, "no annotated pixel"),
    ],
)  # fmt: skip
def test_impossible_parameters_of_the_weight_map_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        weight_map(np.array([[1, 0, 0, 2]]), **options)


@pytest.mark.parametrize("labels", [np.zeros((4, 4), int), np.ones((4, 4), int)])
def test_balanced_weights_need_both_classes(labels):
    with pytest.raises(ValueError, match="needs both classes"):
        weight_map(labels)
    assert (weight_map(labels, (2.0, 3.0)) == (3.0 if labels.any() else 2.0)).all()


def test_shapes_and_classes_that_do_not_fit_are_refused():
    logits, target, weights = map(torch.from_numpy, batch())
    for wrong in (
        (logits[0], target, weights),
        (logits, target[:, 1:], weights),
        (logits, target, weights[..., 1:]),
    ):
        with pytest.raises(ValueError, match="do not fit"):
            weighted_cross_entropy(*wrong)
    for value in (-1, 2, 254):
        target[0, 0, 0] = value
        with pytest.raises(ValueError, match=r"classes must be 0\.\.1, or 255"):
            weighted_cross_entropy(logits, target, weights)


@pytest.mark.parametrize("counts", [(10, 30), (5, 0, 15), (1, 2, 3, 994)])
def test_class_weights_of_any_number_of_classes_balance_their_pixels(counts):
    weights, counts = class_frequency_weights(counts), np.array(counts)
    assert (weights * counts).sum() == pytest.approx(counts.sum())  # the mean over pixels is 1
    shares = (weights * counts)[counts > 0]
    assert shares == pytest.approx(shares[0]) and (weights[counts == 0] == 0).all()
    if len(counts) == 2:
        instances = np.repeat([0, 1], counts)[None]
        assert np.allclose(weight_map(instances, "balanced", w0=0)[0], weights[instances[0]])
