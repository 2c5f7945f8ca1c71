"""Zero entries and dead units are different things."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ics_bench.probes.dead import dead_fraction, zero_fraction


def test_zero_entries_do_not_make_a_unit_dead():
    a = torch.tensor([[0.0, 1.0, 0.0, 0.0], [2.0, 0.0, 0.0, 3.0]])
    assert zero_fraction(a) == 5 / 8
    assert dead_fraction(a) == 1 / 4


def test_a_channel_is_dead_only_if_every_position_is():
    a = torch.zeros(2, 3, 4, 4)
    a[1, 0, 3, 3] = 1e-30
    assert dead_fraction(a) == pytest.approx(2 / 3)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**20))
def test_agrees_with_counting(samples, units, seed):
    a = torch.randn(samples, units, generator=torch.Generator().manual_seed(seed)).relu()
    rows = a.tolist()
    zeros = sum(value == 0 for row in rows for value in row)
    dead = sum(all(row[k] == 0 for row in rows) for k in range(units))
    assert zero_fraction(a) == pytest.approx(zeros / (samples * units))
    assert dead_fraction(a) == pytest.approx(dead / units)
    assert dead_fraction(a) <= zero_fraction(a) + 1e-12


def test_nan_has_no_fraction():
    a = torch.tensor([[0.0, math.nan]])
    assert math.isnan(zero_fraction(a))
    assert math.isnan(dead_fraction(a))


def test_bfloat16_counts_are_exact():
    a = torch.zeros(1000, 3, dtype=torch.bfloat16)
    a[0] = 1.0
    assert zero_fraction(a) == pytest.approx(0.999, rel=1e-12)
