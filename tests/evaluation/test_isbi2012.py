"""The ISBI 2012 metrics: golden values, small cases, a slow reference, properties, errors."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numba
import numpy as np
import plain_metrics as plain
import pytest
from scipy import ndimage

from reprolib.evaluation import isbi2012, loops
from reprolib.evaluation.metric import ISBI2012

GOLDENS = Path(__file__).parents[1] / "goldens" / "isbi2012_metrics"
EXPECTED = json.loads((GOLDENS / "expected.json").read_text())
FIVE = [metric.key for metric in ISBI2012]
COUNTS = ("splits", "mergers")


def picture(text: str) -> np.ndarray:
    """(H, W) array of the characters of a drawing."""
    return np.array([list(line) for line in text.split()])


def random_stack(seed, levels=8, depth=2, shape=(14, 17)):
    """Labels and a proposal like them, with few distinct probabilities: many ties, many values on t."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(depth, *shape)), (0, 1.2, 1.2))
    labels = (smooth > np.quantile(smooth, 0.45)).astype(np.uint8)
    labels[:, 0, 0], labels[:, -1, -1] = 0, 1
    noisy = np.clip(0.5 + smooth + rng.normal(scale=0.4, size=smooth.shape), 0, 1)
    return labels, (np.round(noisy * levels) / levels).astype(np.float32)


def rows_of(results):
    """The five metrics' rows of one threshold, merged."""
    return [
        {k: v for row in rows for k, v in row.items()} for rows in zip(*(r.rows for r in results.values()), strict=True)
    ]


def assert_rows_agree(ours, theirs):
    for key, value in theirs.items():
        if key in COUNTS or key == "threshold":
            assert ours[key] == value, key
        else:
            assert ours[key] == pytest.approx(value, rel=0, abs=1e-9), key


# --- what the challenge's program gives


def test_thresholds_accumulate_in_double():
    assert isbi2012.THRESHOLDS[3] == 0.30000000000000004
    assert isbi2012.THRESHOLDS[8:] == (0.7999999999999999, 0.8999999999999999)
    assert len(isbi2012.THRESHOLDS) == 10


def test_the_goldens_are_sixteen_cases_of_ten_thresholds():
    assert len(EXPECTED) == 16 and all(len(case["thresholds"]) == 10 for case in EXPECTED.values())


@pytest.mark.parametrize("case", sorted(EXPECTED))
def test_every_row_equals_the_golden(case):
    with np.load(GOLDENS / f"{case}.npz") as stack:
        results = isbi2012.evaluate_stack(stack["labels"], stack["probability"])
    for ours, theirs in zip(rows_of(results), EXPECTED[case]["thresholds"], strict=True):
        assert_rows_agree(ours, theirs)
    assert set(EXPECTED[case]["best"]) == set(FIVE)
    for name, best in EXPECTED[case]["best"].items():
        assert results[name].score == pytest.approx(best, rel=0, abs=1e-9)


def test_order_key_and_comparison_are_those_of_the_program():
    labels = picture("..##### ##..##. .###.## ##.##.# .#.#.## ##..#.#") == "#"
    tenths = picture("3430612 7235X25 19XX3X9 5367177 5368368 6983966")
    probability = np.array([[10 if c == "X" else int(c) for c in line] for line in tenths]) / 10
    probability = probability.astype(np.float32)
    threshold = isbi2012.THRESHOLDS[3]
    row = isbi2012.warping_error(labels, probability, (threshold,)).rows[0]
    assert (row["mismatches"], row["splits"], row["mergers"]) == (11, 4, 7)
    wanted = picture("#m#s#ss #smm#.# .###m## ####.## ####m## ###m#m#")
    warped = isbi2012.warp_slice(labels, probability, threshold)
    drawn = np.where(warped.labels, "#", ".")
    drawn[warped.kinds == loops.KINDS.index("split")] = "s"
    drawn[warped.kinds == loops.KINDS.index("merger")] = "m"
    assert (drawn == wanted).all()


@pytest.mark.parametrize(
    ("shape", "corner", "sides", "splits"),
    [
        ((60, 60), (10, 10), (21, 21), 0),  # the ring closes inside the window
        ((60, 60), (10, 10), (22, 22), 1),  # it closes one pixel outside
        ((19, 70), (3, 5), (10, 50), 0),  # radius > height: the whole slice is the window
        ((20, 70), (3, 5), (10, 50), 1),  # radius = height: a window again
    ],
)
def test_a_cut_ring_is_a_split_unless_it_closes_within_twenty_pixels(shape, corner, sides, splits):
    (top, left), (height, width) = corner, sides
    ring = np.zeros(shape, bool)
    ring[top : top + height, left : left + width] = True
    ring[top + 1 : top + height - 1, left + 1 : left + width - 1] = False
    probability = ring.astype(np.float32)
    probability[top, left + width // 2] = 0
    row = isbi2012.warping_error(ring, probability, (0.5,)).rows[0]
    assert (row["mismatches"], row["splits"], row["mergers"]) == (1, splits, 0)


def test_thinning_starts_in_column_order():
    foreground = picture("........ ........ .......# ......#. .....#.. ...#....") == "#"
    wanted = picture("aaaa.ddd aaaa.ddd aaaaa..d aaaaa.c. aaaa.b.. aaaaa...")
    regions = isbi2012.thin(foreground)
    assert ((regions == 0) == (wanted == ".")).all()
    assert len(set(zip(regions.ravel().tolist(), wanted.ravel().tolist(), strict=True))) == 5
    assert (regions == 0).sum() == 12


def test_a_slice_that_is_all_cell_counts_no_split():
    drawn = picture("##...... #....... ......#. ........ ........ ..#....# ........")
    probability = (drawn == "#").astype(np.float32)
    labels = np.full(drawn.shape, 255, np.uint8)
    row = isbi2012.warping_error(labels, probability, (0.5,)).rows[0]
    assert (row["mismatches"], row["splits"], row["mergers"]) == (14, 0, 0)
    kinds = isbi2012.warp_slice(labels, probability, 0.5).kinds
    assert (kinds == loops.KINDS.index("split")).sum() == 14


# --- against the slow reference


@pytest.mark.parametrize("levels", [2, 8, 10, 255])
@pytest.mark.parametrize("seed", range(3))
def test_rounded_probabilities_agree_with_the_slow_reference(levels, seed):
    labels, probability = random_stack(seed, levels)
    thresholds = (isbi2012.THRESHOLDS[3], 0.5, isbi2012.THRESHOLDS[8])
    for ours, threshold in zip(
        rows_of(isbi2012.evaluate_stack(labels, probability, thresholds)), thresholds, strict=True
    ):
        assert_rows_agree(ours, plain.row(labels, probability, threshold))


@pytest.mark.parametrize("shape", [(2, 2), (2, 30), (19, 24), (20, 19), (23, 45)])
def test_small_and_windowed_slices_agree_with_the_slow_reference(shape):
    rng = np.random.default_rng(shape)
    labels = rng.integers(0, 2, (1, *shape)).astype(bool)
    labels[0, 0, :2] = False, True
    probability = (rng.integers(0, 5, labels.shape) / 4).astype(np.float32)
    ours = rows_of(isbi2012.evaluate_stack(labels, probability, (0.25,)))[0]
    assert_rows_agree(ours, plain.row(labels, probability, 0.25))


def test_outlines_of_all_sizes_agree_with_the_slow_reference():
    # Rectangles' outlines, 12 to 33 pixels wide, with gaps: the local test decides, and its radius matters.
    radii = {10: 0, 19: 0, 21: 0, 99: 0}
    for seed in range(6):
        rng = np.random.default_rng(seed)
        labels = np.zeros((70, 70), bool)
        for _ in range(3):
            top, left, height, width = *rng.integers(0, 35, 2), *rng.integers(12, 34, 2)
            outline = np.pad(np.zeros((height - 2, width - 2), bool), 1, constant_values=True)
            labels[top : top + height, left : left + width] |= outline
        probability = (labels & (rng.random(labels.shape) > 0.05)).astype(np.float32)
        kinds = isbi2012.warp_slice(labels, probability, 0.5).kinds
        work, theirs = plain.warping(plain.pixels_of(labels), probability, 0.5)
        assert {(x, y): loops.KINDS[kinds[y, x]] for y, x in np.argwhere(kinds).tolist()} == theirs
        owner = plain.owner_of(plain.components(work))
        for radius in radii:
            others = {p: plain.kind(p, work, owner, *labels.shape, radius=radius) for p in theirs}
            radii[radius] += others != theirs
    assert all(radii.values())  # no other radius would have passed


@pytest.mark.parametrize("seed", range(3))
def test_every_kind_and_every_warped_pixel_agrees_with_the_slow_reference(seed):
    rng = np.random.default_rng(seed)
    labels = rng.random((18, 19)) > 0.4
    probability = (rng.integers(0, 4, labels.shape) / 3).astype(np.float32)
    warped = isbi2012.warp_slice(labels, probability, 0.5)
    work, theirs = plain.warping(plain.pixels_of(labels), probability, 0.5)
    assert plain.pixels_of(warped.labels) == work
    named = {(x, y): loops.KINDS[warped.kinds[y, x]] for y, x in np.argwhere(warped.kinds).tolist()}
    assert named == theirs


@pytest.mark.parametrize("seed", range(5))
def test_thinned_regions_agree_with_the_slow_reference(seed):
    foreground = np.random.default_rng(seed).random((13, 16)) < 0.05 * (seed + 1)
    regions, theirs = isbi2012.thin(foreground), plain.thinned(plain.pixels_of(foreground), 13, 16)
    pairs = {(regions[y, x], number) for (x, y), number in theirs.items()}
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    assert all((a == 0) == (b == 0) for a, b in pairs)


# --- properties


@pytest.mark.parametrize("seed", range(3))
def test_a_perfect_proposal_gives_no_error_and_full_rand(seed):
    labels, _ = random_stack(seed)
    results = isbi2012.evaluate_stack(labels, labels.astype(np.float32))
    assert [results[name].score for name in ("warping_error", "rand_error", "pixel_error")] == [0, 0, 0]
    # Thinning widens regions only into membrane, so the pairs within the true cells stay as they are.
    assert all(ndimage.label(one)[1] > 1 for one in labels)
    assert results["v_rand"].score == 1
    assert results["v_info"].score == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("proposal", "error"),
    [
        ([[1, 1, 0, 0], [0, 0, 0, 0]], 0.0),
        ([[0, 0, 0, 0], [0, 0, 0, 0]], 1.0),  # nothing proposed
        ([[0, 0, 1, 1], [0, 0, 0, 0]], 1.0),  # proposed without one hit
        ([[1, 1, 1, 1], [1, 1, 1, 1]], 0.6),  # all proposed: precision 1/4, recall 1, F 0.4
        ([[1, 0, 1, 0], [0, 0, 0, 0]], 0.5),  # precision and recall 1/2
    ],
)
def test_the_pixel_error_is_one_minus_f_and_one_without_a_hit(proposal, error):
    labels = np.array([[1, 1, 0, 0], [0, 0, 0, 0]])
    proposal = np.array(proposal)
    result = isbi2012.pixel_error(labels, proposal.astype(np.float32), (0.5,))
    (row,) = result.rows
    assert result.score == pytest.approx(error)
    names = ("true_positives", "false_positives", "false_negatives", "true_negatives")
    pairs = list(zip(labels.ravel(), proposal.ravel(), strict=True))
    assert [row[name] for name in names] == [pairs.count(pair) for pair in ((1, 1), (0, 1), (1, 0), (0, 0))]
    assert row["pixel_misclassified"] == np.mean(labels != proposal)


def test_labels_of_0_and_1_or_255_or_bool_are_the_same():
    labels, probability = random_stack(5)
    base = rows_of(isbi2012.evaluate_stack(labels, probability))
    for other in (labels * 255, labels.astype(bool), labels.astype(np.int64)):
        assert rows_of(isbi2012.evaluate_stack(other, probability)) == base


def test_one_slice_equals_a_stack_of_one():
    labels, probability = random_stack(6, depth=1)
    assert rows_of(isbi2012.evaluate_stack(labels[0], probability[0])) == rows_of(
        isbi2012.evaluate_stack(labels, probability)
    )


def test_each_function_gives_what_evaluate_stack_gives():
    labels, probability = random_stack(7)
    together = isbi2012.evaluate_stack(labels, probability)
    assert list(together) == FIVE
    for name, result in together.items():
        alone = getattr(isbi2012, name)(labels, probability)
        assert (alone.score, alone.threshold, alone.rows) == (result.score, result.threshold, result.rows)
        assert (alone.per_slice == result.per_slice).all()


def test_the_score_is_the_best_row_and_its_lowest_threshold():
    labels, probability = random_stack(8)
    results = isbi2012.evaluate_stack(labels, probability)
    for name, entry in (("v_rand", "v_rand_thin"), ("rand_error", "rand_f"), ("pixel_error", "pixel_f")):
        values = [row[entry] for row in results[name].rows]
        best = max(values)
        assert results[name].score == (best if name == "v_rand" else 1 - best)
        assert results[name].threshold == isbi2012.THRESHOLDS[values.index(best)]
    shares = [row["warping_splits_mergers"] for row in results["warping_error"].rows]
    assert results["warping_error"].score == min(shares)
    assert results["warping_error"].threshold == isbi2012.THRESHOLDS[shares.index(min(shares))]


def test_a_slice_alone_gives_its_column_of_per_slice():
    labels, probability = random_stack(9, depth=3)
    together = isbi2012.evaluate_stack(labels, probability)
    for d in range(3):
        for name, result in isbi2012.evaluate_stack(labels[d], probability[d]).items():
            assert together[name].per_slice.shape == (10, 3)
            assert together[name].per_slice[:, d] == pytest.approx(result.per_slice[:, 0], abs=1e-12)
            scores = result.per_slice[:, 0]
            assert result.score == pytest.approx(scores.max() if name.startswith("v_") else scores.min(), abs=1e-12)


def test_the_mean_of_v_rand_weighs_slices_equally():
    labels, probability = random_stack(10, depth=4)
    result = isbi2012.v_rand(labels, probability)
    means = result.per_slice.mean(axis=1)
    assert [row["v_rand_thin"] for row in result.rows] == pytest.approx(means.tolist(), abs=1e-12)


def test_a_shifted_membrane_is_no_topological_error():
    cells = np.ones((30, 40), bool)
    cells[:, 18:21] = False
    moved = np.roll(cells, 3, axis=1)
    results = isbi2012.evaluate_stack(cells, moved.astype(np.float32))
    assert results["warping_error"].rows[5]["mismatches"] == 0
    assert results["pixel_error"].score > 0.05


@pytest.mark.parametrize("seed", range(3))
def test_one_wrong_pixel_is_warped_away_if_and_only_if_it_is_simple(seed):
    labels, _ = random_stack(seed, depth=1)
    height, width = labels.shape[1:]
    places = [(x, y) for y in range(height) for x in range(width)]
    proposals = np.repeat(labels, len(places), axis=0).astype(np.float32)
    for n, (x, y) in enumerate(places):
        proposals[n, y, x] = 1 - proposals[n, y, x]
    cells = plain.pixels_of(labels[0])
    simple = np.array([plain.is_simple(place, cells) for place in places])
    left = [isbi2012.warp_slice(labels[0], proposal, 0.5).kinds for proposal in proposals]
    assert [np.argwhere(kinds)[:, ::-1].tolist() for kinds in left] == [
        [] if easy else [list(place)] for easy, place in zip(simple, places, strict=True)
    ]
    assert simple.any() and not simple.all()


@pytest.mark.parametrize("seed", range(4))
def test_warping_keeps_the_number_of_cells_and_of_membranes(seed):
    labels, probability = random_stack(seed, depth=1)

    def numbers(cells):
        return ndimage.label(cells)[1], ndimage.label(~np.pad(cells, 1), np.ones((3, 3)))[1]

    for threshold in isbi2012.THRESHOLDS:
        warped = isbi2012.warp_slice(labels[0], probability[0], threshold)
        assert numbers(warped.labels) == numbers(labels[0] > 0)
        differs = warped.labels != (probability[0].astype(np.float64) > threshold)
        assert ((warped.kinds > 0) == differs).all()


def test_regions_never_share_an_edge_and_hold_one_component_each():
    foreground = np.random.default_rng(0).random((60, 60)) < 0.1
    regions = isbi2012.thin(foreground)
    for a, b in ((regions[1:], regions[:-1]), (regions[:, 1:], regions[:, :-1])):
        assert ((a == b) | (a == 0) | (b == 0)).all()
    components, count = ndimage.label(foreground)
    assert set(zip(components[foreground].tolist(), regions[foreground].tolist(), strict=True)) == {
        (n, n) for n in range(1, count + 1)
    }
    assert all(ndimage.label(regions == n)[1] == 1 for n in range(1, count + 1))


@pytest.mark.parametrize("value", [False, True])
def test_a_slice_of_one_kind_is_one_region(value):
    assert (isbi2012.thin(np.full((4, 5), value)) == 1).all()


def test_the_inputs_are_left_as_they_are():
    labels, probability = random_stack(11)
    before = labels.copy(), probability.copy()
    labels.flags.writeable = probability.flags.writeable = False
    isbi2012.evaluate_stack(labels, probability, (0.5,))
    assert (labels == before[0]).all() and (probability == before[1]).all()


def test_memory_layout_does_not_matter():
    labels, probability = random_stack(12)
    turned = np.asfortranarray(labels), np.asfortranarray(probability)
    assert rows_of(isbi2012.evaluate_stack(*turned)) == rows_of(isbi2012.evaluate_stack(labels, probability))


def test_a_slice_without_cells_counts_as_zero_in_v_rand_and_v_info():
    labels, probability = random_stack(13)
    labels[1] = 0
    for function in (isbi2012.v_rand, isbi2012.v_info):
        result = function(labels, probability)
        assert (result.per_slice[:, 1] == 0).all() and result.per_slice[:, 0].max() > 0
    assert not math.isnan(isbi2012.warping_error(labels, probability).score)
    assert not math.isnan(isbi2012.pixel_error(labels, probability).score)


# --- errors

GOOD = random_stack(0)


def changed(array, value):
    array = array.copy()
    array[0, 1, 1] = value
    return array


@pytest.mark.parametrize(
    ("labels", "probability", "thresholds", "message"),
    [
        (GOOD[0][:1], GOOD[1], (0.5,), "differ in shape"),
        (GOOD[0][0], GOOD[1], (0.5,), "differ in shape"),
        (GOOD[0], changed(GOOD[1], np.nan), (0.5,), "NaN"),
        (GOOD[0], changed(GOOD[1], 1.5), (0.5,), r"in \[0, 1\], but runs from 0 to 1.5"),
        (GOOD[0], changed(GOOD[1], -0.1), (0.5,), "runs from -0.1 to 1"),
        (GOOD[0], changed(GOOD[1], np.inf), (0.5,), "to inf"),
        (GOOD[0], GOOD[1].astype(np.float64), (0.5,), "float32 array, not float64"),
        (GOOD[0], (GOOD[1] * 255).astype(np.uint8), (0.5,), "float32 array, not uint8"),
        (GOOD[0], GOOD[1].tolist(), (0.5,), "float32 array, not <class 'list'>"),
        (GOOD[0].astype(np.float32), GOOD[1], (0.5,), "bool or integer array, not float32"),
        (changed(GOOD[0], 2), GOOD[1], (0.5,), "and no other value"),
        (changed(GOOD[0], 255), GOOD[1], (0.5,), "and no other value"),
        (changed(GOOD[0].astype(np.int16), -1), GOOD[1], (0.5,), "and no other value"),
        (GOOD[0][:, :1], GOOD[1][:, :1], (0.5,), "H, W >= 2"),
        (GOOD[0][:0], GOOD[1][:0], (0.5,), "H, W >= 2"),
        (GOOD[0][None], GOOD[1][None], (0.5,), "H, W >= 2"),
        (GOOD[0], GOOD[1], (), "one or more numbers"),
        (GOOD[0], GOOD[1], (0.5, 1.1), "one or more numbers"),
        (GOOD[0], GOOD[1], (math.nan,), "one or more numbers"),
        (GOOD[0], GOOD[1], ("half",), "one or more numbers"),
        (GOOD[0], GOOD[1], 0.5, "one or more numbers"),
    ],
)
@pytest.mark.parametrize("name", ["evaluate_stack", *FIVE])
def test_bad_input_is_refused_in_one_sentence(name, labels, probability, thresholds, message):
    with pytest.raises(ValueError, match=message) as error:
        getattr(isbi2012, name)(labels, probability, thresholds)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("function", [isbi2012.rand_error, isbi2012.evaluate_stack])
def test_a_slice_without_cells_has_no_rand_index(function):
    labels = GOOD[0].copy()
    labels[1] = 0
    with pytest.raises(ValueError, match="slice 1 hold no cell"):
        function(labels, GOOD[1])


def test_warp_slice_takes_one_slice():
    with pytest.raises(ValueError, match="one slice"):
        isbi2012.warp_slice(*GOOD, 0.5)


@pytest.mark.parametrize("foreground", [GOOD[0][0], GOOD[0] > 0, [[True]]])
def test_thin_takes_a_bool_slice(foreground):
    with pytest.raises(ValueError, match="bool array"):
        isbi2012.thin(foreground)


def test_compiles_where_no_folder_can_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")  # a file where Numba is told to make its only cache folder
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(numba.config, "CACHE_LOCATOR_CLASSES", "UserProvidedCacheLocator")

    def one_more(x):
        return x + 1

    with pytest.raises(RuntimeError):
        numba.njit(cache=True)(one_more)
    assert loops._compiled(one_more)(1) == 2
