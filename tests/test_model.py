"""The network against Fig. 1: counts, sides, channels, alignment, initialisation and switches."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from reprolib.model import UNet, centre_crop, initialise, two_convolutions

# Fig. 1, read off the drawing: the sides of a 572 tile behind each 3x3 convolution and each up-convolution.
FIG_1_CONVOLUTIONS = [570, 568, 282, 280, 138, 136, 66, 64, 30, 28, 54, 52, 102, 100, 198, 196, 390, 388]
FIG_1_UP = [56, 104, 200, 392]
FIG_1_CHANNELS = [64, 64, 128, 128, 256, 256, 512, 512, 1024, 1024, 512, 512, 256, 256, 128, 128, 64, 64]
FIG_1_CHANNELS_IN = [1, 64, 64, 128, 128, 256, 256, 512, 512, 1024, 1024, 512, 512, 256, 256, 128, 128, 64]


def on_meta(**options) -> UNet:
    """A full-size network without memory: shapes are computed, numbers are not."""
    with torch.device("meta"):
        return UNet(**options)


def small(seed: int = 0, **options) -> UNet:
    """A network of width 2 in float64, in evaluation mode."""
    torch.manual_seed(seed)
    return UNet(width=2, **options).double().eval()


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def shapes_in_a_572_tile(model: UNet) -> list[tuple[nn.Module, tuple, tuple]]:
    """(layer, shape of its input, shape of its output) for each convolution, in the order of computation."""
    seen = []
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(lambda layer, x, y: seen.append((layer, tuple(x[0].shape), tuple(y.shape))))
    model(torch.empty(1, 1, 572, 572, device="meta"))
    return seen


def test_the_paper_variant_has_31030658_parameters():
    assert parameters(on_meta()) == 31_030_658


def test_the_release_variant_has_31100354_parameters():
    assert parameters(on_meta(variant="release")) == 31_100_354


@pytest.mark.parametrize("variant", ["paper", "release"])
def test_there_are_23_convolutional_layers(variant):
    layers = [m for m in on_meta(variant=variant).modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    kernels = [layer.kernel_size for layer in layers]
    assert len(layers) == 23
    assert (kernels.count((3, 3)), kernels.count((2, 2)), kernels.count((1, 1))) == (18, 4, 1)


def test_every_side_of_fig_1_is_met():
    seen = shapes_in_a_572_tile(on_meta())
    convolutions = [y for layer, _, y in seen if layer.kernel_size == (3, 3)]
    ups = [y for layer, _, y in seen if layer.kernel_size == (2, 2)]
    assert [y[-2:] for y in convolutions] == [(side, side) for side in FIG_1_CONVOLUTIONS]
    assert [y[-2:] for y in ups] == [(side, side) for side in FIG_1_UP]
    # Behind the pools: what the first convolution of levels 1 to 4 takes in.
    taken = [x[-1] for layer, x, _ in seen if layer.kernel_size == (3, 3)]
    assert taken[2:10:2] == [284, 140, 68, 32]


def test_every_channel_count_of_fig_1_is_met():
    seen = shapes_in_a_572_tile(on_meta())
    assert [y[1] for layer, _, y in seen if layer.kernel_size == (3, 3)] == FIG_1_CHANNELS
    assert [x[1] for layer, x, _ in seen if layer.kernel_size == (3, 3)] == FIG_1_CHANNELS_IN
    assert [(x[1], y[1]) for layer, x, y in seen if layer.kernel_size == (2, 2)] == [
        (1024, 512), (512, 256), (256, 128), (128, 64),
    ]  # fmt: skip
    assert seen[-1][2] == (1, 2, 388, 388)


def test_the_last_up_convolution_of_the_release_keeps_128_channels():
    seen = shapes_in_a_572_tile(on_meta(variant="release"))
    assert [y[1] for layer, _, y in seen if layer.kernel_size == (2, 2)] == [512, 256, 128, 128]
    assert seen[-3][1][1] == 192  # 128 up-sampled and 64 of the skip


def test_only_the_release_has_a_relu_behind_the_up_convolutions():
    x = torch.randn(1, 1, 188, 188, dtype=torch.float64)
    for variant, negative in (("paper", True), ("release", False)):
        model, lowest = small(variant=variant), []
        for up, expand in zip(model.up, model.expand, strict=True):
            expand.register_forward_pre_hook(
                lambda _, x, n=up.out_channels, lowest=lowest: lowest.append(x[0][:, :n].min().item())
            )
        model(x)
        assert len(lowest) == 4
        assert (min(lowest) < 0) is negative


@pytest.mark.parametrize("shape", [(1, 188, 188), (1, 2, 188, 188), (1, 1, 190, 188), (1, 1, 188, 200)])
def test_an_input_that_does_not_fit_is_refused(shape):
    with pytest.raises(ValueError):
        small()(torch.zeros(shape, dtype=torch.float64))


def test_tiles_need_not_be_square_and_come_in_batches():
    assert small()(torch.zeros(2, 1, 188, 220, dtype=torch.float64)).shape == (2, 2, 4, 36)


def test_without_skips_the_answer_differs_but_not_the_count_of_parameters():
    x = torch.randn(1, 1, 188, 188, dtype=torch.float64)
    on, off = small(), small(skips=False)
    assert parameters(on) == parameters(off)
    for name, value in on.state_dict().items():
        assert torch.equal(value, off.state_dict()[name])
    assert not torch.allclose(on(x), off(x))


def test_without_skips_only_the_bottleneck_is_heard():
    x = torch.randn(1, 1, 188, 188, dtype=torch.float64)
    model = small(skips=False)
    with torch.no_grad():
        for layer in model.down[4].modules():
            if isinstance(layer, nn.Conv2d):
                layer.weight.zero_()
    assert torch.equal(model(x), model(x * 3 + 1))
    model.skips = True
    assert not torch.allclose(model(x), model(x * 3 + 1))


def test_the_skip_comes_second_and_is_cropped_about_its_centre():
    model, seen = small(), {}
    model.down[0].register_forward_hook(lambda _, x, y: seen.update(skip=y))
    model.expand[3].register_forward_pre_hook(lambda _, x: seen.update(joined=x[0]))
    model(torch.randn(1, 1, 204, 204, dtype=torch.float64))
    skip, joined = seen["skip"], seen["joined"]  # 200 px, 24 px
    assert torch.equal(joined[:, 2:], skip[:, :, 88:-88, 88:-88])


def test_a_centre_crop_leaves_equal_margins():
    x = torch.arange(100).reshape(1, 1, 10, 10)
    assert centre_crop(x, (4, 6))[0, 0, 0].tolist() == [32, 33, 34, 35, 36, 37]
    assert centre_crop(x, (4, 6))[0, 0, :, 0].tolist() == [32, 42, 52, 62]


def test_the_gradient_of_a_crop_keeps_the_memory_layout():
    x = torch.randn(1, 4, 10, 10).to(memory_format=torch.channels_last).requires_grad_()
    (found,) = torch.autograd.grad((centre_crop(x, (6, 6)) ** 2).sum(), x)
    assert found.is_contiguous(memory_format=torch.channels_last)
    expected = torch.zeros_like(x)
    expected[..., 2:8, 2:8] = 2 * x.detach()[..., 2:8, 2:8]
    assert torch.equal(found, expected)


def incoming_nodes(model: UNet, width: int) -> dict[str, int]:
    """N of each layer, written out from Fig. 1."""
    nodes = {"head": width}
    for level in range(5):
        c = width * 2**level
        nodes[f"down.{level}.0"] = 9 * (c // 2 if level else 1)
        nodes[f"down.{level}.2"] = 9 * c
    for k, level in enumerate((3, 2, 1, 0)):
        c = width * 2**level
        nodes[f"up.{k}"] = 2 * c
        nodes[f"expand.{k}.0"] = 9 * 2 * c
        nodes[f"expand.{k}.2"] = 9 * c
    return nodes


def test_each_layer_starts_with_standard_deviation_sqrt_2_over_n():
    torch.manual_seed(1)
    model = UNet(width=16)
    layers = {n: m for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)}
    nodes = incoming_nodes(model, 16)
    assert layers.keys() == nodes.keys()
    for name, layer in layers.items():
        wanted, count = math.sqrt(2 / nodes[name]), layer.weight.numel()
        # Four standard errors of a standard deviation, and of a mean.
        assert layer.weight.std().item() == pytest.approx(wanted, rel=4 / math.sqrt(2 * count)), name
        assert abs(layer.weight.mean().item()) < 4 * wanted / math.sqrt(count), name
        assert not layer.bias.any()


def test_the_papers_example_of_64_channels_has_576_incoming_nodes():
    torch.manual_seed(0)
    pair = two_convolutions(64, 64).apply(initialise)
    assert pair[2].weight.std().item() == pytest.approx(math.sqrt(2 / 576), rel=0.015)


def mean_squares(initialisation: str) -> list[tuple[float, float]]:
    """Mean square of the input and of the rectified output of each 3x3 convolution, over three networks."""
    pairs = []
    for seed in range(3):
        torch.manual_seed(seed)
        model, found = UNet(width=16, initialisation=initialisation).eval(), []
        for pair in (*model.down, *model.expand):
            for k in (0, 2):
                pair[k].register_forward_hook(
                    lambda _, x, y, found=found: found.append(
                        (float(x[0].square().mean()), float(y.relu().square().mean()))
                    )
                )
        with torch.no_grad():
            model(torch.randn(1, 1, 188, 188))
        pairs.append(found)
    return [tuple(sum(values) / 3 for values in zip(*layer, strict=True)) for layer in zip(*pairs, strict=True)]


def test_the_papers_initialisation_keeps_the_scale_of_the_feature_maps():
    layers = mean_squares("paper")
    assert len(layers) == 18
    for before, after in layers:  # each convolution hands the mean square on (only the max-pools raise it)
        assert 0.6 < after / before < 1.7
    assert all(0.5 < after < 50 for _, after in layers)


def test_the_librarys_initialisation_lets_the_feature_maps_fade():
    assert min(after for _, after in mean_squares("pytorch")) < 1e-3


def test_dropout_acts_in_training_only():
    x = torch.randn(1, 1, 188, 188, dtype=torch.float64)
    model = small()
    assert torch.equal(model(x), model(x))
    model.train()
    assert not torch.equal(model(x), model(x))
    assert torch.equal(small(dropout=0.0).train()(x), model.eval()(x))


def test_the_level_4_skip_carries_dropout_and_the_others_do_not():
    torch.manual_seed(0)
    model = UNet(width=8).double()
    x, joined = torch.randn(1, 1, 188, 188, dtype=torch.float64), {}
    for k, expand in enumerate(model.expand):
        expand.register_forward_pre_hook(lambda _, x, k=k: joined.setdefault(k, []).append(x[0]))
    model.eval()(x)
    model.train()(x)
    still, dropped = (value[:, 64:] for value in joined[0])  # the skip's half
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], 2 * still[kept])  # scaled by 1 / (1 - 0.5)
    lit = still != 0
    assert 0.4 < float((lit & ~kept).sum() / lit.sum()) < 0.6
    for k in (1, 2, 3):
        still, dropped = (value[:, value.shape[1] // 2 :] for value in joined[k])
        assert torch.equal(still, dropped)


def test_the_bottleneck_carries_dropout():
    model = small().train()
    model.up[0].register_forward_pre_hook(lambda _, x: zeros.append(float((x[0] == 0).double().mean())))
    zeros: list[float] = []
    x = torch.randn(1, 1, 188, 188, dtype=torch.float64)
    model(x)
    model.eval()(x)
    assert zeros[0] > zeros[1] + 0.1


def test_same_padding_keeps_the_size():
    model = small(padding="same")
    assert parameters(model) == parameters(small())
    assert model(torch.zeros(1, 1, 64, 48, dtype=torch.float64)).shape == (1, 2, 64, 48)
    with pytest.raises(ValueError, match=r"60 px does not fit: sides are 16, 32, 48 \.\.\. px; nearest: 48 and 64"):
        model(torch.zeros(1, 1, 64, 60, dtype=torch.float64))


def test_a_shift_by_16_px_shifts_the_answer_and_one_by_8_px_does_not():
    torch.manual_seed(3)
    model, x = small(3), torch.randn(1, 1, 220, 220, dtype=torch.float64)
    with torch.no_grad():
        still, by16, by8 = (model(x[..., k : k + 204, k : k + 204]) for k in (0, 16, 8))  # 20 px out
    torch.testing.assert_close(by16[..., :4, :4], still[..., 16:, 16:], rtol=0, atol=1e-12)
    assert float((by8[..., :12, :12] - still[..., 8:, 8:]).abs().max()) > 1e-3


def receptive_field(position: int) -> tuple[int, int]:
    """First and last input px that an output px sees along an axis: intervals walked back through Fig. 1."""

    def descend(low: int, high: int, level: int) -> tuple[int, int]:
        """From behind a level's last convolutions to the input."""
        low, high = low, high + 4
        return (low, high) if level == 0 else descend(2 * low, 2 * high + 1, level - 1)

    # Margins that the skips lose on each side, by level, are whole px: (568 - 392) / 2 = 88, and so on.
    margins = {0: 88, 1: 40, 2: 16, 3: 4}
    intervals, (low, high) = [], (position, position)
    for level in range(4):
        low, high = low, high + 4
        intervals.append(descend(low + margins[level], high + margins[level], level))
        low, high = low // 2, high // 2
    intervals.append(descend(low, high, 4))
    return min(i[0] for i in intervals), max(i[1] for i in intervals)


@pytest.mark.parametrize("position", [0, 3, 7, 16, 19])
def test_the_gradient_reaches_exactly_the_receptive_field(position):
    model = small()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(0.1)  # positive: no ReLU blocks, and nothing cancels
    ramp = torch.arange(1.0, 205.0, dtype=torch.float64)
    reached = []
    for rows in (
        ramp,
        ramp.flip(0),
    ):  # a max-pool hands its gradient to the larger px: once the last, once the first
        x = rows[:, None].expand(204, 204)[None, None].clone().requires_grad_()
        model(x)[0, 1, position, 8].backward()
        lit = x.grad[0, 0].abs().sum(dim=1).nonzero().flatten()
        reached += [int(lit.min()), int(lit.max())]
    assert (min(reached), max(reached)) == receptive_field(position)


def test_the_smallest_tile_of_188_px_is_all_seen_and_no_more_is_needed():
    fields = [receptive_field(position) for position in range(4)]
    assert (min(low for low, _ in fields), max(high for _, high in fields)) == (0, 187)


@pytest.mark.parametrize(
    "options",
    [
        {"variant": "papers"}, {"padding": "mirror"}, {"initialisation": "he"}, {"width": 0},
        {"in_channels": 0},
        {"classes": 1}, {"dropout": 1.0}, {"dropout": -0.1}, {"dropout": float("nan")},
    ],
)  # fmt: skip
def test_a_network_that_cannot_be_is_refused(options):
    with pytest.raises(ValueError):
        UNet(**{"width": 1} | options)


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="'papers' is unknown: choose one of paper, release"):
        UNet(width=1, variant="papers")


def test_channels_and_classes_can_be_chosen():
    for channels, classes in itertools.product((1, 3), (2, 5)):
        model = small(in_channels=channels, classes=classes)
        assert model(torch.zeros(1, channels, 188, 188, dtype=torch.float64)).shape == (1, classes, 4, 4)
