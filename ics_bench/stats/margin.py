"""Tests of a paired effect against a margin, such as the smallest effect that matters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ics_bench.stats.signflip import SignFlip, sign_flip


def exceeds_margin(differences: Sequence[float] | NDArray[np.float64], margin: float) -> SignFlip:
    """Test H0: effect ≤ ``margin``, one-sided, by sign flips of the differences less the margin.

    Parameters
    ----------
    differences : sequence of float, shape (n,)
        Paired effects, such as log-ratios; symmetric about their centre under the null.
    margin : float
        Smallest effect that matters, in the unit of the differences.

    Raises
    ------
    ValueError
        For a margin that is NaN or infinite, or differences that are not finite.

    Examples
    --------
    >>> exceeds_margin([0.5, 0.7, 0.6], 0.1).p
    0.125
    """
    return sign_flip(_shifted(differences, margin), "greater")


def below_margin(differences: Sequence[float] | NDArray[np.float64], margin: float) -> SignFlip:
    """Test H0: effect ≥ ``margin``: a small p says that an effect of that size is not there."""
    return sign_flip(_shifted(differences, margin), "less")


def _shifted(differences: Sequence[float] | NDArray[np.float64], margin: float) -> NDArray[np.float64]:
    if not np.isfinite(margin):
        raise ValueError(f"margin={margin}: expected a finite number")
    return np.asarray(differences, dtype=np.float64) - margin
