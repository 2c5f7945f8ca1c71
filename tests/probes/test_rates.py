"""Rates recover the factor of a geometric curve, however extreme."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ics_bench.probes.rates import geometric_mean, geometric_rate


@given(st.floats(0.01, 100.0), st.integers(2, 40), st.data())
def test_recovers_the_factor_of_a_geometric_curve(factor, depth, data):
    curve = [factor**k for k in range(depth)]
    first, last = data.draw(st.tuples(st.integers(1, depth), st.integers(1, depth)).filter(lambda p: p[0] != p[1]))
    forward = geometric_rate(curve, first, last)
    assert forward == pytest.approx(factor if last > first else 1 / factor, rel=1e-9)
    assert geometric_rate(curve, last, first) == pytest.approx(1 / forward, rel=1e-9)


def test_ratio_beyond_float64_still_has_a_rate():
    assert geometric_rate([1e-300, 1.0, 1e300], 1, 3) == pytest.approx(1e300)
    assert geometric_rate([1e300, 1.0, 1e-300], 1, 3) == pytest.approx(1e-300)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.inf, math.nan])
def test_an_end_without_a_logarithm_has_no_rate(bad):
    assert math.isnan(geometric_rate([1.0, bad], 1, 2))
    assert math.isnan(geometric_mean([1.0, bad]))


@pytest.mark.parametrize(("first", "last"), [(0, 2), (1, 4), (2, 2)])
def test_layers_must_exist(first, last):
    with pytest.raises(ValueError, match="of 3"):
        geometric_rate([1.0, 2.0, 4.0], first, last)


def test_geometric_mean():
    assert geometric_mean([1e200, 1e300, 1e-200]) == pytest.approx(1e100)
    with pytest.raises(ValueError, match="no factors"):
        geometric_mean([])
