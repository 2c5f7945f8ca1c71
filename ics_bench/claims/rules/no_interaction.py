"""Training: two factors together do no more and no less than the sum of each alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.finding import Finding
from ics_bench.claims.rules.effect import Better, Scale, unit_of
from ics_bench.claims.rules.equivalence import check_margin, equivalence_finding
from ics_bench.claims.rules.interaction import excess
from ics_bench.claims.rules.paired import check_paired
from ics_bench.claims.rules.rule import Rule
from ics_bench.claims.rules.shortfall import share_of_band


@dataclass(frozen=True)
class NoInteraction(Rule):
    """Two one-sided tests that the interaction lies within the margin (see `equivalence_finding`).

    The negative of `Interaction`, on the same four arms: a sample that is too small shows neither.

    Parameters
    ----------
    metric : str
    better : {"lower", "higher"}
    scale : {"log10-ratio", "difference"}
    margin : float
        Positive; interactions below it do not matter.
    alpha : float
    """

    roles: ClassVar[tuple[str, ...]] = ("both", "first", "second", "neither")
    tests: ClassVar[bool] = True

    metric: str
    better: Better
    scale: Scale
    margin: float
    alpha: float = 0.05

    def __post_init__(self) -> None:
        check_paired(self.better, self.scale, self.alpha)
        check_margin(self.margin)

    def metrics(self) -> tuple[str, ...]:
        """Name the metric."""
        return (self.metric,)

    def find(self, evidence: Evidence, arms: Mapping[str, Arm], seeds: int) -> Finding:
        """Judge one setting on at least ``seeds`` seeds, each measured in all four arms."""
        low, high = excess(evidence, arms, self.metric, self.better, self.scale, seeds)
        return equivalence_finding(low, high, self.margin, self.alpha, unit_of(self.scale))

    def shortfall(self, finding: Finding) -> float:
        """Share of the margin that the interaction takes up."""
        return share_of_band(finding.effect, -self.margin, self.margin)
