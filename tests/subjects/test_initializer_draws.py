"""Initializers draw what their formulas say, and only from the generator that they are given."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ics_bench.core import UsageError
from ics_bench.subjects import INITIALIZERS
from ics_bench.subjects.initializers import fans

LAYERS = {
    "wide": lambda: nn.Linear(400, 200),
    "tall": lambda: nn.Linear(200, 400),
    "conv": lambda: nn.Conv2d(32, 64, 5),
}
STD = {
    "xavier": lambda fan_in, fan_out: math.sqrt(2 / (fan_in + fan_out)),
    "he": lambda fan_in, fan_out: math.sqrt(2 / fan_in),
    "lecun": lambda fan_in, fan_out: math.sqrt(1 / fan_in),
    "default": lambda fan_in, fan_out: math.sqrt(1 / (3 * fan_in)),
    "normal-0.01": lambda fan_in, fan_out: 0.01,
    "normal-2.5": lambda fan_in, fan_out: 2.5,
}


def drawn(name, layer, seed=0):
    INITIALIZERS.load(name)(layer, torch.Generator().manual_seed(seed))
    return layer


@pytest.mark.parametrize("shape", LAYERS)
@pytest.mark.parametrize("name", STD)
def test_standard_deviation_follows_the_formula(name, shape):
    layer = drawn(name, LAYERS[shape]())
    fan_in, fan_out = {"wide": (400, 200), "tall": (200, 400), "conv": (800, 1600)}[shape]
    assert fans(layer.weight) == (fan_in, fan_out)
    sigma = STD[name](fan_in, fan_out)
    weight = layer.weight.detach().double()
    five_standard_errors = 5 / math.sqrt(2 * weight.numel())
    assert float(weight.std()) == pytest.approx(sigma, rel=five_standard_errors)
    assert float(weight.mean()) == pytest.approx(0.0, abs=5 * sigma / math.sqrt(weight.numel()))


def test_default_is_uniform_within_its_bound():
    layer = drawn("default", nn.Linear(400, 200))
    for tensor in (layer.weight.detach(), layer.bias.detach()):
        assert float(tensor.abs().max()) <= 1 / 20
        assert float(tensor.abs().max()) > 0.95 / 20


@pytest.mark.parametrize("name", ["xavier", "he", "lecun", "orthogonal", "normal-1"])
def test_bias_is_zero_where_the_source_says_so(name):
    layer = nn.Linear(8, 8)
    nn.init.ones_(layer.bias)
    assert torch.equal(drawn(name, layer).bias, torch.zeros(8))


@pytest.mark.parametrize("name", INITIALIZERS.builtin())
def test_layers_without_bias_are_filled_too(name):
    layer = nn.Linear(8, 8, bias=False)
    before = layer.weight.detach().clone()
    assert not torch.equal(drawn(name, layer).weight, before)


@pytest.mark.parametrize("shape", [(30, 30), (20, 50), (50, 20)])
def test_orthogonal_has_orthonormal_rows_or_columns(shape):
    weight = drawn("orthogonal", nn.Linear(shape[1], shape[0]).double()).weight.detach()
    small = weight @ weight.T if shape[0] <= shape[1] else weight.T @ weight
    torch.testing.assert_close(small, torch.eye(min(shape), dtype=torch.float64), atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", INITIALIZERS.builtin())
def test_draws_come_from_the_given_generator_alone(name):
    layers = [nn.Linear(8, 8) for _ in range(3)]
    state = torch.get_rng_state()
    first, again, other = (drawn(name, layer, seed).weight for layer, seed in zip(layers, (1, 1, 2), strict=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.grad_fn is None


@given(st.floats(1e-30, 1e30))
def test_any_positive_scale_keeps_its_value_and_its_name(sigma):
    name = INITIALIZERS.canonical(f"normal-{sigma!r}")
    assert INITIALIZERS.canonical(name) == name
    assert float(name.removeprefix("normal-")) == sigma
    assert callable(INITIALIZERS.load(name))


def test_equal_scales_share_one_name():
    assert {INITIALIZERS.canonical(f"normal-{text}") for text in ("0.01", "0.010", "1e-2")} == {"normal-0.01"}
    assert INITIALIZERS.canonical("normal-1.0") == "normal-1"


@pytest.mark.parametrize("name", ["normal-0", "normal-0.0", "normal-1e999"])
def test_scales_must_be_positive_and_finite(name):
    with pytest.raises(UsageError, match=f"initializer '{name}': the scale must be positive"):
        INITIALIZERS.canonical(name)


@pytest.mark.parametrize("name", ["normal-", "normal--1", "normal-abc", "normal-inf", "normal-nan", "normal", "hee"])
def test_what_is_no_initializer_is_unknown(name):
    with pytest.raises(UsageError, match=f"unknown initializer '{name}'"):
        INITIALIZERS.canonical(name)


def test_what_cannot_be_called_is_refused():
    with pytest.raises(UsageError, match=r"initializer 'math:pi' is 3\.14"):
        INITIALIZERS.canonical("math:pi")
