"""Depth, weights and order of the perceptrons are what their documentation says."""

import pytest
import torch
from torch import nn

from ics_bench.subjects import ARCHITECTURES, INITIALIZERS
from ics_bench.subjects.mlp import Hidden
from ics_bench.subjects.norm import load_norm

NORMS_FOR_FEATURES = ("none", "batch", "layer", "rms", "group")


def build(model="plain", norm="none", depth=5, seed=0, **options):
    return ARCHITECTURES.load(model)(
        in_features=6,
        num_classes=3,
        depth=depth,
        width=16,
        norm_layer=load_norm(norm).build,
        initialize=INITIALIZERS.load("he"),
        generator=torch.Generator().manual_seed(seed),
        **options,
    )


def linears(model):
    return [module for module in model.modules() if isinstance(module, nn.Linear)]


@pytest.mark.parametrize("depth", [3, 4, 9])
@pytest.mark.parametrize("model", ["plain", "residual"])
def test_depth_counts_the_weight_matrices_with_the_output_layer(model, depth):
    net = build(model, depth=depth)
    assert len(linears(net)) == depth
    assert net(torch.zeros(2, 6)).shape == (2, 3)


@pytest.mark.parametrize(("model", "least"), [("plain", 2), ("residual", 3)])
def test_depth_below_the_least_is_an_error(model, least):
    build(model, depth=least)
    with pytest.raises(ValueError, match=f"needs at least {least}"):
        build(model, depth=least - 1)


@pytest.mark.parametrize("model", ["plain", "residual"])
def test_equal_seeds_give_equal_weights_whatever_the_norm(model):
    reference = [layer.weight for layer in linears(build(model, "none", seed=3))]
    for norm in NORMS_FOR_FEATURES[1:]:
        weights = [layer.weight for layer in linears(build(model, norm, seed=3))]
        assert all(torch.equal(a, b) for a, b in zip(reference, weights, strict=True))
    other = [layer.weight for layer in linears(build(model, "none", seed=4))]
    assert not any(torch.equal(a, b) for a, b in zip(reference, other, strict=True))


@pytest.mark.parametrize("position", ["before", "after"])
def test_the_norm_stands_on_its_side_of_the_activation(position):
    layer = Hidden(6, 16, nn.LayerNorm, "relu", position)
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    z = layer.linear(x)
    expected = layer.norm(z).relu() if position == "before" else layer.norm(z.relu())
    torch.testing.assert_close(layer(x), expected)
    assert (layer(x).min() >= 0) == (position == "before")


def test_silent_blocks_leave_the_identity_path():
    net = build("residual", depth=6)
    for block in net.hidden[1:-2]:
        nn.init.zeros_(block.linear.weight)
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(net(x), net.head(net.hidden[0](x).relu()))


def test_a_block_adds_to_what_came_in():
    net = build("residual", "layer", depth=3)
    stem, block, last_norm, activation = net.hidden
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    h = stem(x)
    expected = h + block.linear(block.norm(h).relu())
    torch.testing.assert_close(net(x), net.head(activation(last_norm(expected))))


def test_plain_network_by_hand():
    net = build("plain", depth=3, activation="tanh")
    first, second, head = linears(net)
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    expected = torch.tanh(torch.tanh(x @ first.weight.T) @ second.weight.T) @ head.weight.T
    torch.testing.assert_close(net(x), expected)
