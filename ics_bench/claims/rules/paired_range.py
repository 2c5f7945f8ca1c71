"""Training: the ratio of two arms lies in a printed range, paired by seed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.finding import Finding, MissingEvidenceError, SettingVerdict
from ics_bench.claims.rules.effect import Better, Summary, Values, check_option, infinities
from ics_bench.claims.rules.paired import advantages, check_paired
from ics_bench.claims.rules.rule import Rule
from ics_bench.claims.rules.shortfall import MOST, share_of_band
from ics_bench.stats import exceeds_margin, median_interval, sign_flip, signed_ranks, t_interval


@dataclass(frozen=True)
class PairedRange(Rule):
    """Exact sign-flip tests of the subject's advantage, as a ratio, against both ends of a printed range.

    *Supported*: H0 "advantage ≤ low" and H0 "advantage ≥ high" are both rejected (an intersection–union
    test, which needs no correction). *Refuted*: H0 "advantage ≥ low" or H0 "advantage ≤ high" is
    rejected; since there are two ways to be outside, each is tested at half of ``alpha``.

    Failures count as in `PairedEffect`.

    Parameters
    ----------
    metric : str
        Not negative.
    better : {"lower", "higher"}
        With ``lower`` the ratio is baseline / subject, with ``higher`` subject / baseline.
    low, high : float
        Printed range of the ratio, such as 10 and 20.
    summary : {"mean", "median"}
        Of the log-ratio.
    alpha : float
    """

    roles: ClassVar[tuple[str, ...]] = ("subject", "baseline")
    tests: ClassVar[bool] = True

    metric: str
    better: Better
    low: float
    high: float
    summary: Summary = "median"
    alpha: float = 0.05

    def __post_init__(self) -> None:
        check_paired(self.better, "log10-ratio", self.alpha)
        check_option("summary", self.summary, ("mean", "median"))
        if not 0 < self.low < self.high < math.inf:
            raise ValueError(f"low={self.low}, high={self.high}: a range of ratios needs 0 < low < high, both finite")

    def metrics(self) -> tuple[str, ...]:
        """Name the metric."""
        return (self.metric,)

    def find(self, evidence: Evidence, arms: Mapping[str, Arm], seeds: int) -> Finding:
        """Judge one setting on at least ``seeds`` pairs."""
        gains = advantages(evidence, arms, self.metric, self.better, "log10-ratio", max(2, seeds))
        failures = int((abs(gains) == math.inf).sum())
        if failures and self.summary == "mean":
            raise MissingEvidenceError(
                f"{failures} of {gains.size} seeds hold a failure or an infinity, which no mean can; judge the median"
            )
        low, high = math.log10(self.low), math.log10(self.high)
        inside = max(self._beyond(gains, low), self._beyond(-gains, -high))
        outside = min(1.0, 2.0 * min(self._beyond(-gains, -low), self._beyond(gains, high)))
        verdict: SettingVerdict = "inconclusive"
        if min(inside, outside) <= self.alpha:
            verdict = "supported" if inside < outside else "refuted"
        if self.summary == "mean":
            effect, interval = float(gains.mean()), t_interval(gains)
        else:
            ranked = median_interval(gains)
            effect, interval = ranked.median, ranked.interval
        return Finding(
            verdict,
            effect=effect,
            interval=interval,
            n=gains.size,
            unit="decades",
            target=f"a ratio of {self.low:g} to {self.high:g}; measured {_ratio(effect)}",
            interval_kind=f"95 % of the {self.summary}",
            p=min(inside, outside),
            warnings=infinities(failures, gains.size),
        )

    def _beyond(self, gains: Values, margin: float) -> float:
        """p-value of H0 "gain ≤ margin"."""
        if self.summary == "mean":
            return exceeds_margin(gains, margin).p
        return sign_flip(signed_ranks(gains - margin), "greater").p

    def shortfall(self, finding: Finding) -> float:
        """Distance of the ratio from the middle of the range, in half-widths, by logarithms."""
        if not math.isfinite(finding.effect):
            return MOST
        return share_of_band(finding.effect, math.log10(self.low), math.log10(self.high))


def _ratio(decades: float) -> str:
    if math.isnan(decades):
        return "none"
    return f"{10.0**decades:.3g}" if abs(decades) < 300 else ("infinite" if decades > 0 else "0")
