"""The Fisher block's spectrum against the matrix itself and against K-FAC's exact case."""

import math

import pytest
import torch

from ics_bench.probes.fisher import fisher_block, gradient_factor, input_factor, kronecker_condition


def pairs(n=40, fan_in=3, fan_out=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(n, size, generator=generator, dtype=torch.float64) + 0.5 for size in (fan_in, fan_out))


@pytest.mark.parametrize("bias", [True, False])
def test_spectrum_is_that_of_the_explicit_matrix(bias):
    h, delta = pairs()
    z = torch.cat([torch.ones(len(h), 1, dtype=h.dtype), h], dim=1) if bias else h
    g = torch.stack([torch.outer(d, row).flatten() for d, row in zip(delta, z, strict=True)])
    values = torch.linalg.eigvalsh(g.T @ g / len(g))
    found = fisher_block(h, delta, bias)
    assert (found.rank, found.size) == (len(values), len(values))
    assert found.largest == pytest.approx(float(values[-1]), rel=1e-9)
    assert found.condition == pytest.approx(float(values[-1] / values[0]), rel=1e-6)


def test_block_is_the_product_of_its_factors_on_a_full_grid_of_pairs():
    """Every h with every δ: independence holds exactly, and with it K-FAC."""
    h, delta = pairs(n=7)
    rows = torch.cartesian_prod(torch.arange(7), torch.arange(7))
    h, delta = h[rows[:, 0]], delta[rows[:, 1]]
    found = fisher_block(h, delta)
    assert found.condition == pytest.approx(kronecker_condition(h, delta), rel=1e-6)
    tops = (float(torch.linalg.eigvalsh(factor)[-1]) for factor in (input_factor(h), gradient_factor(delta)))
    assert found.largest == pytest.approx(math.prod(tops), rel=1e-9)


def test_fewer_samples_than_weights_are_singular():
    h, delta = pairs(n=5, fan_in=6, fan_out=4)
    found = fisher_block(h, delta)
    assert (found.rank, found.size, found.condition) == (5, 28, math.inf)


def test_input_factor_holds_the_mean_beside_the_bias():
    factor = input_factor(torch.tensor([[1.0], [3.0]]))
    assert torch.equal(factor, torch.tensor([[1.0, 2.0], [2.0, 5.0]], dtype=torch.float64))


def test_rows_must_belong_together():
    with pytest.raises(ValueError, match="belong together"):
        fisher_block(torch.zeros(3, 1), torch.zeros(2, 1))
