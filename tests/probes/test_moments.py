"""Moments agree with exact arithmetic and survive where a naive square would not."""

import math
import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ics_bench.probes.moments import moments, norm

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30)


@given(VALUES)
def test_agrees_with_exact_rational_arithmetic(values):
    found = moments(torch.tensor(values, dtype=torch.float64))
    tolerance = 1e-13 * max(abs(v) for v in values) + 1e-320
    assert found.mean == pytest.approx(statistics.fmean(values), abs=tolerance)
    assert found.std == pytest.approx(statistics.pstdev(values), abs=1e2 * tolerance)
    exact_rms = statistics.pstdev(values + [-v for v in values])
    assert found.rms == pytest.approx(exact_rms, rel=1e-13, abs=1e-320)


@given(VALUES, st.integers(-900, 900))
def test_scales_exactly_with_powers_of_two(values, exponent):
    x = torch.tensor([round(v) for v in values], dtype=torch.float64)
    plain, scaled = moments(x), moments(x * 2.0**exponent)
    assert scaled.mean == math.ldexp(plain.mean, exponent)
    assert scaled.std == math.ldexp(plain.std, exponent)
    assert scaled.rms == math.ldexp(plain.rms, exponent)


@pytest.mark.parametrize("size", [1e-310, 1e-300, 1e-200, 1e200, 1e300])
def test_neither_underflows_nor_overflows(size):
    found = moments(torch.tensor([size, -size, size, -size], dtype=torch.float64))
    assert found.rms == pytest.approx(size, rel=1e-12)
    assert found.std == pytest.approx(size, rel=1e-12)
    assert found.mean == 0.0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_low_precision_inputs_are_accumulated_in_float64(dtype):
    x = torch.full((1 << 16,), 3.0, dtype=dtype)
    x[0] = 1.0
    expected = (3.0 * ((1 << 16) - 1) + 1.0) / (1 << 16)
    found = moments(x)
    assert found.mean == pytest.approx(expected, rel=1e-12)
    assert found.std == pytest.approx(math.sqrt(4.0 * ((1 << 16) - 1)) / (1 << 16), rel=1e-9)


def test_second_moment_is_the_square_of_the_root_mean_square():
    assert moments(torch.tensor([3.0, 4.0])).second_moment == pytest.approx(12.5)
    assert norm(torch.tensor([[3.0], [4.0]])) == pytest.approx(5.0)


def test_zeros_are_zero():
    found = moments(torch.zeros(3))
    assert (found.mean, found.std, found.rms) == (0.0, 0.0, 0.0)


def test_infinite_and_nan_entries_show():
    infinite = moments(torch.tensor([1.0, math.inf]))
    assert infinite.mean == math.inf
    assert infinite.rms == math.inf
    assert math.isnan(infinite.std)
    undefined = moments(torch.tensor([1.0, math.nan]))
    assert all(math.isnan(v) for v in (undefined.mean, undefined.std, undefined.rms))


def test_empty_is_an_error():
    with pytest.raises(ValueError, match=r"shape \(0, 3\)"):
        moments(torch.empty(0, 3))


def test_input_is_left_alone():
    x = torch.randn(5, requires_grad=True)
    before = x.detach().clone()
    moments(x)
    assert torch.equal(x, before)
    assert x.grad is None
