"""Margin tests and equivalence tests."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats as reference

from ics_bench.stats import below_margin, exceeds_margin, sign_flip, tost

samples = st.lists(st.floats(-100, 100), min_size=2, max_size=12)
margins = st.floats(0.01, 50)


@given(samples, margins)
def test_a_larger_margin_is_harder_to_exceed(values, margin):
    assert exceeds_margin(values, margin).p >= exceeds_margin(values, 0.0).p
    assert below_margin(values, margin).p <= below_margin(values, 0.0).p


@given(samples, margins)
def test_mirror(values, margin):
    assert exceeds_margin(values, margin).p == below_margin([-v for v in values], -margin).p


def test_zero_margin_is_the_plain_test():
    values = [0.3, -0.1, 0.4, 0.2]
    assert exceeds_margin(values, 0.0) == sign_flip(values, "greater")


@pytest.mark.parametrize("effect", [-0.2, 0.0, 0.1])
def test_false_positive_rate_at_and_inside_the_boundary(effect):
    generator = np.random.default_rng(5)
    rejected = [exceeds_margin(generator.normal(effect, 0.3, 11), 0.1).p <= 0.05 for _ in range(1000)]
    assert np.mean(rejected) <= 0.05 + 4 * (0.05 / 1000) ** 0.5


def test_power_beyond_the_margin():
    generator = np.random.default_rng(6)
    assert np.mean([exceeds_margin(generator.normal(0.6, 0.3, 11), 0.1).p <= 0.05 for _ in range(200)]) > 0.95


@pytest.mark.parametrize("margin", [float("nan"), float("inf")])
def test_margin_must_be_finite(margin):
    with pytest.raises(ValueError, match="margin"):
        exceeds_margin([1.0, 2.0], margin)


@given(samples, margins, st.sampled_from([0.01, 0.05, 0.1]))
def test_equivalent_exactly_when_the_interval_lies_inside_the_margin(values, margin, alpha):
    result = tost(values, margin, alpha)
    edge = min(abs(result.interval.low + margin), abs(result.interval.high - margin))
    assume(edge > 1e-9 * (1 + margin))  # on the edge itself rounding decides
    assert result.equivalent == result.interval.inside(-margin, margin)


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=10), st.floats(0.1, 3))
def test_tost_equals_two_reference_t_tests(values, margin):
    assume(np.std(values) > 1e-6)
    low = reference.ttest_1samp(values, -margin, alternative="greater").pvalue
    high = reference.ttest_1samp(values, margin, alternative="less").pvalue
    assert tost(values, margin).p == pytest.approx(max(low, high), abs=1e-9)


def test_equal_replicas():
    assert tost([0.1, 0.1, 0.1], 0.2).equivalent
    assert not tost([0.3, 0.3, 0.3], 0.2).equivalent
    assert not tost([0.5, 0.5], 0.5).equivalent


def test_a_wide_sample_is_not_equivalent_though_its_mean_is_zero():
    assert not tost([-1.0, 1.0, -1.0, 1.0], 0.5).equivalent


def test_tost_false_positive_rate_at_the_boundary():
    generator = np.random.default_rng(8)
    found = [tost(generator.normal(0.5, 0.4, 11), 0.5).equivalent for _ in range(2000)]
    assert np.mean(found) == pytest.approx(0.05, abs=4 * (0.05 / 2000) ** 0.5)


@pytest.mark.parametrize("margin", [0.0, -1.0, float("nan"), float("inf")])
def test_equivalence_needs_a_positive_margin(margin):
    with pytest.raises(ValueError, match="margin"):
        tost([1.0, 2.0], margin)
