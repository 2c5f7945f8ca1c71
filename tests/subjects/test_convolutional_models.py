"""Convolutional nets: depth as the papers count it, arms that share their draws, norm-free starts, errors that help."""

import math

import pytest
import torch
from torch import nn

from ics_bench.core import UsageError
from ics_bench.subjects.convolution import channel_norm
from ics_bench.subjects.initializers import he
from ics_bench.subjects.model import build_model
from ics_bench.subjects.norm import load_norm
from ics_bench.subjects.resnet import Block
from ics_bench.subjects.vgg import start_from
from ics_bench.training.stack import Stack

NETS = [
    ("cnn", 2),
    ("cnn", 5),
    ("alexnet", 8),
    ("vgg", 11),
    ("vgg", 13),
    ("vgg", 16),
    ("vgg", 19),
    ("resnet", 20),
    ("resnet", 50),
    ("resnet", 101),
    ("resnet", 152),
    ("resnet_plain", 32),
    ("resnet_skipinit", 8),
    ("resnet_fixup", 8),
]


def build(name, depth, norm="none", seed=0, width=2, in_features=64, **options):
    return build_model(
        name,
        in_features=in_features,
        num_classes=10,
        depth=depth,
        width=width,
        norm_layer=load_norm(norm).build,
        norm_position=options.pop("norm_position", "before"),
        initialize=he,
        generator=torch.Generator().manual_seed(seed),
        **options,
    )


def layers(model, kind=(nn.Conv2d, nn.Linear)):
    return [module for name, module in model.named_modules() if isinstance(module, kind) and "shortcut" not in name]


def images(count=4, seed=0):
    return torch.randn(count, 64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("name", "depth"), NETS)
def test_depth_counts_the_weight_layers_of_the_longest_path(name, depth):
    model = build(name, depth)
    assert len(layers(model)) == depth
    assert model(images()).shape == (4, 10)


def test_layouts_are_those_of_the_papers():
    """Table 1 of either paper: convolutions by width, and of ResNet-152 the blocks and their 3×3 filters."""
    channels = [layer.out_channels for layer in layers(build("vgg", 19, width=64), nn.Conv2d)]
    assert channels == [64] * 2 + [128] * 2 + [256] * 4 + [512] * 8
    assert {layer.kernel_size for layer in layers(build("vgg", 19), nn.Conv2d)} == {(3, 3)}
    blocks = [m for m in build("resnet", 152).modules() if isinstance(m, Block)]
    inner = [layers(block, nn.Conv2d)[1].out_channels for block in blocks]
    assert [inner.count(2 * 2**stage) for stage in range(4)] == [3, 8, 36, 3]
    alex = [layer.out_channels for layer in layers(build("alexnet", 8, width=96), nn.Conv2d)]
    assert alex == [96, 256, 384, 384, 256]


@pytest.mark.parametrize(
    ("name", "depth", "choices"),
    [("vgg", 12, "11, 13, 16, 19"), ("resnet", 21, "6n \\+ 2"), ("alexnet", 7, "depth 8"), ("cnn", 1, "at least 2")],
)
def test_other_depths_are_refused_with_those_there_are(name, depth, choices):
    with pytest.raises(UsageError, match=choices):
        build(name, depth)


def test_images_that_are_not_square_are_refused():
    with pytest.raises(UsageError, match="flat square images"):
        build("cnn", 3, in_features=40)
    with pytest.raises(UsageError, match="needs 64"):
        build("vgg", 11, in_features=16)


@pytest.mark.parametrize("name", ["cnn", "vgg", "resnet", "resnet_plain"])
def test_arms_that_differ_in_their_norm_draw_the_same_weights(name):
    depth = 11 if name == "vgg" else 8
    arms = [layers(build(name, depth, norm)) for norm in ("none", "batch", "layer", "group")]
    for same in zip(*arms, strict=True):
        assert all(torch.equal(same[0].weight, layer.weight) for layer in same)


@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_layer_norms_take_the_channels_of_a_position(norm):
    """Eight channels of eight columns: the shape at which normalizing the wrong axis goes unnoticed."""
    x = torch.randn(3, 8, 8, 8, generator=torch.Generator().manual_seed(0)) * 3 + 1
    y = channel_norm(load_norm(norm).build, 8)(x)
    expected = x - x.mean(1, keepdim=True) if norm == "layer" else x
    expected = expected / expected.square().mean(1, keepdim=True).sqrt()
    torch.testing.assert_close(y, expected, atol=1e-4, rtol=1e-4)


def test_blocks_compute_act_of_shortcut_plus_branch():
    """The original order with batch norm in training, written out for one block."""
    block = build("resnet", 8, "batch").blocks[0]
    x = images(4).view(4, 1, 8, 8).expand(4, 2, 8, 8)

    def normalize(z):
        return (z - z.mean((0, 2, 3), keepdim=True)) / (z.var((0, 2, 3), keepdim=True, correction=0) + 1e-5).sqrt()

    first, second = layers(block, nn.Conv2d)
    by_hand = torch.relu(x + normalize(second(torch.relu(normalize(first(x))))))
    torch.testing.assert_close(block.train()(x), by_hand, atol=1e-4, rtol=1e-4)
    chain = build("resnet_plain", 8, "batch").blocks[0]
    by_hand = torch.relu(normalize(second(torch.relu(normalize(first(x))))))
    torch.testing.assert_close(chain.train()(x), by_hand, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["resnet_skipinit", "resnet_fixup"])
def test_norm_free_branches_start_at_zero(name):
    net = build(name, 20)
    x = torch.rand(2, 2, 8, 8)
    torch.testing.assert_close(net.blocks[0](x), x)
    assert all(torch.equal(block.branch(x), torch.zeros_like(x)) for block in net.blocks[:3])


def test_fixup_scales_its_branches_and_starts_at_chance():
    net, drawn = build("resnet_fixup", 20), build("resnet", 20)
    ratio = layers(net.blocks[0], nn.Conv2d)[0].weight / layers(drawn.blocks[0], nn.Conv2d)[0].weight
    torch.testing.assert_close(ratio, torch.full_like(ratio, 9**-0.5))
    bottleneck, drawn = build("resnet_fixup", 50), build("resnet", 50)
    ratio = layers(bottleneck.blocks[0], nn.Conv2d)[1].weight / layers(drawn.blocks[0], nn.Conv2d)[1].weight
    torch.testing.assert_close(ratio, torch.full_like(ratio, 16**-0.25))
    loss = nn.functional.cross_entropy(net(images()), torch.zeros(4, dtype=torch.int64))
    assert loss.item() == pytest.approx(math.log(10))


def test_alexnet_normalizes_responses_as_in_the_paper():
    (norm, _) = layers(build("alexnet", 8), nn.LocalResponseNorm)
    a = torch.rand(1, 7, 2, 2) * 100
    by_hand = torch.empty_like(a)
    for i in range(7):
        window = a[:, max(0, i - 2) : i + 3]
        by_hand[:, i] = a[:, i] / (2 + 1e-4 * window.square().sum(1)) ** 0.75
    torch.testing.assert_close(norm(a), by_hand)


def test_alexnet_options_switch_its_parts():
    assert len(layers(build("alexnet", 8), nn.Dropout)) == 2
    assert not layers(build("alexnet", 8, dropout=0.0), nn.Dropout)
    dense = list(build("alexnet", 8))[-7:]
    assert [type(module).__name__ for module in dense] == [*["Linear", "ReLU", "Dropout"] * 2, "Linear"]
    assert not layers(build("alexnet", 8, response_norm=False), nn.LocalResponseNorm)
    assert layers(build("alexnet", 8, activation="tanh"), nn.Tanh)
    assert not layers(build("alexnet", 8, activation="tanh"), nn.ReLU)


def test_a_staged_net_takes_over_four_convolutions_and_the_dense_layers():
    deep, shallow, untouched = build("vgg", 19, seed=1), build("vgg", 11, seed=2), build("vgg", 19, seed=1)
    start_from(deep, shallow)
    from_shallow = [any(torch.equal(a.weight, b.weight) for b in layers(shallow)) for a in layers(deep)]
    kept = [torch.equal(a.weight, b.weight) for a, b in zip(layers(deep), layers(untouched), strict=True)]
    assert sum(from_shallow) == 7
    assert [i for i, taken in enumerate(from_shallow) if taken] == [0, 2, 4, 5, 16, 17, 18]
    assert kept == [not taken for taken in from_shallow]


@pytest.mark.parametrize(
    ("name", "depth", "norm"),
    [
        ("vgg", 11, "batch"),
        ("vgg", 11, "none"),
        ("resnet", 8, "batch"),
        ("resnet", 50, "none"),
        ("resnet_plain", 8, "batch"),
        ("resnet_skipinit", 8, "none"),
        ("resnet_fixup", 8, "none"),
        ("cnn", 4, "layer"),
    ],
)
def test_replicas_together_compute_what_they_compute_alone(name, depth, norm):
    models = [build(name, depth, norm, seed).double() for seed in (0, 1)]
    x, y = torch.stack([images(8, seed) for seed in (0, 1)]).double(), torch.arange(16).view(2, 8) % 10
    found = []
    for mode in ("looped", "vmap"):
        stack = Stack(models, (0, 1), x.device, mode)
        losses, gradients = stack.losses_and_gradients(x, y)
        found.append([losses, *gradients, stack.outputs(x, training=False).detach()])
    for alone, together in zip(*found, strict=True):
        scale = max(1.0, alone.abs().max().item())
        torch.testing.assert_close(together / scale, alone / scale, atol=1e-9, rtol=0)
