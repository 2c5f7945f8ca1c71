"""Training: whatever the recipe, it fails. One recipe that succeeds refutes it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.finding import Finding, SettingVerdict
from ics_bench.claims.rules.effect import check_alpha
from ics_bench.claims.rules.rule import Rule
from ics_bench.claims.rules.shortfall import short_of
from ics_bench.stats import binomial_tails, share_interval

EVEN = 0.5


@dataclass(frozen=True)
class Impossible(Rule):
    """Exact sign tests on the number of seeds that succeed, in every arm: each arm is an attempt.

    Supported where in every arm H0 "at least half succeed" is rejected, the largest p being the verdict's.
    Refuted where in some arm H0 "at most half" is, by Bonferroni's correction for the number of arms. A
    diverged replica (NaN) has failed.

    Parameters
    ----------
    metric : str
    at_least : float
        A seed succeeds with a value there.
    alpha : float
    """

    roles: ClassVar[tuple[str, ...]] = ()
    tests: ClassVar[bool] = True

    metric: str
    at_least: float
    alpha: float = 0.05

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        if math.isnan(self.at_least):
            raise ValueError("at_least=nan: give a number, to say when a seed succeeds")

    @classmethod
    def check_arms(cls, names: tuple[str, ...]) -> None:
        """Raise ``ValueError`` for fewer than two attempts."""
        if len(names) < 2:
            raise ValueError(f"tries several arms, got {', '.join(names)}; for one, use rule 'success'")

    def metrics(self) -> tuple[str, ...]:
        """Name the metric."""
        return (self.metric,)

    def find(self, evidence: Evidence, arms: Mapping[str, Arm], seeds: int) -> Finding:
        """Judge one setting on at least ``seeds`` seeds of every arm."""
        values = {
            name: [item.value for item in evidence.by_seed(arm, self.metric, seeds).values()]
            for name, arm in arms.items()
        }
        won = {name: sum(value >= self.at_least for value in found) for name, found in values.items()}
        tails = {name: binomial_tails(won[name], len(found), EVEN) for name, found in values.items()}
        all_fail = max(few for _, few in tails.values())
        one_succeeds = min(1.0, len(tails) * min(most for most, _ in tails.values()))
        verdict: SettingVerdict = "inconclusive"
        if min(all_fail, one_succeeds) <= self.alpha:
            verdict = "supported" if all_fail < one_succeeds else "refuted"
        best = max(values, key=lambda name: won[name] / len(values[name]))
        tried = ", ".join(f"{name} {won[name]} of {len(found)}" for name, found in values.items())
        return Finding(
            verdict,
            effect=won[best] / len(values[best]),
            interval=share_interval(won[best], len(values[best])),
            n=len(values[best]),
            unit="share",
            target=f"few seeds with {self.metric} at least {self.at_least:g}, whatever the attempt; {tried}",
            interval_kind=f"95 % of the share of {best}, the best attempt (Clopper–Pearson)",
            p=min(all_fail, one_succeeds),
        )

    def shortfall(self, finding: Finding) -> float:
        """Below 1 where fewer than half of the seeds of the best attempt succeed, above 1 otherwise."""
        return short_of(Finding(finding.verdict, effect=EVEN - finding.effect))
