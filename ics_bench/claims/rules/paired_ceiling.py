"""Training: one arm bears higher learning rates than another, each seed by its own ceiling."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.finding import Finding
from ics_bench.claims.rules.effect import (
    Values,
    check_alpha,
    check_option,
    check_same_seeds,
    check_smallest,
    effect_finding,
)
from ics_bench.claims.rules.rule import Rule
from ics_bench.claims.rules.shortfall import short_of


@dataclass(frozen=True)
class PairedCeiling(Rule):
    """Exact signed-rank margin tests of the subject's own ceiling over the baseline's, in decades.

    A ceiling at the top of the grid is a bound, and so is that of a seed for which no rate of the grid succeeds:
    what is known of their ratio is a range, and the claim is supported by its lower ends and refuted by its upper
    ones (see `effect_finding`). A ceiling between two tested rates is taken at the lower of them.

    Parameters
    ----------
    question : {"trainable", "stable"}
        Which ceiling: of reaching the target, or of not diverging.
    smallest_effect : float
        Smallest advantage that matters, in decades; not negative.
    alpha : float
        Level of each one-sided test.
    """

    roles: ClassVar[tuple[str, ...]] = ("subject", "baseline")
    tests: ClassVar[bool] = True

    question: Literal["trainable", "stable"]
    smallest_effect: float
    alpha: float = 0.05

    def __post_init__(self) -> None:
        check_option("question", self.question, ("trainable", "stable"))
        check_smallest(self.smallest_effect)
        check_alpha(self.alpha)

    def metrics(self) -> tuple[str, ...]:
        """Name both ends of the bracket of a seed's own ceiling."""
        return (f"own_{self.question}_ceiling", f"own_{self.question}_bound")

    def find(self, evidence: Evidence, arms: Mapping[str, Arm], seeds: int) -> Finding:
        """Judge one setting on at least ``seeds`` pairs."""
        subject_low, subject_high = self._decades(evidence, arms["subject"], max(2, seeds))
        baseline_low, baseline_high = self._decades(evidence, arms["baseline"], max(2, seeds))
        by_seed = {role: evidence.by_seed(arms[role], self.metrics()[0], max(2, seeds)) for role in self.roles}
        check_same_seeds(self.metrics()[0], by_seed)
        low, high = subject_low - baseline_high, subject_high - baseline_low
        target = f"a {self.question} rate higher by more than {self.smallest_effect:g} decades"
        return effect_finding(low, self.smallest_effect, "median", self.alpha, "decades", target, optimistic=high)

    def shortfall(self, finding: Finding) -> float:
        """Baseline over subject; below 1 where the subject bears more."""
        return short_of(finding)

    def _decades(self, evidence: Evidence, arm: Arm, seeds: int) -> tuple[Values, Values]:
        """Return the ends of what is known of each seed's ceiling; equal where it lies between two tested rates."""
        ceilings, bounds = (evidence.by_seed(arm, metric, seeds).values() for metric in self.metrics())
        low, high = (np.array([item.value for item in items]) for items in (ceilings, bounds))
        with np.errstate(divide="ignore"):
            decades, upper = np.log10(low), np.log10(high)
        open_ended = (low == 0) | np.isinf(high)
        return np.where(low == 0, -math.inf, decades), np.where(open_ended, upper, decades)
