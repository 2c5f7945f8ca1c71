"""Two one-sided tests that an effect is smaller than the smallest one that matters, in both directions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from ics_bench.stats.interval import Interval, check_share, finite_sample, t_interval


@dataclass(frozen=True, slots=True)
class Equivalence:
    """The result of an equivalence test.

    Parameters
    ----------
    p : float
        The larger of the two one-sided p-values.
    equivalent : bool
        Whether ``p < alpha``; the same as ``interval`` lying strictly inside the margin.
    interval : Interval
        Student's interval of coverage 1 - 2·alpha.
    """

    p: float
    equivalent: bool
    interval: Interval


def tost(values: Sequence[float] | NDArray[np.float64], margin: float, alpha: float = 0.05) -> Equivalence:
    """Test the null that a mean is at least ``margin`` from zero, by two one-sided t tests (Schuirmann 1987).

    Parameters
    ----------
    values : sequence of float, shape (n,)
        Independent, finite, n ≥ 2.
    margin : float
        Positive; effects below it do not matter.
    alpha : float

    Raises
    ------
    ValueError
        For a margin that is not positive and finite, or a sample `t_interval` would refuse.
    """
    check_share("alpha", 2 * alpha)
    if not (margin > 0 and math.isfinite(margin)):
        raise ValueError(f"margin={margin}: equivalence needs a positive, finite one")
    sample = finite_sample(values, least=2)
    mean = float(sample.mean())
    error = float(sample.std(ddof=1)) / math.sqrt(sample.size)
    room = margin - abs(mean)  # distance to the nearer edge: its one-sided p is the larger of the two
    interval = t_interval(sample, 1 - 2 * alpha)
    if error == 0:  # replicas that agree to the bit
        return Equivalence(float(room <= 0), room > 0, interval)
    p = float(scipy.special.stdtr(sample.size - 1, -room / error))
    return Equivalence(p, p < alpha, interval)
