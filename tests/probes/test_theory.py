"""Quadrature against closed forms, an adaptive integrator and simulated layers."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import expit

from ics_bench.probes import theory

SMOOTH = {
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "sigmoid": (expit, lambda x: expit(x) * expit(-x)),
}


def adaptive(function, q):
    """E[f(√q z)] by an integrator that knows nothing of the nodes in use."""

    def integrand(z):
        return function(math.sqrt(q) * z) * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    return sum(quad(integrand, a, b, epsabs=1e-13, limit=400)[0] for a, b in ((-12, -1), (-1, 0), (0, 1), (1, 12)))


@pytest.mark.parametrize("q", [1e-6, 0.1, 1.0, 12.0, 250.0, 1e4])
@pytest.mark.parametrize("activation", SMOOTH)
def test_smooth_activations_agree_with_adaptive_integration(activation, q):
    phi, slope = SMOOTH[activation]
    assert theory.mean_square(activation, q) == pytest.approx(adaptive(lambda x: phi(x) ** 2, q), rel=1e-8)
    assert theory.mean_square_slope(activation, q) == pytest.approx(adaptive(lambda x: slope(x) ** 2, q), rel=1e-8)


@given(st.floats(1e-100, 1e100), st.floats(1e-3, 1e3))
def test_relu_and_identity_have_closed_forms(q, gain):
    assert theory.second_moment_rate("relu", q, gain) == pytest.approx(gain / 2)
    assert theory.chi("relu", q, gain) == pytest.approx(gain / 2)
    assert theory.second_moment_rate("identity", q, gain) == pytest.approx(gain)
    assert theory.chi("identity", q, gain) == pytest.approx(gain)


def test_weights_total_one_and_have_unit_variance():
    assert theory.expectation(np.ones_like, 1.0) == pytest.approx(1.0, rel=1e-14)
    assert theory.expectation(np.square, 1.0) == pytest.approx(1.0, rel=1e-13)


def test_sigmoid_of_symmetric_input_has_mean_one_half():
    assert theory.expectation(lambda x: 0.5 * (1 + np.tanh(x / 2)), 7.0) == pytest.approx(0.5)


def test_tanh_at_gain_five_thirds_settles_where_gradients_grow():
    gain = (5 / 3) ** 2
    q = theory.fixed_point("tanh", gain)
    assert theory.q_map("tanh", q, gain) == pytest.approx(q)
    assert q == pytest.approx(1.18, abs=0.005)
    assert theory.chi("tanh", q, gain) == pytest.approx(1.21, abs=0.005)


@given(st.floats(1.1, 50.0))
@settings(max_examples=25, deadline=None)
def test_fixed_point_does_not_depend_on_the_start(gain):
    assert theory.fixed_point("tanh", gain, q=0.01) == pytest.approx(theory.fixed_point("tanh", gain, q=30.0), rel=1e-8)


def test_fixed_point_with_bias_matches_the_geometric_series():
    assert theory.fixed_point("relu", 1 / 3, bias_variance=0.1) == pytest.approx(0.1 / (1 - 1 / 6))


def test_unbounded_growth_has_no_fixed_point():
    with pytest.raises(ValueError, match=r"relu at gain 2\.5"):
        theory.fixed_point("relu", 2.5)


def test_curve_of_second_moments():
    assert theory.second_moments("relu", 4, 4.0) == pytest.approx((4.0, 8.0, 16.0, 32.0))
    assert theory.second_moments("relu", 4, 4.0, normalized=True) == pytest.approx((4.0, 2.0, 2.0, 2.0))
    assert theory.second_moments("identity", 3, 1.0, bias_variance=0.5) == pytest.approx((1.5, 2.0, 2.5))


def simulated_rate(normalize, activation, shape):
    """Squared gradient norm before over after ``normalize`` then φ, for an independent gradient."""
    generator = torch.Generator().manual_seed(3)
    z = torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_(True)
    g = torch.randn(shape, generator=generator, dtype=torch.float64)
    a = activation(normalize(z))
    (back,) = torch.autograd.grad(a, z, g)
    second_moment = float(a.detach().square().mean())  # what the following layer of gain 1 divides by
    return float(back.square().sum() / g.square().sum()) / second_moment


@pytest.mark.parametrize("group_size", [8, 32])
@pytest.mark.parametrize("name", ["relu", "identity"])
def test_feature_norm_rate_matches_a_simulated_layer(name, group_size):
    activation = torch.relu if name == "relu" else torch.nn.Identity()
    shape = (60_000, group_size)

    def centred(z):
        return torch.nn.functional.layer_norm(z, (group_size,), eps=0.0)

    def uncentred(z):
        return z / z.square().mean(dim=1, keepdim=True).sqrt()

    for normalize, is_centred in ((centred, True), (uncentred, False)):
        expected = theory.feature_norm_gradient_rate(name, group_size, is_centred)
        assert simulated_rate(normalize, activation, shape) == pytest.approx(expected, rel=0.02)


def test_linear_batch_norm_rate_matches_a_simulated_layer():
    def normalize(z):
        return torch.nn.functional.batch_norm(z, None, None, training=True, eps=1e-12)

    rate = simulated_rate(normalize, torch.nn.Identity(), (8, 60_000))
    assert rate == pytest.approx(theory.batch_norm_gradient_rate("identity", 8), rel=0.02)


def test_batch_norm_closed_forms():
    assert theory.batch_norm_gradient_rate("relu", 128) == pytest.approx(1.46694, abs=1e-5)
    assert theory.batch_norm_gradient_rate("identity", 8) == pytest.approx(1.2)
    assert theory.batch_norm_gradient_rate("tanh", 128) is None
    assert theory.batch_norm_gradient_rate("identity", 3) is None


def test_groups_too_small_for_a_mean_are_refused():
    with pytest.raises(ValueError, match="below 4 features"):
        theory.feature_norm_gradient_rate("relu", 3, centred=True)
    with pytest.raises(ValueError, match="below 3 features"):
        theory.feature_norm_gradient_rate("relu", 2, centred=False)
