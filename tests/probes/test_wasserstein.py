"""Exact Wasserstein-1 distances against scipy's, for samples of equal and of different sizes."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from ics_bench.probes.wasserstein import wasserstein

SAMPLE = st.lists(st.one_of(st.integers(-3, 3).map(float), st.floats(-1e3, 1e3)), min_size=1, max_size=12)


def column(values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


@given(SAMPLE, SAMPLE)
def test_agrees_with_scipy(first, second):
    expected = wasserstein_distance(first, second)
    assert float(wasserstein(column(first), column(second))) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(SAMPLE, st.randoms())
def test_order_does_not_matter_and_a_sample_is_at_no_distance_from_itself(values, random):
    shuffled = list(values)
    random.shuffle(shuffled)
    assert float(wasserstein(column(values), column(shuffled))) == 0.0


@given(SAMPLE, st.floats(-100, 100))
def test_a_shift_is_its_own_distance(values, shift):
    moved = [value + shift for value in values]
    assert float(wasserstein(column(values), column(moved))) == pytest.approx(abs(shift), abs=1e-10)


@pytest.mark.parametrize("sizes", [(40, 40), (40, 25)])
def test_units_are_taken_one_by_one(sizes):
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(n, 5, generator=generator) for n in sizes)
    second = second * torch.tensor([1.0, 2.0, 1.0, 3.0, 1.0]) + torch.arange(5.0)
    found = wasserstein(first, second)
    assert found.dtype == torch.float64
    assert found.tolist() == pytest.approx([wasserstein_distance(first[:, i], second[:, i]) for i in range(5)])


def test_nan_shows():
    assert math.isnan(wasserstein(column([1.0, math.nan]), column([1.0, 2.0])))
    assert math.isnan(wasserstein(column([1.0, math.nan]), column([1.0, 2.0, 3.0])))


def test_shapes_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match=r"\(4, 2\) and \(4, 3\)"):
        wasserstein(torch.zeros(4, 2), torch.zeros(4, 3))
    with pytest.raises(ValueError, match="empty sample"):
        wasserstein(torch.zeros(0, 2), torch.zeros(4, 2))
