import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ics_bench.stats import binomial_tails, share_interval, spearman

counts = st.integers(1, 40).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts)
def test_tails_are_sums_of_binomials(pair):
    k, n = pair
    many = sum(math.comb(n, i) for i in range(k, n + 1)) / 2.0**n
    assert binomial_tails(k, n).many == pytest.approx(many)
    assert binomial_tails(k, n).few == pytest.approx(binomial_tails(n - k, n).many)


@given(counts, st.floats(0.5, 0.99))
def test_interval_of_a_share_is_where_its_tails_reach_the_level(pair, confidence):
    k, n = pair
    low, high = share_interval(k, n, confidence)
    tail = (1 - confidence) / 2
    assert 0 <= low <= k / n <= high <= 1
    if k:
        assert binomial_tails(k, n, low).many == pytest.approx(tail, rel=1e-6)
    if k < n:
        assert binomial_tails(k, n, high).few == pytest.approx(tail, rel=1e-6)


@pytest.mark.parametrize(("k", "n", "share"), [(-1, 3, 0.5), (4, 3, 0.5), (0, 0, 0.5), (1, 3, 1.0)])
def test_what_is_no_count_is_refused(k, n, share):
    with pytest.raises(ValueError, match="expected"):
        binomial_tails(k, n, share)


numbers = st.integers(-4, 4).map(float)


@given(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=12))
def test_spearman_is_scipys_ties_and_all(pairs):
    x, y = zip(*pairs, strict=True)
    ours = spearman(x, y)
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert math.isnan(ours)
    else:
        assert ours == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


def test_spearman_ranks_infinities_and_refuses_nan():
    assert spearman([-math.inf, 0, math.inf], [3, 2, 1]) == -1.0
    with pytest.raises(ValueError, match="NaN"):
        spearman([1, math.nan], [1, 2])
    with pytest.raises(ValueError, match="do not make pairs"):
        spearman([1, 2, 3], [1, 2])
