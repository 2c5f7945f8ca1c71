"""Training: the ratio of two arms lies in a printed range, paired by seed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.finding import Finding, MissingEvidenceError, SettingVerdict
from ics_bench.claims.rules.effect import Better, Summary, Values, check_option, check_same_seeds, infinities
from ics_bench.claims.rules.paired import advantages, check_paired
from ics_bench.claims.rules.rule import Rule
from ics_bench.claims.rules.shortfall import MOST, share_of_band, short_of
from ics_bench.stats import Interval, exceeds_margin, median_interval, sign_flip, signed_ranks, t_interval

COST = "cost"


@dataclass(frozen=True)
class PairedRange(Rule):
    """Exact sign-flip tests of the subject's advantage, as a ratio, against both ends of a printed range.

    *Supported*: H0 "advantage ≤ low" and H0 "advantage ≥ high" are both rejected (an intersection–union
    test, which needs no correction). *Refuted*: H0 "advantage ≥ low" or H0 "advantage ≤ high" is
    rejected; since there are two ways to be outside, each is tested at half of ``alpha``. A range without an
    upper end has one way.

    Failures count as in `PairedEffect`, unless there is a ``budget``: then an arm that did not arrive within it, or
    diverged, would take longer by nobody knows how much. Its ratio is a bound: the claim is supported by the lower
    ends of what is known and refuted by the upper ones, and a pair of which neither arrives says nothing.

    An arm of the role ``cost`` turns steps into time: the advantage is divided, seed by seed, by what a step of the
    subject costs over one of the baseline.

    Parameters
    ----------
    metric : str
        Not negative.
    better : {"lower", "higher"}
        With ``lower`` the ratio is baseline / subject, with ``higher`` subject / baseline.
    low, high : float
        Printed range of the ratio, such as 10 and 20; ``high`` may be infinite.
    summary : {"mean", "median"}
        Of the log-ratio.
    alpha : float
    budget : float
        Steps after which training ended; infinite where it is no matter.
    cost_metric : str
        Metric of the ``cost`` arm.
    """

    roles: ClassVar[tuple[str, ...]] = ("subject", "baseline")
    tests: ClassVar[bool] = True

    metric: str
    better: Better
    low: float
    high: float = math.inf
    summary: Summary = "median"
    alpha: float = 0.05
    budget: float = math.inf
    cost_metric: str = "cost_ratio"

    def __post_init__(self) -> None:
        check_paired(self.better, "log10-ratio", self.alpha)
        check_option("summary", self.summary, ("mean", "median"))
        if not 0 < self.low < self.high or self.low == math.inf:
            raise ValueError(f"low={self.low}, high={self.high}: a range of ratios needs 0 < low < high, low finite")
        if not self.budget > 0:
            raise ValueError(f"budget={self.budget}: expected a positive number of steps")
        if self.better == "higher" and math.isfinite(self.budget):
            raise ValueError(f"budget={self.budget}: only a metric that is better when lower can exceed its budget")

    @classmethod
    def check_arms(cls, names: tuple[str, ...]) -> None:
        """Raise ``ValueError`` unless the arms are the two roles, and a cost or none."""
        super().check_arms(tuple(name for name in names if name != COST))

    def metrics(self) -> tuple[str, ...]:
        """Name the metric."""
        return (self.metric,)

    def metrics_of(self, role: str) -> tuple[str, ...]:
        """Name the one metric that is read from an arm."""
        return (self.cost_metric,) if role == COST else self.metrics()

    def find(self, evidence: Evidence, arms: Mapping[str, Arm], seeds: int) -> Finding:
        """Judge one setting on at least ``seeds`` pairs."""
        least, most = self._gains(evidence, arms, max(2, seeds))
        failures = int((~(np.isfinite(least) & np.isfinite(most))).sum())
        if failures and self.summary == "mean":
            raise MissingEvidenceError(
                f"{failures} of {least.size} seeds hold a failure or an infinity, which no mean can; judge the median"
            )
        low, high = math.log10(self.low), math.log10(self.high)
        inside, outside = self._beyond(least, low), self._beyond(-most, -low)
        if high < math.inf:
            inside = max(inside, self._beyond(-most, -high))
            outside = min(1.0, 2.0 * min(outside, self._beyond(least, high)))
        verdict: SettingVerdict = "inconclusive"
        if min(inside, outside) <= self.alpha:
            verdict = "supported" if inside < outside else "refuted"
        effect, interval = self._middle(least, most)
        bounds = int((least != most).sum())
        note = f"{bounds} of {least.size} ratios are bounds: an arm did not arrive within {self.budget:g} steps"
        return Finding(
            verdict,
            effect=effect,
            interval=interval,
            n=least.size,
            unit="decades",
            target=f"a ratio of {self._range()}; measured {_ratio(effect)}",
            interval_kind=f"95 % of the {self.summary}",
            p=min(inside, outside),
            warnings=(*infinities(failures if not bounds else 0, least.size), *(note,) * bool(bounds)),
        )

    def _gains(self, evidence: Evidence, arms: Mapping[str, Arm], seeds: int) -> tuple[Values, Values]:
        """Return the ends of the advantage of each seed, in decades."""
        if math.isinf(self.budget):
            least = most = advantages(evidence, arms, self.metric, self.better, "log10-ratio", seeds)
        else:
            found = {role: evidence.by_seed(arms[role], self.metric, seeds) for role in self.roles}
            check_same_seeds(self.metric, found)
            steps = {role: np.array([item.value for item in items.values()]) for role, items in found.items()}
            lost = {role: ~(values <= self.budget) for role, values in steps.items()}
            shortest = {role: np.log10(np.where(lost[role], self.budget, steps[role])) for role in self.roles}
            longest = {role: np.where(lost[role], np.inf, shortest[role]) for role in self.roles}
            least = shortest["baseline"] - longest["subject"]
            most = longest["baseline"] - shortest["subject"]
        if COST in arms:
            cost = evidence.by_seed(arms[COST], self.cost_metric, seeds)
            if list(cost) != list(evidence.by_seed(arms["subject"], self.metric, seeds)):
                raise MissingEvidenceError(
                    f"{self.cost_metric} was measured on other seeds; run all with the same ones"
                )
            decades = np.log10([item.value for item in cost.values()])
            least, most = least - decades, most - decades
        return least, most

    def _beyond(self, gains: Values, margin: float) -> float:
        """p-value of H0 "gain ≤ margin"."""
        if self.summary == "mean":
            return exceeds_margin(gains, margin).p
        return sign_flip(signed_ranks(gains - margin), "greater").p

    def _middle(self, least: Values, most: Values) -> tuple[float, Interval]:
        """Effect and interval; where more than half of the ratios are bounds, the effect is the lower one of them."""
        if self.summary == "mean":
            return float(least.mean()), t_interval(least)
        low, high = median_interval(least), median_interval(most)
        return low.median, Interval(low.interval.low, high.interval.high)

    def _range(self) -> str:
        return f"{self.low:g} to {self.high:g}" if math.isfinite(self.high) else f"at least {self.low:g}"

    def shortfall(self, finding: Finding) -> float:
        """Distance of the ratio from the middle of the range, in half-widths; of one without end, from its start."""
        if not math.isfinite(finding.effect):
            return MOST
        if math.isinf(self.high):
            return short_of(replace(finding, effect=finding.effect - math.log10(self.low)))
        return share_of_band(finding.effect, math.log10(self.low), math.log10(self.high))


def _ratio(decades: float) -> str:
    if math.isnan(decades):
        return "none"
    return f"{10.0**decades:.3g}" if abs(decades) < 300 else ("infinite" if decades > 0 else "0")
