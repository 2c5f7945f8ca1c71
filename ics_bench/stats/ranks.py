"""Statistics by rank, for samples that hold +inf: steps to a target that was never reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from ics_bench.stats.interval import Interval, check_share


@dataclass(frozen=True, slots=True)
class MedianInterval:
    """A median with its interval.

    Parameters
    ----------
    median : float
        May be infinite: more than half of the replicas did not get there. NaN where the two middle
        values are -inf and +inf, between which any number is a median.
    interval : Interval
        Two order statistics, or the whole line where the sample is too small for the coverage asked.
    coverage : float
        What the interval really covers, at least.
    """

    median: float
    interval: Interval
    coverage: float


def median_interval(values: Sequence[float] | NDArray[np.float64], confidence: float = 0.95) -> MedianInterval:
    """Median and its distribution-free interval from order statistics (Thompson 1936).

    The interval runs from the k-th smallest to the k-th largest value with the largest k whose
    binomial coverage 1 - 2·P(B ≤ k-1), B ~ Bin(n, ½), reaches ``confidence``.

    Parameters
    ----------
    values : sequence of float, shape (n,)
        n ≥ 1; infinities allowed. A NaN is not: decide first what it counts as.
    confidence : float

    Raises
    ------
    ValueError
        For an empty sample, a NaN, or a confidence outside (0, 1).

    Examples
    --------
    >>> median_interval([10, 20, 30, 40, 50, float("inf")]).interval
    Interval(low=10.0, high=inf)
    """
    check_share("confidence", confidence)
    ordered = np.sort(_without_nan(values))
    n = ordered.size
    ranks = np.arange(1, n // 2 + 1)
    covered = 1 - 2 * scipy.special.bdtr(ranks - 1, n, 0.5)
    enough = ranks[covered >= confidence]
    median = _middle(ordered)
    if enough.size == 0:
        return MedianInterval(median, Interval(-np.inf, np.inf), 1.0)
    k = int(enough[-1])
    return MedianInterval(median, Interval(float(ordered[k - 1]), float(ordered[n - k])), float(covered[k - 1]))


def signed_ranks(values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace each value by the rank of its size, with its sign (Wilcoxon 1945).

    Equal sizes share their mean rank, zeros become 0, infinities have the highest rank; sign flips of
    the result are the exact signed-rank test.

    Raises
    ------
    ValueError
        For an empty sample or a NaN.
    """
    sample = _without_nan(values)
    ranks: NDArray[np.float64] = np.sign(sample) * mean_ranks(np.abs(sample))
    return ranks


def spearman(x: Sequence[float] | NDArray[np.float64], y: Sequence[float] | NDArray[np.float64]) -> float:
    """Rank correlation (Spearman 1904): Pearson's correlation of the ranks, equal values sharing their mean rank.

    Parameters
    ----------
    x, y : sequence of float, shape (n,)
        Infinities have the highest and lowest ranks.

    Returns
    -------
    float
        Between -1 and 1; NaN where one of the two is constant, or n < 2.

    Raises
    ------
    ValueError
        For an empty sample, a NaN or different lengths.

    Examples
    --------
    >>> spearman([1, 2, 3, 4], [10, 20, 40, float("inf")])
    1.0
    """
    ranks = [mean_ranks(_without_nan(values)) for values in (x, y)]
    if ranks[0].size != ranks[1].size:
        raise ValueError(f"{ranks[0].size} and {ranks[1].size} values do not make pairs")
    one, other = (r - r.mean() for r in ranks)
    scale = float(np.sqrt((one @ one) * (other @ other)))
    return float(np.clip(one @ other / scale, -1.0, 1.0)) if scale > 0 else float("nan")


def mean_ranks(sample: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank a sample without NaN from 1 up; equal values share their mean rank."""
    _, group, counts = np.unique(sample, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[group]
    return ranks


def _without_nan(values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or sample.size == 0:
        raise ValueError(f"expected at least one number in a row, got shape {sample.shape}")
    if np.isnan(sample).any():
        raise ValueError(f"{int(np.isnan(sample).sum())} of {sample.size} values are NaN")
    return sample


def _middle(ordered: NDArray[np.float64]) -> float:
    lower, upper = float(ordered[(ordered.size - 1) // 2]), float(ordered[ordered.size // 2])
    return lower if lower == upper else (lower + upper) / 2  # inf - inf has no mean; inf = inf needs none
