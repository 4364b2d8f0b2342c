"""From a network to probabilities of whole images: one tile that covers each, flips and scale handed on."""

from __future__ import annotations

import numpy as np

from reprolib import data
from reprolib.evaluation import prediction
from reprolib.evaluation.prediction import covering_tile, predict_cells
from reprolib.tiling import SEVEN_ROTATIONS


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
