"""From one difference a seed to the finding that there is none which matters, on either side."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ics_bench.claims.finding import Finding, SettingVerdict
from ics_bench.claims.rules.effect import Values
from ics_bench.stats import (
    Interval,
    exceeds_margin,
    median_interval,
    sign_flip,
    signed_ranks,
    t_interval,
    tost,
)


@dataclass(frozen=True, slots=True)
class _Tested:
    """p-values of lying inside the margin and beyond it, and what was tested."""

    inside: float
    beyond: float
    effect: float
    interval: Interval


def check_margin(margin: float) -> None:
    """Raise ``ValueError`` for a margin that is not positive and finite."""
    if not 0 < margin < math.inf:
        raise ValueError(f"margin={margin}: equivalence needs a positive, finite one")


def equivalence_finding(low: Values, high: Values, margin: float, alpha: float, unit: str) -> Finding:
    """Hold differences against a margin on both sides.

    *Supported*: two one-sided tests find them within it. *Refuted*: a sign-flip test finds them beyond it;
    it looks at both sides, so each of its two tests runs at half of ``alpha``. No mean holds a failure:
    with one among the seeds, the same tests are by signed ranks about the median.

    Parameters
    ----------
    low, high : array of float64, shape (seeds,)
        Ends of where the difference lies: the same where it is known, ±inf where one side failed, and
        apart where failures on both sides leave it open, which then counts against either verdict.
    margin : float
    alpha : float
    unit : str
    """
    whole = np.isfinite(low).all() and np.isfinite(high).all()
    tested = _by_mean(low, margin, alpha) if whole else _by_ranks(low, high, margin, alpha)
    verdict: SettingVerdict = "inconclusive"
    if min(tested.inside, tested.beyond) <= alpha:
        verdict = "supported" if tested.inside < tested.beyond else "refuted"
    coverage = 100 * (1 - 2 * alpha)
    return Finding(
        verdict,
        effect=tested.effect,
        interval=tested.interval,
        n=low.size,
        unit=unit,
        target=f"within ±{margin:g}",
        interval_kind=f"{coverage:g} % of the {'mean' if whole else 'median'}",
        p=min(tested.inside, tested.beyond),
        warnings=_failures(low, high),
    )


def _by_mean(gains: Values, margin: float, alpha: float) -> _Tested:
    beyond = min(exceeds_margin(gains, margin).p, exceeds_margin(-gains, margin).p)
    return _Tested(
        inside=tost(gains, margin, alpha).p,
        beyond=min(1.0, 2 * beyond),
        effect=float(gains.mean()),
        interval=t_interval(gains, 1 - 2 * alpha),
    )


def _by_ranks(low: Values, high: Values, margin: float, alpha: float) -> _Tested:
    inside = max(_above(low, -margin), _above(-high, -margin))
    beyond = min(_above(low, margin), _above(-high, margin))
    ends = median_interval(low, 1 - 2 * alpha), median_interval(high, 1 - 2 * alpha)
    return _Tested(
        inside=inside,
        beyond=min(1.0, 2 * beyond),
        effect=ends[0].median if ends[0].median == ends[1].median else math.nan,
        interval=Interval(ends[0].interval.low, ends[1].interval.high),
    )


def _above(gains: Values, edge: float) -> float:
    return sign_flip(signed_ranks(gains - edge), "greater").p


def _failures(low: Values, high: Values) -> tuple[str, ...]:
    beyond, undecided = int((np.isinf(low) & (low == high)).sum()), int((low != high).sum())
    found = []
    if beyond:
        found.append(f"on {beyond} of {low.size} seeds one side failed and the other did not: beyond any margin")
    if undecided:
        found.append(f"on {undecided} of {low.size} seeds both sides failed: they count for neither verdict")
    return tuple(found)
