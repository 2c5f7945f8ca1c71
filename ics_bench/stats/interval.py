"""An interval, and the one that a sample of a Gaussian mean gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray


class Interval(NamedTuple):
    """A closed interval; either end may be infinite.

    Parameters
    ----------
    low, high : float
    """

    low: float
    high: float

    def inside(self, low: float, high: float) -> bool:
        """Whether the interval lies within ``[low, high]``."""
        return low <= self.low and self.high <= high

    def outside(self, low: float, high: float) -> bool:
        """Whether the interval and ``[low, high]`` have no point in common."""
        return self.high < low or self.low > high


def finite_sample(values: Sequence[float] | NDArray[np.float64], least: int) -> NDArray[np.float64]:
    """Turn ``values`` into a float64 vector of at least ``least`` finite numbers.

    Raises
    ------
    ValueError
        If it is not a vector, is too short, or holds a NaN or an infinity: a diverged replica must be
        counted by its rule, and never reach a mean.
    """
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or sample.size < least:
        raise ValueError(f"expected at least {least} numbers in a row, got shape {sample.shape}")
    if not np.isfinite(sample).all():
        raise ValueError(f"{int((~np.isfinite(sample)).sum())} of {sample.size} values are not finite")
    return sample


def check_share(name: str, value: float) -> None:
    """Raise ``ValueError`` unless ``value`` lies strictly between 0 and 1."""
    if not 0 < value < 1:
        raise ValueError(f"{name}={value}: expected a number between 0 and 1")


def t_interval(values: Sequence[float] | NDArray[np.float64], confidence: float = 0.95) -> Interval:
    """Student's interval of a mean (Student 1908).

    Parameters
    ----------
    values : sequence of float, shape (n,)
        Independent draws, n ≥ 2.
    confidence : float
        Two-sided coverage.

    Raises
    ------
    ValueError
        For fewer than two values, a value that is not finite, or a confidence outside (0, 1).

    Examples
    --------
    >>> low, high = t_interval([1.0, 2.0, 3.0])
    >>> round(low, 3), round(high, 3)
    (-0.484, 4.484)
    """
    check_share("confidence", confidence)
    sample = finite_sample(values, least=2)
    quantile = float(scipy.special.stdtrit(sample.size - 1, 0.5 + confidence / 2))
    half = quantile * float(sample.std(ddof=1)) / math.sqrt(sample.size)
    mean = float(sample.mean())
    return Interval(mean - half, mean + half)
