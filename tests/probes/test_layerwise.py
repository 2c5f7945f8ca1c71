"""A trace equals what the layers compute, and leaves no trace of its own."""

import pytest
import torch
from torch import nn

from ics_bench.probes.layerwise import trace
from ics_bench.subjects.mlp import Hidden


def stack(norm_layer=nn.LayerNorm, activation="tanh", depth=4, width=6):
    torch.manual_seed(0)
    return [Hidden(width, width, norm_layer, activation, "before").double() for _ in range(depth)]


def batch(samples=5, width=6):
    generator = torch.Generator().manual_seed(1)
    return (torch.randn(samples, width, generator=generator, dtype=torch.float64) for _ in range(2))


def test_signals_equal_a_pass_by_hand():
    layers = stack()
    x, cotangent = batch()
    seen = trace(layers, x, cotangent)
    h = x
    for layer, z, a in zip(layers, seen.pre_activations, seen.activations, strict=True):
        by_hand = h @ layer.linear.weight.T + layer.linear.bias
        torch.testing.assert_close(z, by_hand.detach())
        h = torch.tanh(nn.functional.layer_norm(by_hand, (6,)))
        torch.testing.assert_close(a, h.detach())


def test_gradients_equal_finite_differences():
    layers = stack()
    x, cotangent = batch()
    seen = trace(layers, x, cotangent)
    step = 1e-6
    for number in range(len(layers)):
        direction = torch.randn(5, 6, generator=torch.Generator().manual_seed(number), dtype=torch.float64)

        def loss(shift, number=number, direction=direction):
            with torch.no_grad():
                h = layers[number].activation(layers[number].norm(seen.pre_activations[number] + shift * direction))
                for layer in layers[number + 1 :]:
                    h = layer(h)
                return float((h * cotangent).sum())

        slope = (loss(step) - loss(-step)) / (2 * step)
        assert float((seen.gradients[number] * direction).sum()) == pytest.approx(slope, rel=1e-6, abs=1e-9)


def test_model_and_random_state_are_left_as_they_were():
    layers = stack(norm_layer=lambda width: nn.Sequential(nn.BatchNorm1d(width), nn.Dropout(0.5)), activation="relu")
    model = nn.ModuleList(layers)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    x, cotangent = batch()
    trace(layers, x, cotangent)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert x.grad is None
    assert not x.requires_grad
    assert not any(module._forward_hooks for module in model.modules())


def test_works_inside_no_grad():
    x, cotangent = batch()
    with torch.no_grad():
        inside = trace(stack(), x, cotangent)
    outside = trace(stack(), x, cotangent)
    assert all(torch.equal(a, b) for a, b in zip(inside.gradients, outside.gradients, strict=True))


def test_hooks_go_when_a_layer_fails():
    layers = stack()
    x, cotangent = batch(width=7)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        trace(layers, x, cotangent)
    assert not any(module._forward_hooks for layer in layers for module in layer.modules())
