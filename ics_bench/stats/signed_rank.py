"""Exact signed-rank test of any sample size, and the bounds that it gives when it is turned round."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ics_bench.stats.interval import Interval, check_share, finite_sample
from ics_bench.stats.ranks import signed_ranks


def signed_rank(values: Sequence[float] | NDArray[np.float64]) -> float:
    """One-sided p-value of H0: centre ≤ 0, by all sign flips of the signed ranks (Wilcoxon 1945).

    The distribution over all 2ⁿ sign patterns is built up rank by rank, so that the p-value is exact for
    any n, with ties and zeros too. One outlier counts no more than the largest of its fellows.

    Parameters
    ----------
    values : sequence of float, shape (n,)
        Symmetric about their centre under the null; infinities are the largest of all.

    Raises
    ------
    ValueError
        For an empty sample or a NaN.

    Examples
    --------
    >>> signed_rank([0.3, 0.1, 0.2])
    0.125
    """
    sample = np.asarray(values, dtype=np.float64)
    sizes = np.abs(sample)
    order = np.argsort(sizes, axis=None)
    ordered = sizes.ravel()[order]
    if sample.ndim == 1 and sample.size and ordered[0] > 0 and (ordered[1:] > ordered[:-1]).all():
        return float(_tail(sample.size)[int((np.flatnonzero(sample[order] > 0) + 1).sum())])
    doubled = np.rint(2 * signed_ranks(sample)).astype(np.int64)  # equal sizes share their mean rank, a half at times
    return float(_tail_of(np.abs(doubled))[int(doubled[doubled > 0].sum())])


@lru_cache(maxsize=512)
def _tail(n: int) -> NDArray[np.float64]:
    """P(T ≥ t) for t = 0 … n(n+1)/2, T the sum of the ranks 1 … n that a fair coin picks."""
    return _tail_of(np.arange(1, n + 1))


def _tail_of(sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """P(T ≥ t), T the sum of those whole numbers that a fair coin picks."""
    share = np.ones(1)
    for size in sizes:
        grown = np.zeros(share.size + size)
        grown[: share.size] = 0.5 * share
        grown[size:] += 0.5 * share
        share = grown
    return np.minimum(np.cumsum(share[::-1])[::-1], 1.0)


class Centre(NamedTuple):
    """Centre of a symmetric sample (Hodges & Lehmann 1963).

    Parameters
    ----------
    estimate : float
        Median of the means of all pairs of values, each with itself too.
    interval : Interval
        Its lower and its upper bound, each at its own one-sided confidence; infinite where the sample is too small.
    """

    estimate: float
    interval: Interval


def centre(values: Sequence[float] | NDArray[np.float64], level: float = 0.05) -> Centre:
    """Estimate a centre, and bound it by the shifts that `signed_rank` does not reject at ``level``.

    Parameters
    ----------
    values : sequence of float, shape (n,)
        Finite.
    level : float
        Error of either bound by itself.

    Raises
    ------
    ValueError
        For an empty sample, a value that is not finite, or a level outside (0, 1).

    Examples
    --------
    >>> centre([1.0, 2.0, 3.0, 4.0, 5.0], 0.05)
    Centre(estimate=3.0, interval=Interval(low=1.0, high=5.0))
    """
    check_share("level", level)
    sample = finite_sample(values, least=1)
    means = _pair_means(sample)
    middle = np.partition(means, [(means.size - 1) // 2, means.size // 2])
    estimate = float(middle[(means.size - 1) // 2] + middle[means.size // 2]) / 2
    left = _left_out(sample.size, level)
    if left == 0:
        return Centre(estimate, Interval(-np.inf, np.inf))
    ends = np.partition(means, [left - 1, means.size - left])
    return Centre(estimate, Interval(float(ends[left - 1]), float(ends[means.size - left])))


def upper_bound(values: NDArray[np.float64], level: float) -> float:
    """Return the upper bound of `centre` alone."""
    left = _left_out(values.size, level)
    if left == 0:
        return np.inf
    means = _pair_means(values)
    return float(np.partition(means, means.size - left)[means.size - left])


@lru_cache(maxsize=4096)
def _left_out(n: int, level: float) -> int:
    """How many of the pairs' means lie beyond a bound, counted with the bound: those t with P(T ≥ max - t) ≤ level."""
    return int((_tail(n) <= level).sum())


def _pair_means(sample: NDArray[np.float64]) -> NDArray[np.float64]:
    one, other = _places(sample.size)
    means: NDArray[np.float64] = (sample[one] + sample[other]) / 2
    return means


@lru_cache(maxsize=512)
def _places(n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.triu_indices(n)
