"""The recipe for images of one's own: what it reads off them, what it leaves to the user, that it stays the same."""

from __future__ import annotations

import numpy as np
import pytest

from reprolib.data.dataset import Dataset, blocks
from reprolib.experiment import Experiment
from reprolib.own import recipe as module
from reprolib.own.recipe import longest_side, recipe


def discs(diameter, side=128, count=4):
    """Images with one disc each."""
    y, x = np.mgrid[:side, :side] - side / 2
    labels = np.stack([(np.hypot(y, x) <= diameter / 2).astype(np.int32)] * count)
    images = (labels * 100 + np.arange(side) % 7).astype(np.uint8)
    none = np.zeros(images.shape, bool)
    names = tuple(f"{k}" for k in range(count))
    return Dataset("own-discs", images, labels, none, names, blocks(count, 2), {"images": "0"}, phantom=False)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REPROLIB_CACHE", str(tmp_path))


def test_the_longer_side_of_the_median_object_is_measured():
    assert longest_side(discs(40)) == pytest.approx(40, abs=1)
    assert longest_side(discs(0)) <= 1


@pytest.mark.parametrize(("diameter", "least", "most"), [(20, 1.0, 1.0), (89, 1.0, 1.0), (120, 0.7, 0.78)])
def test_large_objects_are_reduced_until_the_network_sees_them_whole(diameter, least, most):
    chosen = recipe(discs(diameter), 1, {"steps": 10})
    assert least <= chosen.scale <= most and diameter * chosen.scale <= 91


def test_small_images_get_a_tile_that_covers_them_and_large_ones_the_usual():
    assert recipe(discs(20, side=64), 1, {"steps": 10}).tile == 252  # its output of 68 px covers 64
    assert recipe(discs(20, side=512), 1, {"steps": 10}).tile == module.TILE


def test_what_the_user_sets_goes_before_the_recipe():
    fields = {"width": 4, "scale": 0.5, "weights": "full", "fold": 2, "steps": 7}
    chosen = recipe(discs(20), 15, fields).to_dict()
    assert {name: chosen[name] for name in fields} == fields and chosen["data"] == "own-discs"


def test_steps_are_what_the_time_allows_and_stay_the_same_at_the_next_start(monkeypatch):
    monkeypatch.setattr(module, "seconds_a_step", lambda *_: 0.1)
    first = recipe(discs(20), 2, {"width": 4})
    assert first.steps == round(module.SHARE * 120 / 0.1)
    monkeypatch.setattr(module, "seconds_a_step", lambda *_: pytest.fail("it was timed before"))
    assert recipe(discs(20), 2, {"width": 4}) == first
    monkeypatch.setattr(module, "seconds_a_step", lambda *_: 0.2)
    assert recipe(discs(20), 2, {"width": 8}).steps == round(first.steps / 2)  # another network is timed anew
    assert recipe(discs(20), 1e-9, {}).steps == module.FEWEST and recipe(discs(20), 1e9, {}).steps == module.MOST


def test_a_probe_runs_real_steps_and_changes_nothing():
    experiment = Experiment(data="own-discs", fold=1, width=1, tile=188, steps=5, optimiser="adam")
    assert 0 < module.seconds_a_step(experiment, discs(20), "cpu") < 60


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf")])
def test_minutes_are_above_0_and_finite(minutes):
    with pytest.raises(ValueError, match="minutes must be above 0"):
        recipe(discs(20), minutes, {})
