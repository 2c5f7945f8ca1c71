"""Exact statistics of a share: how many of n independent trials succeed."""

from __future__ import annotations

from typing import NamedTuple

import scipy

from ics_bench.stats.interval import Interval, check_share


class Tails(NamedTuple):
    """One-sided p-values of a count against a null share.

    Parameters
    ----------
    many : float
        P(B ≥ successes): small where more succeed than the null says.
    few : float
        P(B ≤ successes): small where fewer do.
    """

    many: float
    few: float


def binomial_tails(successes: int, trials: int, share: float = 0.5) -> Tails:
    """Exact binomial tests in both directions; with a share of ½ the sign test.

    Raises
    ------
    ValueError
        For counts that are none, or a share outside (0, 1).

    Examples
    --------
    >>> binomial_tails(3, 3)
    Tails(many=0.125, few=1.0)
    """
    _check_counts(successes, trials)
    check_share("share", share)
    many = float(scipy.special.bdtrc(successes - 1, trials, share)) if successes else 1.0
    return Tails(many, float(scipy.special.bdtr(successes, trials, share)))


def share_interval(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Exact interval of a share (Clopper & Pearson 1934), two-sided.

    Raises
    ------
    ValueError
        For counts that are none, or a confidence outside (0, 1).

    Examples
    --------
    >>> low, high = share_interval(0, 10)
    >>> low, round(high, 4)
    (0.0, 0.3085)
    """
    _check_counts(successes, trials)
    check_share("confidence", confidence)
    tail = (1.0 - confidence) / 2.0
    low = float(scipy.special.betaincinv(successes, trials - successes + 1, tail)) if successes else 0.0
    high = float(scipy.special.betaincinv(successes + 1, trials - successes, 1.0 - tail)) if successes < trials else 1.0
    return Interval(low, high)


def _check_counts(successes: int, trials: int) -> None:
    if not (trials >= 1 and 0 <= successes <= trials):
        raise ValueError(f"{successes} successes of {trials} trials: expected 0 to n of at least 1")
