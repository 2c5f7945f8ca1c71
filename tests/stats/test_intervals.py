"""Student's, bootstrap and order-statistic intervals."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from ics_bench.stats import (
    Interval,
    bca_interval,
    bootstrap,
    median_interval,
    percentile_interval,
    resample_counts,
    sign_flip,
    signed_ranks,
    t_interval,
)

INF = float("inf")
samples = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=15)
with_infinities = st.lists(st.one_of(st.integers(-5, 5).map(float), st.just(INF)), min_size=1, max_size=25)


@given(samples, st.floats(0.5, 0.99))
def test_t_interval_equals_the_reference(values, confidence):
    low, high = t_interval(values, confidence)
    if np.ptp(values) > 1e-6:
        expected = reference.ttest_1samp(values, 0).confidence_interval(confidence)
        assert (low, high) == pytest.approx(tuple(expected), rel=1e-9, abs=1e-9)
    assert low <= np.mean(values) + 1e-9
    assert high >= np.mean(values) - 1e-9


def test_t_interval_coverage_with_three_seeds():
    generator = np.random.default_rng(1)
    intervals = [t_interval(generator.normal(2, 1, 3)) for _ in range(2000)]
    assert np.mean([low <= 2 <= high for low, high in intervals]) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(
    ("values", "confidence"), [([1.0], 0.9), ([1.0, INF], 0.9), ([1.0, math.nan], 0.9), ([1, 2], 1)]
)
def test_t_interval_refuses(values, confidence):
    with pytest.raises(ValueError, match=r"numbers|finite|confidence"):
        t_interval(values, confidence)


def test_interval_relations():
    assert Interval(0, 1).inside(0, 1)
    assert not Interval(0, INF).inside(0, 1)
    assert Interval(2, INF).outside(0, 1)
    assert not Interval(1, 2).outside(0, 1)


def test_bootstrap_is_seeded():
    sample = np.arange(10.0)
    first, again, other = (bootstrap(sample, np.mean, 50, seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_bootstrap_draws_whole_units():
    rows = np.stack([np.arange(6.0), 10 * np.arange(6.0)], axis=1)
    distribution = bootstrap(rows, lambda drawn: float(abs(10 * drawn[:, 0] - drawn[:, 1]).max()), 100)
    assert (distribution == 0).all()


def spread(sample):
    return float(np.std(sample))


@pytest.mark.parametrize("statistic", [np.mean, spread])
def test_bca_agrees_with_the_reference(statistic):
    # Few, skewed values: bias and acceleration move the interval by more than the tolerance.
    sample = np.random.default_rng(2).exponential(size=15)
    expected = reference.bootstrap(
        (sample,), statistic, vectorized=False, method="BCa", n_resamples=9999, random_state=0
    ).confidence_interval
    ours = bca_interval(sample, statistic)
    plain = percentile_interval(bootstrap(sample, statistic))
    width = expected.high - expected.low
    assert ours == pytest.approx(tuple(expected), abs=0.04 * width)
    assert max(abs(plain.low - ours.low), abs(plain.high - ours.high)) > 0.05 * width


def test_bca_of_a_constant_sample_is_that_value():
    assert bca_interval(np.full(5, 2.5), np.mean, resamples=100) == (2.5, 2.5)


def test_bca_refuses_what_is_not_finite_or_too_short():
    with pytest.raises(ValueError, match="median_interval"):
        bca_interval(np.array([1.0, 2.0, INF]), np.mean, resamples=50)
    with pytest.raises(ValueError, match="jackknife"):
        bca_interval(np.array([1.0]), np.mean)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=200), st.floats(0.1, 0.99))
def test_percentile_interval_holds_its_share(values, confidence):
    low, high = percentile_interval(np.array(values), confidence)
    inside = np.mean([(low <= v) & (v <= high) for v in values])
    assert inside >= confidence - 1e-9
    assert {low, high} <= set(values)


def test_percentile_interval_is_open_where_the_distribution_is():
    assert percentile_interval(np.array([1.0] * 90 + [INF] * 10), 0.9) == (1.0, INF)


def test_percentile_interval_refuses_nan_and_empty():
    with pytest.raises(ValueError, match="NaN"):
        percentile_interval(np.array([1.0, math.nan]))
    with pytest.raises(ValueError, match="empty"):
        bootstrap(np.array([]), np.mean)


@given(with_infinities)
def test_median_lies_in_its_interval(values):
    result = median_interval(values)
    assert result.interval.low <= result.median <= result.interval.high
    assert result.coverage >= 0.95


@given(with_infinities, st.floats(0.1, 10))
def test_median_interval_is_equivariant(values, scale):
    plain, scaled = median_interval(values), median_interval([scale * v for v in values])
    assert scaled.interval == pytest.approx(Interval(scale * plain.interval.low, scale * plain.interval.high))


@pytest.mark.parametrize(
    ("count", "ranks"), [(5, None), (6, (1, 6)), (8, (1, 8)), (9, (2, 8)), (11, (2, 10)), (12, (3, 10)), (20, (6, 15))]
)
def test_median_interval_against_the_binomial_table(count, ranks):
    # Largest k with P(Bin(n, 1/2) < k) <= 2.5 %, from the binomial table.
    low, high = median_interval(range(1, count + 1)).interval
    assert (low, high) == (ranks or (-INF, INF))


def test_median_with_replicas_that_never_arrived():
    result = median_interval([100.0] * 5 + [INF] * 6)
    assert (result.median, result.interval) == (INF, (100.0, INF))
    assert median_interval([10.0, INF]).median == INF


def test_median_interval_coverage():
    generator = np.random.default_rng(9)
    hits = [
        (i := median_interval(generator.exponential(size=11)).interval).low <= math.log(2) <= i.high
        for _ in range(2000)
    ]
    assert np.mean(hits) == pytest.approx(0.988, abs=0.01)


@pytest.mark.parametrize("values", [[], [math.nan, 1.0]])
def test_ranks_refuse_nan_and_empty(values):
    for function in (median_interval, signed_ranks):
        with pytest.raises(ValueError, match=r"NaN|at least one"):
            function(values)


def test_signed_ranks_share_ties_keep_zero_and_rank_infinity_first():
    assert signed_ranks([2.0, -2.0, 0.0, INF, -1.0]).tolist() == [3.5, -3.5, 0.0, 5.0, -2.0]


@given(st.lists(st.integers(-50, 50).filter(bool), min_size=2, max_size=10, unique_by=abs))
def test_sign_flips_of_signed_ranks_are_wilcoxons_exact_test(values):
    expected = reference.wilcoxon(values, alternative="greater", method="exact").pvalue
    assert sign_flip(signed_ranks(values), "greater").p == pytest.approx(expected)


@given(st.integers(1, 20), st.integers(0, 5))
def test_resample_counts_are_bootstrap_resamples(n, seed):
    counts = resample_counts(n, 200, seed)
    assert counts.shape == (200, n)
    assert (counts.sum(axis=1) == n).all()
    assert (counts == resample_counts(n, 200, seed)).all()


def test_means_by_counts_spread_like_means_by_draws():
    sample = np.random.default_rng(3).normal(size=11)
    by_counts = resample_counts(11, 9999) @ sample / 11
    by_draws = bootstrap(sample, np.mean)
    assert by_counts.std() == pytest.approx(by_draws.std(), rel=0.05)
    with pytest.raises(ValueError, match="empty"):
        resample_counts(0)
