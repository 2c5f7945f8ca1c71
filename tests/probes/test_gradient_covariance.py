"""The Kronecker identity against explicit matrices and exact independence and dependence."""

import math

import pytest
import torch

from ics_bench.probes.gradient_covariance import kronecker_error, weight_gradient_error


def draws(n, *sizes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, size, generator=generator, dtype=torch.float64) + 0.7 for size in sizes]


def by_hand(h, delta, centred=False):
    g = torch.stack([torch.kron(x, d) for x, d in zip(h, delta, strict=True)])
    if centred:
        g = g - g.mean(0)
    m = g.T @ g / len(g)
    k = torch.kron(h.T @ h / len(h), delta.T @ delta / len(h))
    best = (m * k).sum() / (k * k).sum()
    return float((m - best * k).norm() / m.norm())


@pytest.mark.parametrize("centred", [False, True])
def test_agrees_with_the_matrices_themselves(centred):
    h, delta = draws(600, 4, 3)
    delta = delta * h[:, :1] + 0.1
    assert kronecker_error(h, delta, centred) == pytest.approx(by_hand(h, delta, centred), rel=1e-9)


def full_grid(n=9):
    h, delta = draws(n, 4, 3)
    rows = torch.cartesian_prod(torch.arange(n), torch.arange(n))
    return h[rows[:, 0]], delta[rows[:, 1]]


def test_exact_independence_has_no_error():
    """Every h with every δ is a distribution in which the two are independent."""
    assert kronecker_error(*full_grid()) < 1e-7


def test_covariance_is_not_proportional_even_under_independence():
    h, delta = full_grid()
    assert kronecker_error(h, delta, centred=True) > 0.3
    assert kronecker_error(h, delta - delta.mean(0), centred=True) < 1e-7  # E[δ] = 0: E[g] = 0


def test_a_fully_dependent_pair_has_its_closed_form():
    """δ = h with h uniform on ±e_i of d axes: M = Σ eᵢeᵢᵀ⊗eᵢeᵢᵀ/d, K = I/d², so cos² = 1/d."""
    for d in (2, 3, 5):
        h = torch.cat([torch.eye(d), -torch.eye(d)])
        assert kronecker_error(h, h) == pytest.approx(math.sqrt(1 - 1 / d), rel=1e-9)


@pytest.mark.parametrize("scale", [1e-120, 1e120])
def test_the_scale_of_gradients_does_not_matter(scale):
    h, delta = draws(50, 3, 2)
    assert kronecker_error(h, delta * scale) == pytest.approx(kronecker_error(h, delta), rel=1e-12)


def test_zero_gradients_have_no_answer():
    assert math.isnan(kronecker_error(torch.ones(3, 2), torch.zeros(3, 2)))
    with pytest.raises(ValueError, match="rows of pairs"):
        kronecker_error(torch.ones(3, 2), torch.ones(2, 2))


def test_weight_gradient_is_the_outer_product():
    layer = torch.nn.Linear(4, 3, dtype=torch.float64)
    (h,) = draws(20, 4)
    z = layer(h)
    loss = z.sin().sum()
    delta, gradient = torch.autograd.grad(loss, [z, layer.weight])
    assert weight_gradient_error(gradient, h, delta) < 1e-14
    assert weight_gradient_error(2 * gradient, h, delta) == pytest.approx(0.5)
