"""The exact signed-rank test at any size, and the bounds that invert it."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wilcoxon

from ics_bench.stats.ranks import signed_ranks
from ics_bench.stats.signed_rank import centre, signed_rank, upper_bound

small = st.lists(st.integers(-6, 6), min_size=1, max_size=8)  # ties and zeros on most draws
finite = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)


def brute_force(values):
    ranks = np.abs(signed_ranks(values))
    observed = signed_ranks(values).sum()
    sums = [np.dot(signs, ranks) for signs in itertools.product((1, -1), repeat=len(ranks))]
    return float(np.mean([total >= observed - 1e-9 for total in sums]))


@given(small)
def test_equals_brute_force_with_ties_and_zeros(values):
    assert signed_rank(values) == pytest.approx(brute_force(values), abs=1e-12)


@pytest.mark.parametrize("n", [3, 20, 50, 112])
def test_equals_scipy_without_ties(n):
    values = np.random.default_rng(n).normal(0.2, 1, n)
    assert signed_rank(values) == pytest.approx(wilcoxon(values, alternative="greater", method="exact").pvalue)


@given(finite)
def test_p_is_a_probability_that_is_never_zero(values):
    assert 2.0 ** -len(values) <= signed_rank(values) <= 1


@given(st.permutations([0.5, -0.5, 1.5, 2.5, 2.5, -3.0]))
def test_the_order_does_not_matter(values):
    assert signed_rank(values) == signed_rank(sorted(values))


def test_infinities_are_the_largest():
    assert signed_rank([math.inf, 1.0, 2.0]) == signed_rank([3.0, 1.0, 2.0])
    assert signed_rank([-math.inf, 1.0, 2.0]) == signed_rank([-3.0, 1.0, 2.0])
    assert signed_rank([math.inf, math.inf, 1.0]) == signed_rank([3.0, 3.0, 1.0])


def test_values_that_agree_to_the_bit():
    assert signed_rank([0.1] * 16) == 2.0**-16
    assert signed_rank([0.0] * 16) == 1.0
    assert signed_rank([-0.1] * 16) == 1.0


def test_false_positive_rate_is_the_level():
    generator = np.random.default_rng(5)
    p_values = np.array([signed_rank(generator.standard_t(2, 40)) for _ in range(4000)])
    for level in (0.01, 0.1):
        assert (p_values <= level).mean() == pytest.approx(level, abs=4 * (level / 4000) ** 0.5)


@pytest.mark.parametrize("values", [[], [math.nan, 1.0], [[1.0, 2.0]]])
def test_samples_it_cannot_take_are_refused(values):
    with pytest.raises(ValueError, match=r"NaN|number"):
        signed_rank(values)


@given(st.integers(5, 40), st.integers(0, 2**32), st.sampled_from([0.001, 0.02, 0.3]))
def test_the_bounds_are_the_shifts_that_the_test_rejects(n, seed, level):
    sample = np.random.default_rng(seed).normal(1, 2, n)
    low, high = centre(sample, level).interval
    assert upper_bound(sample, level) == high
    if math.isinf(high):
        assert signed_rank(1e9 - sample) > level
        return
    step = 1e-9
    assert signed_rank(high + step - sample) <= level < signed_rank(high - step - sample)
    assert signed_rank(sample - low + step) <= level < signed_rank(sample - low - step)


@given(finite, st.floats(-10, 10))
def test_the_centre_moves_with_the_sample(values, shift):
    moved = centre(np.array(values) + shift).estimate
    assert moved == pytest.approx(centre(values).estimate + shift, abs=1e-6)


def test_an_outlier_does_not_carry_the_centre_away():
    assert centre([*[1.0] * 9, 1e6]).estimate == 1.0


def test_bounds_cover_as_promised():
    generator = np.random.default_rng(8)
    missed = np.mean([upper_bound(generator.laplace(0, 1, 24), 0.05) < 0 for _ in range(4000)])
    assert missed <= 0.05 + 4 * (0.05 / 4000) ** 0.5
    assert missed >= 0.03


def test_a_sample_too_small_for_the_level_has_no_bound():
    assert centre([1.0, 2.0, 3.0], 0.05).interval == (-math.inf, math.inf)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, math.nan])
def test_levels_that_are_none_are_refused(level):
    with pytest.raises(ValueError, match="level"):
        centre([1.0, 2.0], level)
