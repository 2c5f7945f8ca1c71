"""The closed form against torch.distributions, and where subtraction would lose its digits."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ics_bench.probes.gaussian_kl import gaussian_kl

MEANS, STDS = st.floats(-5, 5), st.floats(0.1, 10)


def kl(*values):
    return float(gaussian_kl(*(torch.tensor([value], dtype=torch.float64) for value in values)))


@given(MEANS, STDS, MEANS, STDS)
def test_agrees_with_torch_distributions(mean, std, other_mean, other_std):
    one, other = (
        torch.distributions.Normal(torch.tensor(m, dtype=torch.float64), torch.tensor(s, dtype=torch.float64))
        for m, s in ((mean, std), (other_mean, other_std))
    )
    expected = float(torch.distributions.kl_divergence(one, other))
    assert kl(mean, std, other_mean, other_std) == pytest.approx(expected, rel=1e-9, abs=1e-13)


@given(MEANS, STDS)
def test_of_a_distribution_from_itself_is_zero(mean, std):
    assert kl(mean, std, mean, std) == 0.0


def test_known_values():
    assert kl(0, 1, 1, 1) == pytest.approx(0.5)
    assert kl(0, 2, 0, 1) == pytest.approx(1.5 - math.log(2))
    assert kl(0, 1, 0, 2) == pytest.approx(math.log(2) - 0.375)


@pytest.mark.parametrize("delta", [1e-4, 1e-6, 1e-8])
def test_small_divergences_keep_their_digits(delta):
    """Near equality KL = (Δσ/σ)² + (Δμ/σ)²/2 to leading order."""
    assert kl(0, 1 + delta, 0, 1) == pytest.approx(delta**2, rel=3 * delta)
    assert kl(delta, 1, 0, 1) == pytest.approx(delta**2 / 2, rel=1e-9)


def test_each_unit_has_its_own():
    mean, std = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([1.0, 2.0, 3.0])
    found = gaussian_kl(mean, std, torch.zeros(3), torch.ones(3))
    assert found.dtype == torch.float64
    assert found.tolist() == pytest.approx([kl(m, s, 0, 1) for m, s in zip(mean.tolist(), std.tolist(), strict=True)])
