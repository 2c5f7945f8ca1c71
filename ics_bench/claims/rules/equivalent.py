"""Training: two arms do not differ by as much as matters, paired by seed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.finding import Finding, SettingVerdict
from ics_bench.claims.rules.effect import Better, Scale, Values, gain, on_scale, unit_of
from ics_bench.claims.rules.paired import check_paired
from ics_bench.claims.rules.rule import Rule
from ics_bench.claims.rules.shortfall import share_of_band
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


@dataclass(frozen=True)
class Equivalent(Rule):
    """Supported by two one-sided tests within the margin, refuted by a sign-flip test beyond it.

    Refuting looks at both sides, so each of its two tests runs at half of ``alpha``.

    Where one arm of a pair failed (NaN, or never arrived) and the other did not, the pair differs by more
    than any margin. Where both failed, nothing was compared: that two nets break down alike is no
    equivalence, so the pair counts against either verdict. No mean holds a failure; with one among the
    pairs, the same tests are by signed ranks about the median.

    Parameters
    ----------
    metric : str
    better : {"lower", "higher"}
    scale : {"log10-ratio", "difference"}
    margin : float
        Positive; differences below it do not matter.
    alpha : float
    """

    roles: ClassVar[tuple[str, ...]] = ("subject", "baseline")
    tests: ClassVar[bool] = True

    metric: str
    better: Better
    scale: Scale
    margin: float
    alpha: float = 0.05

    def __post_init__(self) -> None:
        check_paired(self.better, self.scale, self.alpha)
        if not 0 < self.margin < np.inf:
            raise ValueError(f"margin={self.margin}: equivalence needs a positive, finite one")

    def metrics(self) -> tuple[str, ...]:
        """Name the metric."""
        return (self.metric,)

    def find(self, evidence: Evidence, arms: Mapping[str, Arm], seeds: int) -> Finding:
        """Judge one setting on at least ``seeds`` pairs."""
        values = on_scale(evidence, arms, self.metric, self.better, self.scale, max(2, seeds))
        gains = gain(values["subject"], values["baseline"], self.better)
        both_failed = ~(np.isfinite(values["subject"]) | np.isfinite(values["baseline"]))
        whole = np.isfinite(gains).all() and not both_failed.any()
        tested = self._by_mean(gains) if whole else self._by_ranks(gains, both_failed)
        verdict: SettingVerdict = "inconclusive"
        if min(tested.inside, tested.beyond) <= self.alpha:
            verdict = "supported" if tested.inside < tested.beyond else "refuted"
        return Finding(
            verdict,
            effect=tested.effect,
            interval=tested.interval,
            n=gains.size,
            unit=unit_of(self.scale),
            target=f"within ±{self.margin:g}",
            interval_kind=f"{100 * (1 - 2 * self.alpha):g} % of the {'mean' if whole else 'median'}",
            p=min(tested.inside, tested.beyond),
            warnings=_failures(int(np.isinf(gains[~both_failed]).sum()), int(both_failed.sum()), gains.size),
        )

    def _by_mean(self, gains: Values) -> _Tested:
        beyond = min(exceeds_margin(gains, self.margin).p, exceeds_margin(-gains, self.margin).p)
        return _Tested(
            inside=tost(gains, self.margin, self.alpha).p,
            beyond=min(1.0, 2 * beyond),
            effect=float(gains.mean()),
            interval=t_interval(gains, 1 - 2 * self.alpha),
        )

    def _by_ranks(self, gains: Values, undecided: NDArray[np.bool_]) -> _Tested:
        """Test by signed ranks; an undecided pair lies wherever it serves a verdict least."""
        low, high = np.where(undecided, -np.inf, gains), np.where(undecided, np.inf, gains)
        above_lower, above_upper = (_above(low, edge) for edge in (-self.margin, self.margin))
        below_lower, below_upper = (_above(-high, edge) for edge in (self.margin, -self.margin))
        ends = median_interval(low, 1 - 2 * self.alpha), median_interval(high, 1 - 2 * self.alpha)
        return _Tested(
            inside=max(above_lower, below_upper),
            beyond=min(1.0, 2 * min(above_upper, below_lower)),
            effect=ends[0].median if ends[0].median == ends[1].median else math.nan,
            interval=Interval(ends[0].interval.low, ends[1].interval.high),
        )

    def shortfall(self, finding: Finding) -> float:
        """Share of the margin that the difference takes up."""
        return share_of_band(finding.effect, -self.margin, self.margin)


def _above(gains: Values, edge: float) -> float:
    return sign_flip(signed_ranks(gains - edge), "greater").p


def _failures(one_sided: int, both: int, pairs: int) -> tuple[str, ...]:
    found = []
    if one_sided:
        found.append(f"in {one_sided} of {pairs} pairs one arm failed and the other did not: beyond any margin")
    if both:
        found.append(f"in {both} of {pairs} pairs both arms failed: they count for neither verdict")
    return tuple(found)
