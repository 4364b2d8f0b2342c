"""The sliding window and the FCN: equal forms, sizes, counts of work, and how the rest of the module takes them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from reprolib import ancestors, data, geometry, train
from reprolib.ancestors import FCN, SlidingWindow, dense_multiplications, window_multiplications
from reprolib.evaluation.prediction import predict_cells
from reprolib.experiment import Experiment
from reprolib.model import UNet
from reprolib.tiling import predict


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# --- the sliding window


def test_n4_has_the_published_sides_and_layers():
    sides, model = [], SlidingWindow()
    hooks = [m.register_forward_hook(lambda m, i, o: sides.append(o.shape[-1])) for m in model.convolutions]
    with torch.inference_mode():
        model.by_window(normal(1, 1, 95, 95, dtype=torch.float32))
    for hook in hooks:
        hook.remove()
    assert sides == [92, 42, 18, 6]  # pooled: 46, 21, 9, 3
    assert [tuple(m.weight.shape) for m in model.convolutions] == [
        (48, 1, 4, 4),
        (48, 48, 5, 5),
        (48, 48, 4, 4),
        (48, 48, 4, 4),
    ]
    assert tuple(model.hidden.weight.shape) == (200, 48, 3, 3) and tuple(model.head.weight.shape) == (2, 200, 1, 1)


@pytest.mark.parametrize("window", ancestors.KERNELS)
@pytest.mark.parametrize("shape", [(0, 0), (9, 6)])
def test_the_convolutional_form_equals_the_window_by_window_form(window, shape):
    torch.manual_seed(0)
    model = SlidingWindow(window, width=6).double()
    x = normal(2, 1, window + shape[0], window + shape[1])
    with torch.inference_mode():
        dense, single = model(x), model.by_window(x, batch=7)
    assert dense.shape == single.shape == (2, 2, shape[0] + 1, shape[1] + 1)
    assert dense.std() > 0.01  # not equal because both are nothing
    torch.testing.assert_close(dense, single, rtol=0, atol=1e-12)


def test_a_window_is_classified_as_a_plain_stack_of_layers_does_it():
    torch.manual_seed(1)
    model = SlidingWindow(95, width=4).double()
    layers: list[nn.Module] = []
    for convolution in model.convolutions:
        layers += [convolution, nn.ReLU(), nn.MaxPool2d(2)]
    plain = nn.Sequential(*layers, nn.Flatten(), nn.Linear(36, 200).double(), nn.ReLU(), nn.Linear(200, 2).double())
    with torch.inference_mode():
        plain[-3].weight.copy_(model.hidden.weight.flatten(1))
        plain[-3].bias.copy_(model.hidden.bias)
        plain[-1].weight.copy_(model.head.weight.flatten(1))
        plain[-1].bias.copy_(model.head.bias)
        x = normal(1, 1, 95, 95, seed=3)
        torch.testing.assert_close(model(x)[..., 0, 0], plain(x), rtol=0, atol=1e-12)


def test_every_pool_of_both_windows_meets_an_even_side():
    for window, kernels in ancestors.KERNELS.items():
        side = window
        for kernel in kernels:
            side = side - kernel + 1
            assert side % 2 == 0
            side //= 2
        assert side >= 1


@pytest.mark.parametrize("window", ancestors.KERNELS)
def test_multiplications_agree_with_torchs_own_count(window):
    model = SlidingWindow(window, width=5)

    def counted(call, x):
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            call(x)
        return counter.get_total_flops() / 2  # it counts additions too

    assert counted(model.by_window, torch.zeros(1, 1, window, window)) == window_multiplications(window, 5)
    # Growing the image by one row and one column adds the work of its pixels, less what its edges need once.
    few, more = (counted(model, torch.zeros(1, 1, window + n, window + n)) for n in (200, 201))
    once = dense_multiplications(window, 5)
    edges = 2 * once * window
    assert 401 * once < more - few < 401 * once + edges


def test_the_convolutional_form_saves_what_the_paper_says_that_overlaps_cost():
    assert window_multiplications() / dense_multiplications() > 100


@pytest.mark.parametrize("tile", [94, 20])
def test_an_image_smaller_than_the_window_is_refused(tile):
    with pytest.raises(ValueError, match=rf"side {tile} px does not fit: .*nearest: 95"):
        SlidingWindow()(torch.zeros(1, 1, tile, tile))


# --- the FCN


def test_the_output_is_as_large_as_the_input_and_the_steps_up_undo_the_pools():
    model = FCN(width=2).eval()
    assert model(torch.zeros(1, 1, 64, 96)).shape == (1, 2, 64, 96)
    assert math.prod(up.stride[0] for up in model.ups) == 2 ** len(model.stages)
    assert len(model.scores) == len(model.ups)


def test_it_has_the_thirteen_convolutions_of_vgg_16_and_about_the_size_of_the_compact_unet():
    model = FCN(width=16)
    assert sum(isinstance(layer, nn.Conv2d) for stage in model.stages for layer in stage) == 13
    count, unet = (sum(p.numel() for p in net.parameters()) for net in (model, UNet(width=16)))
    assert 0.85 < count / unet < 1.15


@pytest.mark.parametrize("factor", [2, 8])
def test_up_sampling_begins_as_bilinear_interpolation(factor):
    scores = normal(1, 2, 7, 6, dtype=torch.float32)
    with torch.inference_mode():
        ours = ancestors.upsampling(factor)(scores)
    theirs = F.interpolate(scores, scale_factor=factor, mode="bilinear", align_corners=False)
    edge = factor  # at the edges interpolation repeats the last score, a transposed convolution meets zeros
    inside = (..., slice(edge, -edge), slice(edge, -edge))
    torch.testing.assert_close(ours[inside], theirs[inside], rtol=0, atol=1e-5)


def test_finer_scores_change_the_result():
    torch.manual_seed(0)
    model = FCN(width=2).double().eval()
    x = normal(1, 1, 64, 64)
    before = model(x)
    for score in model.scores[1:]:
        changed = [p.detach().clone() for p in score.parameters()]
        with torch.no_grad():
            score.bias[0] += 1.0
        assert (model(x) - before).abs().max() > 0.1
        with torch.no_grad():
            for p, old in zip(score.parameters(), changed, strict=True):
                p.copy_(old)


def test_sides_that_are_no_multiple_of_32_are_refused():
    with pytest.raises(ValueError, match="nearest: 96 and 128"):
        FCN(width=2)(torch.zeros(1, 1, 64, 100))
    with pytest.raises(ValueError, match="window must be one of 95, 65 px, not 64"):
        SlidingWindow(64)


# --- as experiments

TILES = {"n4": 101, "n4-65": 70, "fcn8": 64}


@pytest.mark.parametrize("name", geometry.ANCESTORS)
def test_an_ancestor_trains_as_the_unet_does(name):
    experiment = Experiment(
        data="phantom-dic", fold=2, variant=name, width=2, tile=TILES[name], steps=2, optimiser="adam"
    )
    state = train.run_steps(experiment, data.load("phantom-dic"), torch.device("cpu"), 2)
    assert len(state.losses) == 2 and state.losses[0] != state.losses[1]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in state.model.parameters())


@pytest.mark.parametrize("name", geometry.ANCESTORS)
def test_an_ancestor_predicts_an_image_of_any_size_in_one_piece_or_in_tiles(name):
    torch.manual_seed(0)
    model = ancestors.build(name, width=2).double()
    image = np.random.default_rng(0).integers(0, 256, (70, 85)).astype(np.uint8)
    whole = predict_cells(model, image[None])[0]
    assert whole.shape == image.shape and whole.std() > 0
    if name.startswith("n4"):  # shifts by any pixel: tiles give the whole image's answer
        np.testing.assert_allclose(predict(model, image, TILES[name])[1], whole, atol=1e-12)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"variant": "n4", "tile": 80}, "nearest: 95"),
        ({"variant": "fcn8", "tile": 380}, "nearest: 352 and 384"),
        ({"variant": "fcn8", "tile": 384, "skips": False}, "are the U-Net's"),
        ({"variant": "fcn4"}, "choose one of paper, release, n4, n4-65, fcn8"),
    ],
)
def test_what_an_ancestor_cannot_be_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Experiment(**fields)
