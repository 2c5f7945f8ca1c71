"""Gradient shift against a closed form, and against stepping the layers one by one with ordinary autograd."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ics_bench.probes.gradient_shift import compare_gradients, gradient_shift, gradient_shifts, layer_gradients
from ics_bench.probes.layers import layers_of
from ics_bench.subjects.initializers import he
from ics_bench.subjects.mlp import MLP
from ics_bench.subjects.norm import load_norm


def net(norm="none", depth=4):
    generator = torch.Generator().manual_seed(0)
    return MLP(6, 3, depth, 8, load_norm(norm).build, he, generator).double()


def batch(n=16):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 6, generator=generator, dtype=torch.float64), torch.arange(n) % 3


def stepped(model, x, y, rate):
    """Parameters by name after one step of gradient descent."""
    twin = copy.deepcopy(model)
    optimizer = torch.optim.SGD(twin.parameters(), lr=rate)
    cross_entropy(twin(x), y).backward()
    optimizer.step()
    return {name: parameter.detach() for name, parameter in twin.named_parameters()}


def test_comparison_by_hand():
    found = compare_gradients(torch.tensor([3.0, 4.0]), torch.tensor([4.0, 3.0]))
    assert found.l2 == pytest.approx(math.sqrt(2))
    assert found.relative == pytest.approx(math.sqrt(2) / 5)
    assert found.cosine == pytest.approx(24 / 25)


@pytest.mark.parametrize("size", [1e-200, 1.0, 1e200])
def test_comparison_neither_under_nor_overflows(size):
    g, other = (size * torch.tensor(values, dtype=torch.float64) for values in ([1.0, 0.0], [-1.0, 0.0]))
    found = compare_gradients(g, other)
    assert (found.l2, found.relative, found.cosine) == (2 * size, 2.0, -1.0)


def test_gradients_of_zero_have_no_direction():
    found = compare_gradients(torch.zeros(2), torch.zeros(2))
    assert found.l2 == 0.0
    assert math.isnan(found.cosine)
    assert math.isnan(found.relative)
    assert math.isnan(compare_gradients(torch.tensor([math.nan]), torch.ones(1)).l2)
    with pytest.raises(ValueError, match="shapes"):
        compare_gradients(torch.zeros(2), torch.zeros(3))


def test_two_scalar_layers_in_closed_form():
    """ŷ = w₂w₁x, L = ½ mean (ŷ − y)²: ∂L/∂w₂ = w₁(w₂w₁ mean x² − mean xy), which w₁'s step alone changes."""
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)).double()
    w1, w2, rate = 0.7, -1.3, 0.2
    with torch.no_grad():
        model[0].weight.fill_(w1)
        model[1].weight.fill_(w2)
    x, y = (torch.tensor(v, dtype=torch.float64)[:, None] for v in ([1.0, 2.0, -1.0], [0.5, 1.0, 2.0]))
    square, product = float((x * x).mean()), float((x * y).mean())
    step1 = w1 - rate * w2 * (w2 * w1 * square - product)
    before, after = (w * (w2 * w * square - product) for w in (w1, step1))
    first, second = gradient_shifts(
        model,
        {"0.weight": torch.full((1, 1), step1, dtype=x.dtype), "1.weight": torch.full((1, 1), math.nan)},
        x,
        y,
        lambda output, target: 0.5 * (output - target).square().mean(),
    )
    assert (first.l2, first.cosine) == (0.0, 1.0)
    assert second.l2 == pytest.approx(abs(after - before), rel=1e-12)
    assert second.relative == pytest.approx(abs(after - before) / abs(before), rel=1e-12)
    assert second.cosine == math.copysign(1.0, before * after)


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_agrees_with_stepping_the_lower_layers_and_differentiating_again(norm):
    model, (x, y) = net(norm), batch()
    after = stepped(model, x, y, 0.3)
    found = gradient_shifts(model, after, x, y, cross_entropy)
    layers = layers_of(model)
    for place, layer in enumerate(layers):
        twin = copy.deepcopy(model)
        cross_entropy(twin(x), y).backward()
        g = twin.get_parameter(layer.weight).grad.clone()
        with torch.no_grad():
            for below in layers[:place]:
                for name in below.parameters:
                    twin.get_parameter(name).copy_(after[name])
        twin.zero_grad()
        cross_entropy(twin(x), y).backward()
        shifted = twin.get_parameter(layer.weight).grad
        assert found[place].l2 == pytest.approx(float((g - shifted).norm()), rel=1e-9, abs=1e-15)
        expected = float(torch.nn.functional.cosine_similarity(g.flatten(), shifted.flatten(), dim=0))
        assert found[place].cosine == pytest.approx(expected, rel=1e-9)
    assert found[-1].cosine < 0.999


def test_one_layer_alone_is_the_same_as_among_all():
    model, (x, y) = net("batch"), batch()
    after = stepped(model, x, y, 0.1)
    everywhere = gradient_shifts(model, after, x, y, cross_entropy)
    assert tuple(gradient_shift(model, after, i, x, y, cross_entropy) for i in range(4)) == everywhere
    with pytest.raises(ValueError, match="layer 4 of 4"):
        gradient_shift(model, after, 4, x, y, cross_entropy)


def test_no_step_is_no_shift():
    model, (x, y) = net("batch"), batch()
    for shift in gradient_shifts(model, dict(model.named_parameters()), x, y, cross_entropy):
        assert (shift.l2, shift.relative) == (0.0, 0.0)
        assert shift.cosine == pytest.approx(1.0, abs=1e-12)


def test_noise_is_the_same_before_and_after():
    model, (x, y) = net("noisy_batch"), batch()
    for shift in gradient_shifts(model, dict(model.named_parameters()), x, y, cross_entropy, seed=3):
        assert shift.l2 == 0.0


@pytest.mark.parametrize("training", [True, False])
def test_everything_is_as_it_was(training):
    model, (x, y) = net("noisy_batch").train(training), batch()
    after = {name: parameter.detach() + 0.1 for name, parameter in model.named_parameters()}
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    gradient_shifts(model, after, x, y, cross_entropy)
    layer_gradients(model, x, y, cross_entropy)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training is training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
