"""Fig. 1 from the network itself: layers, sides, channels, receptive fields."""

from __future__ import annotations

from itertools import pairwise

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from reprolib.model import UNet
from reprolib.plots import drawing

matplotlib.use("Agg")

# Sides and channels as printed in Fig. 1, after each convolution, in order.
FIG_1_SIDES = (
    [570, 568, 282, 280, 138, 136, 66, 64, 30, 28]
    + [56, 54, 52, 104, 102, 100, 200, 198, 196, 392, 390, 388, 388]
)  # fmt: skip
FIG_1_CHANNELS = (
    [64, 64, 128, 128, 256, 256, 512, 512, 1024, 1024]
    + [512, 512, 512, 256, 256, 256, 128, 128, 128, 64, 64, 64, 2]
)  # fmt: skip


def meta(**options) -> UNet:
    with torch.device("meta"):
        return UNet(**options)


@pytest.fixture(scope="module")
def paper():
    return drawing.layers(meta(), 572)


def test_there_are_23_convolutional_layers_with_the_sides_and_channels_of_fig_1(paper):
    assert [layer.side for layer in paper] == FIG_1_SIDES
    assert [layer.channels for layer in paper] == FIG_1_CHANNELS
    assert [layer.number for layer in paper] == list(range(1, 24))


def test_the_kinds_are_18_convolutions_4_up_convolutions_and_the_last_1x1(paper):
    kinds = [layer.kind for layer in paper]
    assert [kinds.count(kind) for kind in drawing.KINDS] == [18, 4, 1]
    assert kinds[-1] == "1x1 convolution"


def test_four_pools_lead_down_to_level_4_and_four_up_convolutions_back(paper):
    assert [layer.level for layer in paper if layer.pooled] == [1, 2, 3, 4]
    assert [layer.level for layer in paper if layer.kind == "up-convolution"] == [3, 2, 1, 0]
    assert [layer.expanding for layer in paper] == [False] * 10 + [True] * 13


def test_each_concatenation_adds_as_many_channels_as_came_up(paper):
    for before, layer in pairwise(paper):
        expected = before.channels if before.kind == "up-convolution" else 0
        assert layer.skip_channels == expected


@pytest.mark.parametrize(("variant", "parameters"), [("paper", 31_030_658), ("release", 31_100_354)])
def test_the_layers_parameters_add_up_to_the_networks(variant, parameters):
    model = meta(variant=variant)
    assert sum(layer.parameters for layer in drawing.layers(model, 188)) == parameters
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_the_meta_device_gives_the_same_layers_as_a_real_pass():
    assert drawing.layers(UNet(width=2), 204) == drawing.layers(meta(width=2), 204)


def test_the_hooks_are_gone_afterwards(paper):
    model = UNet(width=2)
    drawing.layers(model, 188)
    assert not any(module._forward_hooks for module in model.modules())


def test_multiplications_agree_with_torchs_own_count():
    from torch.utils.flop_counter import FlopCounterMode

    model = meta(width=4)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(torch.zeros(1, 1, 236, 236, device="meta"))
    # A product with its addition counts as two operations.
    ours = sum(layer.multiplications for layer in drawing.layers(model, 236))
    assert counter.get_total_flops() == 2 * ours


LAST_OF_EACH_LEVEL = (1, 3, 5, 7, 9, 12, 15, 18, 22)  # positions among the 23 layers
ROWS = 16  # one period of the pooling phase


def fields_by_gradient(tile: int) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """First and last input row with a non-zero gradient, for some layers' first output rows.

    The network's weights are positive. So a max-pool picks its upper row on an image that darkens downwards,
    its lower row on one that brightens: together the two gradients touch both ends of the receptive field.
    """
    model = UNet(width=1, dropout=0.0).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_().add_(0.1)
    outputs = []
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            module.register_forward_hook(lambda module, inputs, output: outputs.append(output.clone()))
    ramp = torch.linspace(1, 2, tile, dtype=torch.float64)
    touched = []
    for rows in (ramp.flip(0), ramp):
        outputs.clear()
        image = rows[None, None, :, None].repeat(1, 1, 1, tile).requires_grad_()
        model(image)
        touched.append({})
        for position in LAST_OF_EACH_LEVEL:
            sums = outputs[position][0, :, :ROWS, outputs[position].shape[-1] // 2].sum(dim=0)
            gradients = [torch.autograd.grad(one, image, retain_graph=True)[0][0, 0] for one in sums]
            touched[-1][position] = [gradient.abs().amax(dim=1).nonzero() for gradient in gradients]
    return {
        position: (
            np.array([int(rows[0]) for rows in touched[0][position]]),
            np.array([int(rows[-1]) for rows in touched[1][position]]),
        )
        for position in LAST_OF_EACH_LEVEL
    }


def test_receptive_fields_are_those_that_the_gradient_shows():
    computed = drawing.receptive_fields(drawing.layers(meta(width=1), 204))
    for position, measured in fields_by_gradient(204).items():
        first, last = (ends[:ROWS] for ends in computed[position])
        np.testing.assert_array_equal((first, last), measured)


def test_an_output_pixel_sees_188_or_204_px(paper):
    first, last = drawing.receptive_fields(paper)[-1]
    assert set((last - first + 1).tolist()) == {188, 204}
    assert first.min() == 0 and last.max() == 571


def test_an_output_row_depends_on_just_those_rows_of_each_feature_map(paper):
    """Disturb one row of one layer's output in a real network: which output rows change?"""
    model = UNet(width=1, dropout=0.0).double().eval()
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, 0.1)
    convolutions = [one for one in model.modules() if isinstance(one, torch.nn.Conv2d | torch.nn.ConvTranspose2d)]
    found, image = drawing.layers(model, 220), torch.rand(1, 1, 220, 188, dtype=torch.float64) + 1
    maps = drawing.dependence(drawing.layers(meta(width=1), 220))
    calls, order = [], []
    hooks = [one.register_forward_hook(lambda module, *_: order.append(module)) for one in convolutions]
    with torch.no_grad():
        usual = model(image)[0, 0].sum(dim=1)
        [hook.remove() for hook in hooks]
        for module, one in zip(order, maps[1:], strict=True):
            for row in (0, 17, found[-1].side - 1):
                near = [one.first[row] - 1, one.first[row], one.last[row], one.last[row] + 1]
                for at, reaches in zip(near, (False, True, True, False), strict=True):
                    if not 0 <= at < one.side:
                        continue

                    def disturb(module, inputs, output, at=at):
                        output = output.clone()
                        output[:, :, at] += 1e3
                        return output

                    hook = module.register_forward_hook(disturb)
                    changed = bool(model(image)[0, 0].sum(dim=1)[row] != usual[row])
                    hook.remove()
                    calls.append(changed == reaches)
    assert len(calls) > 200 and all(calls)


def test_feature_maps_lie_in_the_tile_and_the_tiles_rows_are_the_receptive_field(paper):
    maps, (first, last) = drawing.dependence(paper), drawing.receptive_fields(paper)[-1]
    assert np.array_equal(maps[0].first, first) and np.array_equal(maps[0].last, last)
    assert (maps[-1].start, maps[-1].unit, maps[-1].side) == (92, 1, 388)
    assert all(2 * one.start + one.side * one.unit == 572 for one in maps)  # in the middle


def test_receptive_fields_of_a_padded_network_are_refused():
    with pytest.raises(ValueError, match="unpadded"):
        drawing.receptive_fields(drawing.layers(meta(width=1, padding="same"), 64))


def test_a_tile_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="572 and 588"):
        drawing.layers(meta(width=1), 580)


def test_the_table_has_a_row_per_layer(paper):
    rows = drawing.table(paper).splitlines()
    assert len(rows) == 2 + 23
    assert "| 1 → 64 | 572 → 570 | 640 | 3 |" in rows[2]
    assert len({row.count("|") for row in rows}) == 1


@pytest.mark.parametrize(("options", "tile"), [({}, 572), ({"width": 8, "variant": "release"}, 188)])
def test_the_drawing_has_a_box_per_feature_map_and_an_arrow_per_operation(options, tile):
    axis = Figure().add_subplot()
    found = drawing.layers(meta(**options), tile)
    drawing.draw(axis, found)
    boxes = [patch for patch in axis.patches if patch.get_fill()]
    crops = [patch for patch in axis.patches if not patch.get_fill()]
    assert len(boxes) == 1 + 23 + 4 + 4  # the input, each layer's map, four pooled ones, four copies
    assert len(crops) == 4
    texts = [text.get_text() for text in axis.texts]
    assert len([text for text in texts if not text]) == 23 + 4 + 4  # annotations without text are the arrows
    for layer in found:
        assert f"{layer.side}²" in texts and f"{layer.channels}" in texts
