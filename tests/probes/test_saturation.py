"""Saturation by its definition and against the normal distribution function."""

import math

import pytest
import torch

from ics_bench.probes.saturation import saturated_fraction


def test_tanh_counts_both_ends():
    a = torch.tensor([-0.99, -0.971, -0.969, 0.0, 0.969, 0.971, 0.99, 1.0], dtype=torch.float64)
    assert saturated_fraction(a, "tanh") == 5 / 8


def test_sigmoid_counts_both_ends():
    a = torch.tensor([0.0, 0.029, 0.031, 0.5, 0.969, 0.971], dtype=torch.float64)
    assert saturated_fraction(a, "sigmoid") == 3 / 6


@pytest.mark.parametrize(("activation", "threshold"), [("tanh", math.atanh(0.97)), ("sigmoid", math.log(0.97 / 0.03))])
def test_gaussian_pre_activations_saturate_as_the_normal_tail_says(activation, threshold):
    std = 4.0
    z = std * torch.randn(200_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = math.erfc(threshold / std / math.sqrt(2))
    assert saturated_fraction(getattr(torch, activation)(z), activation) == pytest.approx(expected, abs=0.005)


def test_unbounded_activations_have_no_saturation():
    with pytest.raises(ValueError, match="'relu' does not saturate"):
        saturated_fraction(torch.ones(3), "relu")


def test_nan_has_no_fraction():
    assert math.isnan(saturated_fraction(torch.tensor([math.nan, 1.0]), "tanh"))
