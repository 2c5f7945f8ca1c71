"""Theory: a value lies within a tolerance of a closed form, or within bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.finding import Finding, MissingEvidenceError, SettingVerdict
from ics_bench.claims.rules.rule import Rule
from ics_bench.claims.rules.shortfall import bounded, share_of_band, short_of
from ics_bench.stats import Interval, t_interval


@dataclass(frozen=True)
class Within(Rule):
    """Supported where the 95 % interval of the mean over seeds lies in the band, refuted where outside.

    Straddling an edge is inconclusive, so that more seeds decide. A seed without a finite value keeps
    the setting open: theory speaks of a number, and a mean cannot leave one out.

    Parameters
    ----------
    metric : str
    expected : float, optional
        Value of the closed form.
    relative_tolerance : float, optional
        The band is ``expected·(1 ± relative_tolerance)``.
    relative_tolerance_of_excess : float, optional
        Instead of it, for a rate whose distance from 1 is the effect: the band is
        ``expected ± relative_tolerance_of_excess·|expected − 1|``.
    at_least, at_most : float, optional
        The band itself, open where one of them is absent. Instead of ``expected``.
    """

    tests: ClassVar[bool] = False

    metric: str
    expected: float | None = None
    relative_tolerance: float | None = None
    relative_tolerance_of_excess: float | None = None
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        bounded = self.at_least is not None or self.at_most is not None
        tolerances = [t for t in (self.relative_tolerance, self.relative_tolerance_of_excess) if t is not None]
        if (self.expected is not None) == bounded or len(tolerances) != (self.expected is not None):
            raise ValueError(
                "give either expected and one of relative_tolerance and relative_tolerance_of_excess, "
                "or at_least, at_most or both"
            )
        low, high = self.band
        if not low < high:
            raise ValueError(f"the band {low:g} … {high:g} is empty")

    @property
    def band(self) -> Interval:
        """Values that agree with the claim."""
        if self.expected is not None:
            half = abs(self.expected) * (self.relative_tolerance or 0.0)
            half += abs(self.expected - 1.0) * (self.relative_tolerance_of_excess or 0.0)
            return Interval(self.expected - half, self.expected + half)
        low = -math.inf if self.at_least is None else self.at_least
        return Interval(low, math.inf if self.at_most is None else self.at_most)

    def metrics(self) -> tuple[str, ...]:
        """Name the metric."""
        return (self.metric,)

    def find(self, evidence: Evidence, arms: Mapping[str, Arm], seeds: int) -> Finding:
        """Judge one setting on at least ``seeds`` seeds."""
        found = evidence.by_seed(arms["subject"], self.metric, max(2, seeds))
        values = {seed: item.value for seed, item in found.items()}
        lost = [seed for seed, value in values.items() if not math.isfinite(value)]
        if lost:
            raise MissingEvidenceError(f"{self.metric} is not finite for seeds {', '.join(map(str, lost))}")
        interval = t_interval(list(values.values()))
        verdict: SettingVerdict = "inconclusive"
        if interval.inside(*self.band):
            verdict = "supported"
        elif interval.outside(*self.band):
            verdict = "refuted"
        return Finding(
            verdict,
            effect=math.fsum(values.values()) / len(values),
            interval=interval,
            n=len(values),
            unit=next(iter(found.values())).unit,
            target=self._target(),
            interval_kind="95 % of the mean over seeds",
        )

    def shortfall(self, finding: Finding) -> float:
        """Share of the tolerance that is used up; with one bound, the factor by which it is missed."""
        low, high = self.band
        if math.isfinite(low) and math.isfinite(high):
            return share_of_band(finding.effect, low, high)
        bound, upper = (high, True) if math.isfinite(high) else (low, False)
        if bound > 0 and finding.effect >= 0:
            ratio = finding.effect / bound
            return bounded(ratio if upper else math.inf if ratio == 0 else 1.0 / ratio)
        beyond = bound - finding.effect if upper else finding.effect - bound
        return short_of(Finding(finding.verdict, effect=beyond))

    def _target(self) -> str:
        if self.expected is not None and self.relative_tolerance is not None:
            return f"{self.expected:.4g} ± {100 * self.relative_tolerance:g} %"
        if self.expected is not None and self.relative_tolerance_of_excess is not None:
            return f"{self.expected:.4g} ± {100 * self.relative_tolerance_of_excess:g} % of its excess over 1"
        low, high = self.band
        if math.isinf(low):
            return f"at most {high:g}"
        return f"at least {low:g}" if math.isinf(high) else f"{low:g} … {high:g}"
