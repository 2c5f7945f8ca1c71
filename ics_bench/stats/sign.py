"""Exact sign test of a median, and the bound that it gives when it is turned round."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ics_bench.stats.interval import check_share
from ics_bench.stats.shares import binomial_tails


def sign_test(values: Sequence[float] | NDArray[np.float64]) -> float:
    """One-sided p-value of H0: median ≤ 0, by the signs alone (Arbuthnot 1710).

    Nothing is supposed of the shape, and no size counts for more than another: what a minority does, however large,
    never rejects. Zeros count for the null.

    Parameters
    ----------
    values : sequence of float, shape (n,)
        Infinities allowed.

    Raises
    ------
    ValueError
        For an empty sample.

    Examples
    --------
    >>> sign_test([0.3, 0.1, 0.2])
    0.125
    """
    sample = np.asarray(values, dtype=np.float64)
    return binomial_tails(int((sample > 0).sum()), sample.size).many


def median_bound(values: Sequence[float] | NDArray[np.float64], level: float) -> float:
    """Upper bound of a median: the least shift that `sign_test` rejects at ``level``, as an order statistic.

    Parameters
    ----------
    values : sequence of float, shape (n,)
    level : float
        Probability that the median lies above.

    Returns
    -------
    float
        Infinite where the sample is too small.

    Raises
    ------
    ValueError
        For an empty sample, or a level outside (0, 1).

    Examples
    --------
    >>> median_bound([1.0, 2.0, 3.0, 4.0, 5.0], 0.05)
    5.0
    """
    check_share("level", level)
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    above = (place for place in range(ordered.size) if binomial_tails(place, ordered.size).few <= level)
    left = max(above, default=-1)
    return float("inf") if left < 0 else float(ordered[ordered.size - 1 - left])
