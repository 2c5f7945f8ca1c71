"""Training: two arms do not differ by as much as matters, paired by seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.finding import Finding, MissingEvidenceError, SettingVerdict
from ics_bench.claims.rules.effect import Better, Scale, unit_of
from ics_bench.claims.rules.paired import advantages, check_paired
from ics_bench.claims.rules.rule import Rule
from ics_bench.claims.rules.shortfall import share_of_band
from ics_bench.stats import exceeds_margin, t_interval, tost


@dataclass(frozen=True)
class Equivalent(Rule):
    """Supported by two one-sided tests within the margin, refuted by a sign-flip test beyond it.

    Refuting looks at both sides, so each of its two tests runs at half of ``alpha``.

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
        gains = advantages(evidence, arms, self.metric, self.better, self.scale, max(2, seeds))
        failures = int((~np.isfinite(gains)).sum())
        if failures:
            raise MissingEvidenceError(
                f"{failures} of {gains.size} pairs hold a failure: equivalence needs finite values"
            )
        inside = tost(gains, self.margin, self.alpha).p
        beyond = min(1.0, 2 * min(exceeds_margin(gains, self.margin).p, exceeds_margin(-gains, self.margin).p))
        verdict: SettingVerdict = "inconclusive"
        if min(inside, beyond) <= self.alpha:
            verdict = "supported" if inside < beyond else "refuted"
        return Finding(
            verdict,
            effect=float(gains.mean()),
            interval=t_interval(gains, 1 - 2 * self.alpha),
            n=gains.size,
            unit=unit_of(self.scale),
            target=f"within ±{self.margin:g}",
            interval_kind=f"{100 * (1 - 2 * self.alpha):g} % of the mean",
            p=min(inside, beyond),
        )

    def shortfall(self, finding: Finding) -> float:
        """Share of the margin that the difference takes up."""
        return share_of_band(finding.effect, -self.margin, self.margin)
