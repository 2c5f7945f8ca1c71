"""Underflow and overflow are found at the first layer that shows them."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from ics_bench.probes.dynamic_range import first_overflow, first_underflow

TINY = torch.finfo(torch.float32).tiny


def test_positions_count_from_one():
    assert first_underflow([1.0, 1e-30, 1e-38, 0.0], TINY) == 3
    assert first_overflow([1.0, 1e30, math.inf, math.nan]) == 3
    assert first_overflow([math.nan, 1.0]) == 1


def test_never_is_infinite():
    assert first_underflow([1.0, TINY], TINY) == math.inf
    assert first_overflow([1.0, 1e308]) == math.inf


def test_nan_and_infinity_are_no_underflow():
    assert first_underflow([math.nan, math.inf], TINY) == math.inf


@given(st.lists(st.floats(allow_nan=True), max_size=20))
def test_layers_before_the_first_are_within_range(rms):
    for found, inside in (
        (first_underflow(rms, TINY), lambda v: not v < TINY),
        (first_overflow(rms), math.isfinite),
    ):
        before = rms if found == math.inf else rms[: int(found) - 1]
        assert all(inside(v) for v in before)
        assert found == math.inf or not inside(rms[int(found) - 1])
