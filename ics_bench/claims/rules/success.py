"""Training: most seeds, or few, get there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.finding import Finding, SettingVerdict
from ics_bench.claims.rules.effect import check_alpha, check_option
from ics_bench.claims.rules.rule import Rule
from ics_bench.claims.rules.shortfall import short_of
from ics_bench.stats import binomial_tails, share_interval

EVEN = 0.5


@dataclass(frozen=True)
class Success(Rule):
    """Exact sign tests on the number of seeds that succeed, against the null that half of them do.

    *Most* is supported where H0 "at most half" is rejected and refuted where H0 "at least half" is;
    *few* the other way round. A diverged replica (NaN) has failed.

    Parameters
    ----------
    metric : str
    claimed : {"most", "few"}
    at_least, at_most : float, optional
        A seed succeeds with a value there; one of them.
    alpha : float
        Level of each one-sided test.
    """

    tests: ClassVar[bool] = True

    metric: str
    claimed: Literal["most", "few"]
    at_least: float | None = None
    at_most: float | None = None
    alpha: float = 0.05

    def __post_init__(self) -> None:
        check_option("claimed", self.claimed, ("most", "few"))
        check_alpha(self.alpha)
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError(
                f"at_least={self.at_least} and at_most={self.at_most}: give one of them, to say when a seed succeeds"
            )
        if math.isnan(self._bound):
            raise ValueError("the bound of a success is NaN; give a number")

    @property
    def _bound(self) -> float:
        bound = self.at_most if self.at_least is None else self.at_least
        assert bound is not None
        return float(bound)

    def metrics(self) -> tuple[str, ...]:
        """Name the metric."""
        return (self.metric,)

    def find(self, evidence: Evidence, arms: Mapping[str, Arm], seeds: int) -> Finding:
        """Judge one setting on at least ``seeds`` seeds."""
        values = [item.value for item in evidence.by_seed(arms["subject"], self.metric, seeds).values()]
        lost = sum(map(math.isnan, values))
        won = sum(value >= self._bound if self.at_most is None else value <= self._bound for value in values)
        most, few = binomial_tails(won, len(values), EVEN)
        holds, absent = (most, few) if self.claimed == "most" else (few, most)
        verdict: SettingVerdict = "inconclusive"
        if min(holds, absent) <= self.alpha:
            verdict = "supported" if holds < absent else "refuted"
        side = "at most" if self.at_least is None else "at least"
        return Finding(
            verdict,
            effect=won / len(values),
            interval=share_interval(won, len(values)),
            n=len(values),
            unit="share",
            target=f"{self.claimed} seeds with {self.metric} {side} {self._bound:g}; {won} of {len(values)}",
            interval_kind="95 % of the share (Clopper–Pearson)",
            p=min(holds, absent),
            warnings=(f"{lost} of {len(values)} seeds diverged, counted as failures",) * bool(lost),
        )

    def shortfall(self, finding: Finding) -> float:
        """Below 1 where more (fewer) than half of the seeds succeed, above 1 otherwise."""
        beyond = finding.effect - EVEN
        return short_of(Finding(finding.verdict, effect=beyond if self.claimed == "most" else -beyond))
