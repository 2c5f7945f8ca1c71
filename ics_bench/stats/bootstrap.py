"""Bootstrap intervals of any statistic, seeded, and whole on samples that hold infinities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from ics_bench.stats.interval import Interval, check_share

Statistic = Callable[[NDArray[Any]], float]


def bootstrap(sample: NDArray[Any], statistic: Statistic, resamples: int = 9999, seed: int = 0) -> NDArray[np.float64]:
    """Draw the statistic's bootstrap distribution (Efron 1979).

    Parameters
    ----------
    sample : array, shape (n, ...)
        The n independent units along the first axis; what belongs to one unit is drawn together.
    statistic : callable
        Maps an array of the sample's shape to a number.
    resamples : int
    seed : int
        Equal seeds give equal draws.

    Returns
    -------
    array of float64, shape (resamples,)

    Raises
    ------
    ValueError
        For an empty sample.
    """
    if len(sample) == 0:
        raise ValueError("an empty sample has no bootstrap distribution")
    generator = np.random.default_rng(seed)
    draws = generator.integers(0, len(sample), size=(resamples, len(sample)))
    return np.array([statistic(sample[draw]) for draw in draws], dtype=np.float64)


def resample_counts(n: int, resamples: int = 9999, seed: int = 0) -> NDArray[np.int64]:
    """Draw how often each of ``n`` units occurs in each bootstrap resample.

    For statistics that are functions of sums over units, so that all resamples are one matrix product.

    Returns
    -------
    array of int64, shape (resamples, n)
        Rows sum to n.

    Raises
    ------
    ValueError
        For an empty sample.
    """
    if n < 1:
        raise ValueError("an empty sample has no bootstrap distribution")
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)


def percentile_interval(distribution: NDArray[np.float64], confidence: float = 0.95) -> Interval:
    """Central interval of a bootstrap distribution (Efron 1979).

    The ends are values that were drawn (the outer one of two neighbours), so that a distribution with
    an atom at infinity has an interval that is open there and not a NaN.

    Raises
    ------
    ValueError
        For a NaN in the distribution or a confidence outside (0, 1).
    """
    check_share("confidence", confidence)
    if np.isnan(distribution).any():
        raise ValueError("a bootstrap distribution with NaN has no interval")
    tail = (1 - confidence) / 2
    low = np.quantile(distribution, tail, method="lower")
    high = np.quantile(distribution, 1 - tail, method="higher")
    return Interval(float(low), float(high))


def bca_interval(
    sample: NDArray[Any], statistic: Statistic, confidence: float = 0.95, resamples: int = 9999, seed: int = 0
) -> Interval:
    """Bias-corrected and accelerated bootstrap interval (Efron 1987, eq. 2.3, 6.6).

    A statistic that does not vary over the resamples gives the interval of that one value.

    Parameters
    ----------
    sample : array, shape (n, ...)
        n ≥ 2 independent units along the first axis.
    statistic : callable
        Maps an array of units to a finite number.
    confidence : float
    resamples, seed : int

    Raises
    ------
    ValueError
        For fewer than two units, or where the statistic is not finite.
    """
    check_share("confidence", confidence)
    if len(sample) < 2:
        raise ValueError(f"{len(sample)} unit: the jackknife needs at least 2")
    observed = statistic(sample)
    distribution = bootstrap(sample, statistic, resamples, seed)
    jackknife = np.array([statistic(np.delete(sample, unit, axis=0)) for unit in range(len(sample))])
    if not (np.isfinite(distribution).all() and np.isfinite(jackknife).all() and np.isfinite(observed)):
        raise ValueError("the statistic is not finite on every resample; use percentile_interval or median_interval")
    if np.ptp(distribution) == 0:
        return Interval(float(observed), float(observed))
    # Half of the ties, so that a discrete statistic is not taken for a biased one.
    below = np.mean(distribution < observed) + 0.5 * np.mean(distribution == observed)
    bias = scipy.special.ndtri(np.clip(below, 0.5 / resamples, 1 - 0.5 / resamples))
    pull = jackknife.mean() - jackknife
    spread = float((pull**2).sum()) ** 1.5
    acceleration = float((pull**3).sum()) / (6 * spread) if spread > 0 else 0.0
    tail = (1 - confidence) / 2
    shifted = bias + scipy.special.ndtri(np.array([tail, 1 - tail]))
    levels = scipy.special.ndtr(bias + shifted / (1 - acceleration * shifted))
    low, high = np.quantile(distribution, levels)
    return Interval(float(low), float(high))
