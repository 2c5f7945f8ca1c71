"""The factor per layer by which a quantity grows or shrinks with depth."""

from __future__ import annotations

import math
from collections.abc import Sequence


def geometric_rate(curve: Sequence[float], first: int, last: int) -> float:
    """Mean factor per layer, ``(curve[last] / curve[first]) ** (1 / (last - first))``, layers counted from 1.

    Taken in logarithms, so that a ratio outside float64 still has its rate. The rate of a second
    moment is the square of the rate of its root, which keeps within range where the second moment
    does not.

    Parameters
    ----------
    curve : sequence of float
        One non-negative value a layer.
    first, last : int
        Layers; ``last < first`` follows the quantity backward.

    Raises
    ------
    ValueError
        If a layer does not exist, or if both are the same.

    Returns
    -------
    float
        NaN where an end is not a positive finite number.
    """
    if first == last or not (1 <= first <= len(curve) and 1 <= last <= len(curve)):
        raise ValueError(f"no rate from layer {first} to layer {last} of {len(curve)}")
    start, stop = curve[first - 1], curve[last - 1]
    if not (0.0 < start < math.inf and 0.0 < stop < math.inf):
        return math.nan
    return math.exp((math.log(stop) - math.log(start)) / abs(last - first))


def geometric_mean(factors: Sequence[float]) -> float:
    """Mean factor of a sequence of positive factors; NaN if one is not positive and finite.

    Raises
    ------
    ValueError
        If there are none.
    """
    if not factors:
        raise ValueError("geometric mean of no factors")
    if not all(0.0 < factor < math.inf for factor in factors):
        return math.nan
    return math.exp(math.fsum(math.log(factor) for factor in factors) / len(factors))
