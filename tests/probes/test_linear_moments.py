"""Moments through a linear layer against exact arithmetic and the Gaussian closed form."""

import pytest
import torch

from ics_bench.probes.linear_moments import (
    mean_error,
    predict_correlated,
    predict_independent,
    unit_moments,
    variance_error,
)


def layer(fan_in, fan_out=6):
    generator = torch.Generator().manual_seed(3)
    return (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((fan_out, fan_in), (fan_out,)))


def corners(features):
    """All points of {-1, 1} x {1, 3} x ...: coordinates independent exactly, with different means."""
    axes = [torch.tensor([-1.0 + 2 * i, 1.0 + 2 * i], dtype=torch.float64) for i in range(features)]
    return torch.cartesian_prod(*axes)


def test_independent_inputs_are_predicted_exactly():
    weight, bias = layer(5)
    h = corners(5)
    found = unit_moments(h @ weight.T + bias)
    predicted = predict_independent(weight, bias, unit_moments(h))
    assert mean_error(predicted, found) < 1e-13
    assert variance_error(predicted, found) < 1e-13


def test_correlated_inputs_break_the_variance_and_not_the_mean():
    weight, bias = layer(2)
    h = corners(1).reshape(-1, 1).repeat(1, 2)  # one feature twice: Var[z] = (w₁ + w₂)² instead of w₁² + w₂²
    found = unit_moments(h @ weight.T + bias)
    naive = predict_independent(weight, bias, unit_moments(h))
    assert mean_error(naive, found) < 1e-13
    expected = (weight.square().sum(1) / weight.sum(1).square() - 1).square().mean().sqrt()
    assert variance_error(naive, found) == pytest.approx(float(expected), rel=1e-12)
    assert variance_error(predict_correlated(weight, bias, h), found) < 1e-12


def test_moments_are_the_populations():
    found = unit_moments(torch.tensor([[1.0, 0.0], [3.0, 0.0]]))
    assert found.mean.tolist() == [2.0, 0.0]
    assert found.variance.tolist() == [1.0, 0.0]
    assert found.std.tolist() == [1.0, 0.0]
