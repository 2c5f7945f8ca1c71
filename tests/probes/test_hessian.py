"""Eigenvalues by Lanczos against closed forms and explicit Hessians."""

import math

import pytest
import torch
from explicit import WrittenOutBatchNorm, X, Y, batch_norm, explicit_hessian, net

from ics_bench.probes.hessian import top_eigenvalues
from ics_bench.probes.objective import surface
from ics_bench.probes.products import hessian_product


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def diagonal(values):
    values = torch.as_tensor(values, dtype=torch.float64)
    return lambda v: (values * v[0],), (torch.zeros(len(values), dtype=torch.float64),)


def test_the_eigenvalues_of_an_explicit_hessian():
    model = net(batch_norm)
    s = surface(model, X, Y)
    expected = torch.linalg.eigvalsh(explicit_hessian(net(WrittenOutBatchNorm))).flip(0)[:5]
    found = top_eigenvalues(hessian_product(s, s.at), s.at, 5, generator(), tolerance=1e-8)
    assert found.eigenvalues == pytest.approx(expected.tolist(), rel=1e-6)
    assert found.residual <= 1e-8


def test_largest_means_algebraically_largest():
    product, like = diagonal([-50.0, 3.0, 2.0, 0.5])
    assert top_eigenvalues(product, like, 2, generator(), tolerance=1e-9).eigenvalues == pytest.approx((3.0, 2.0))


def test_outliers_above_a_bulk_are_found_once_each():
    """Without reorthogonalisation Lanczos finds copies of the largest ones."""
    values = torch.cat([torch.tensor([100.0, 60.0, 30.0, 10.0]), torch.linspace(-1, 1, 800)]).double()
    product, like = diagonal(values)
    found = top_eigenvalues(product, like, 4, generator(1), tolerance=1e-10, max_iterations=100)
    assert found.eigenvalues == pytest.approx((100.0, 60.0, 30.0, 10.0))
    long = top_eigenvalues(product, like, 10, generator(1), tolerance=0.0, max_iterations=100)
    assert all(value <= 1 + 1e-9 for value in long.eigenvalues[4:])


def test_the_answer_does_not_depend_on_the_start():
    product, like = diagonal([9.0, 5.0, 4.0, *torch.linspace(0, 1, 100).tolist()])
    found = {top_eigenvalues(product, like, 3, generator(s), tolerance=1e-9).eigenvalues for s in range(3)}
    for one in found:
        assert one == pytest.approx((9.0, 5.0, 4.0))


def test_a_small_matrix_is_exhausted_before_the_count():
    product, like = diagonal([2.0, 1.0])
    found = top_eigenvalues(product, like, 5, generator())
    assert found.eigenvalues == pytest.approx((2.0, 1.0))
    assert found.residual == 0.0


def test_the_residual_bounds_the_error_when_iterations_run_out():
    values = torch.linspace(0, 1, 500).double() ** 2
    product, like = diagonal(values)
    found = top_eigenvalues(product, like, 1, generator(), tolerance=1e-12, max_iterations=12)
    assert found.iterations == 12
    assert 0 < abs(found.eigenvalues[0] - 1.0) <= found.residual


def test_zero_and_broken_matrices():
    product, like = diagonal([0.0, 0.0, 0.0])
    assert top_eigenvalues(product, like, 1, generator()).eigenvalues == (0.0,)
    product, like = diagonal([math.nan, 1.0])
    assert all(math.isnan(value) for value in top_eigenvalues(product, like, 2, generator()).eigenvalues)


def test_counts_out_of_range_are_refused():
    product, like = diagonal([1.0])
    with pytest.raises(ValueError, match="count=0"):
        top_eigenvalues(product, like, 0, generator())
