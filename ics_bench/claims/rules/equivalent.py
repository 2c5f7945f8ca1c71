"""Training: two arms do not differ by as much as matters, paired by seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.finding import Finding
from ics_bench.claims.rules.effect import Better, Scale, gain, on_scale, unit_of
from ics_bench.claims.rules.equivalence import check_margin, equivalence_finding
from ics_bench.claims.rules.paired import check_paired
from ics_bench.claims.rules.rule import Rule
from ics_bench.claims.rules.shortfall import share_of_band


@dataclass(frozen=True)
class Equivalent(Rule):
    """Two one-sided tests within the margin, and sign-flip tests beyond it (see `equivalence_finding`).

    Where one arm of a pair failed (NaN, or never arrived) and the other did not, the pair differs by more
    than any margin. Where both failed, nothing was compared: that two nets break down alike is no
    equivalence, so the pair counts against either verdict.

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
        check_margin(self.margin)

    def metrics(self) -> tuple[str, ...]:
        """Name the metric."""
        return (self.metric,)

    def find(self, evidence: Evidence, arms: Mapping[str, Arm], seeds: int) -> Finding:
        """Judge one setting on at least ``seeds`` pairs."""
        values = on_scale(evidence, arms, self.metric, self.better, self.scale, max(2, seeds))
        gains = gain(values["subject"], values["baseline"], self.better)
        open_ended = ~(np.isfinite(values["subject"]) | np.isfinite(values["baseline"]))
        low, high = np.where(open_ended, -np.inf, gains), np.where(open_ended, np.inf, gains)
        return equivalence_finding(low, high, self.margin, self.alpha, unit_of(self.scale))

    def shortfall(self, finding: Finding) -> float:
        """Share of the margin that the difference takes up."""
        return share_of_band(finding.effect, -self.margin, self.margin)
