"""What of a finding is tracked over commits: a finite number from 0 up, lower where the claim holds by more."""

from __future__ import annotations

import math

from ics_bench.claims.finding import Finding

LEAST, MOST = 1e-6, 1e6
"""Ends of what is tracked: asv compares by ratios, and cannot hold infinity."""


def bounded(value: float) -> float:
    """Bring a number from 0 up within what is tracked; NaN, which nobody could measure, is the worst."""
    return MOST if math.isnan(value) else min(MOST, max(LEAST, value))


def short_of(finding: Finding) -> float:
    """Turn an effect that is positive where the claim is right into a lower-is-better ratio.

    Decades d become 10^−d; a difference x becomes √(1+x²) − x, which is 1 at 0, near 1 − x for small x
    and falls for every x.

    Examples
    --------
    >>> short_of(Finding("supported", effect=1.0, unit="decades"))
    0.1
    """
    x = finding.effect
    if math.isnan(x):
        return MOST
    if finding.unit == "decades":
        return bounded(10.0 ** -max(-300.0, min(300.0, x)))
    if math.isinf(x):
        return LEAST if x > 0 else MOST
    root = math.hypot(1.0, x)
    return bounded(1.0 / (root + x) if x > 0 else root - x)


def share_of_band(value: float, low: float, high: float) -> float:
    """Distance of a value from the middle of a band, in half-widths; 1 at its edges.

    Below a hundredth it is a hundredth: that the closed form is hit to 1e-12 or to 1e-13 is rounding.
    """
    return max(0.01, bounded(2.0 * abs(value - (low + high) / 2.0) / (high - low)))


def off_by_decades(decades: float) -> float:
    """One more than the decades by which a number is off, in either direction; 1 where it is not.

    The factor itself would leave what is tracked where a printed number is off by forty decades, and such a
    number would never be seen to move.
    """
    return bounded(1.0 + abs(decades))
