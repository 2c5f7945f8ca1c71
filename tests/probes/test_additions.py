"""The order around residual additions, on modules whose order is plain to see."""

import math

import pytest
import torch
from torch import nn

from ics_bench.probes.additions import OTHER, Addition, additions, normalized_after, normalized_before
from ics_bench.subjects import ARCHITECTURES, INITIALIZERS
from ics_bench.subjects.norm import load_norm
from ics_bench.workloads._layer_kinds import kind_of

KIND = kind_of(nn.LayerNorm)


class Net(nn.Module):
    """One branch, with the order given as a function of its parts."""

    def __init__(self, order):
        super().__init__()
        self.linear, self.norm, self.activation = nn.Linear(4, 4), nn.LayerNorm(4), nn.ReLU()
        self.order = order

    def forward(self, x):
        return self.order(self, x)


def traced(order, x=None):
    return additions(Net(order), torch.randn(3, 4) if x is None else x, KIND)


def test_post_norm():
    (found,) = traced(lambda net, x: net.norm(x + net.linear(x)))
    assert found == Addition(("", "linear"), ("norm",))


def test_norm_in_the_branch():
    (found,) = traced(lambda net, x: net.activation(net.norm(net.linear(x)) + x))
    assert found == Addition(("norm", ""), ("activation",))


def test_a_sum_that_is_also_passed_on_is_not_normalized():
    def order(net, x):
        h = x + net.linear(x)
        return h + net.linear(net.norm(h))

    first, second = traced(order)
    assert first.consumers == ("norm", "addition")
    assert second == Addition(("addition", "linear"), ())
    assert normalized_after((first, second)) == 0


@pytest.mark.parametrize(
    "add",
    [
        torch.add,
        lambda a, b: a.add(b),
        lambda a, b: a + b,
        lambda a, b: a.add_(b),
        lambda a, b: torch.add(a, b, alpha=2.0),
    ],
)
def test_however_the_addition_is_written(add):
    (found,) = traced(lambda net, x: net.norm(add(net.linear(x), x)))
    assert found == Addition(("linear", ""), ("norm",))


def test_in_place_addition_is_seen():
    def order(net, x):
        h = net.linear(x)
        h += x
        return net.norm(h)

    (found,) = traced(order)
    assert found == Addition(("linear", ""), ("norm",))


@pytest.mark.parametrize("gain", [2.0, torch.tensor(2.0), torch.full((4,), 2.0)], ids=["number", "scalar", "vector"])
def test_what_a_function_outside_of_any_layer_made_passes_for_no_kind(gain):
    (found,) = traced(lambda net, x: net.norm(net.linear(x) * gain + x))
    assert found == Addition((OTHER, ""), ("norm",))


def test_a_view_passes_for_what_it_views():
    (found,) = traced(lambda net, x: net.norm((net.linear(x) + x).reshape(3, 2, 2).reshape(3, 4)))
    assert found.consumers == ("norm",)


def test_biases_and_constants_are_no_residual_additions():
    assert traced(lambda net, x: net.norm(net.linear(x) + 1.0 + net.linear.bias)) == ()
    assert math.isnan(normalized_after(()))


def test_shares():
    found = (Addition(("norm", ""), ("activation",)), Addition(("linear", "norm"), ("norm",)))
    assert (normalized_before(found), normalized_after(found)) == (1.0, 0.5)


@pytest.mark.parametrize(
    ("name", "depth", "blocks", "before", "after"),
    [
        ("resnet", 20, 9, 1.0, 0.0),
        ("resnet_post", 20, 9, 2 / 9, 1.0),  # two shortcuts change shape, and end in a norm
        ("residual", 6, 4, 0.0, 1 / 4),  # the last sum goes into the norm before the head alone
        ("residual_post", 6, 4, 0.0, 1.0),
    ],
)
@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_residual_nets(name, depth, blocks, before, after, norm):
    norm_layer = load_norm(norm).build
    model = ARCHITECTURES.load(name)(
        in_features=64,
        num_classes=10,
        depth=depth,
        width=8,
        norm_layer=norm_layer,
        initialize=INITIALIZERS.load("he"),
        generator=torch.Generator().manual_seed(0),
    )
    found = additions(model, torch.randn(4, 64), kind_of(norm_layer))
    assert len(found) == blocks
    assert (normalized_before(found), normalized_after(found)) == (before, after)


def test_the_model_is_left_as_it_was():
    torch.manual_seed(0)
    norm_layer = load_norm("batch").build
    model = nn.Sequential(nn.Linear(4, 4), norm_layer(4), nn.Dropout())
    state, drawn = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    additions(model, torch.randn(8, 4, generator=torch.Generator().manual_seed(1)), kind_of(norm_layer))
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in state.items())
    assert model.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
