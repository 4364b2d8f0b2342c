"""From a network to probabilities of whole images: one tile that covers each, flips and scale handed on."""

from __future__ import annotations

import numpy as np
import torch

from reprolib import data
from reprolib.evaluation import prediction
from reprolib.evaluation.prediction import covering_tile, predict_cells
from reprolib.model import UNet
from reprolib.tiling import SEVEN_ROTATIONS, predict


def test_a_covering_tile_is_the_smallest_whose_output_covers_the_image():
    assert covering_tile(512) == 700
    for side in (1, 4, 5, 20, 21, 388, 389):
        tile = covering_tile(side)
        assert tile - 184 >= side and (tile == 188 or tile - 16 - 184 < side)


def test_the_mean_over_rotations_covers_the_turned_image_in_one_tile(monkeypatch):
    tiles = []

    def remember(model, image, tile, **options):
        tiles.append(tile)
        return np.stack([image, image])

    monkeypatch.setattr(prediction, "predict", remember)
    image = data.load("phantom-em").images[:1]
    side = max(image.shape[1:])
    predict_cells(None, image)
    predict_cells(None, image, rotations=(90.0, 180.0))
    predict_cells(None, image, rotations=SEVEN_ROTATIONS)
    straight, right_angles, turned = (tile - 184 for tile in tiles)
    assert side <= straight == right_angles < side + 16
    assert np.hypot(*image.shape[1:]) <= turned < np.hypot(*image.shape[1:]) + 17


def test_flips_and_scale_reach_the_prediction_and_the_tile_covers_the_resampled_image(monkeypatch):
    calls = []

    def remember(model, image, **options):
        calls.append(options)
        return np.stack([image, image])

    monkeypatch.setattr(prediction, "predict", remember)
    predict_cells(None, np.zeros((1, 512, 400)), scale=0.5, flips=True)
    options = {"rotations": (0.0,), "flips": True, "scale": 0.5, "normalisation": "standard"}
    assert calls == [{"tile": 444} | options]  # 260 px of output for 256


def test_an_image_too_large_for_one_tile_is_predicted_in_several_with_the_same_answer(monkeypatch):
    torch.manual_seed(0)
    model, image = UNet(width=2).eval(), np.random.default_rng(0).integers(0, 256, (70, 90)).astype(np.uint8)
    whole = predict_cells(model, image[None])
    tiles = []
    monkeypatch.setattr(prediction, "predict", lambda *a, tile, **k: tiles.append(tile) or predict(*a, tile=tile, **k))
    monkeypatch.setattr(prediction, "MEMORY", 3 * 2**20)
    np.testing.assert_allclose(predict_cells(model, image[None]), whole, atol=1e-5)
    assert tiles == [220] and whole.std() > 0.01
