"""Spending an error rate over looks."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ics_bench.stats.signed_rank import signed_rank
from ics_bench.stats.spending import spending_shares

LOOKS = (16, 32, 48, 64, 96)


@given(st.sets(st.integers(1, 200), min_size=1).map(sorted), st.floats(0.1, 5))
def test_shares_are_positive_and_make_up_the_whole(looks, power):
    shares = spending_shares(looks, power)
    assert sum(shares) == pytest.approx(1)
    assert min(shares) > 0


def test_a_larger_power_keeps_the_error_for_the_end():
    early, late = spending_shares(LOOKS, 0.5), spending_shares(LOOKS, 3)
    assert early[0] > late[0]
    assert early[-1] < late[-1]


def test_testing_at_every_look_keeps_the_level():
    shares, generator, level = spending_shares(LOOKS, 2), np.random.default_rng(0), 0.2
    rejected = []
    for _ in range(1500):
        values = generator.standard_t(3, LOOKS[-1])
        rejected.append(any(signed_rank(values[:n]) <= level * s for n, s in zip(LOOKS, shares, strict=True)))
    unadjusted = np.mean([signed_rank(generator.standard_t(3, n)) <= level for n in LOOKS for _ in range(300)])
    assert np.mean(rejected) <= level + 4 * (level / 1500) ** 0.5
    assert np.mean(rejected) > 0.6 * level  # the union bound costs, but not the whole test
    assert unadjusted == pytest.approx(level, abs=0.05)


@pytest.mark.parametrize("looks", [[], [0, 1], [16, 16], [32, 16], [-1]])
def test_looks_that_do_not_grow_are_refused(looks):
    with pytest.raises(ValueError, match="grow"):
        spending_shares(looks, 2)


@pytest.mark.parametrize("power", [0, -1, math.nan, math.inf])
def test_a_power_that_is_none_is_refused(power):
    with pytest.raises(ValueError, match="power"):
        spending_shares([1], power)
