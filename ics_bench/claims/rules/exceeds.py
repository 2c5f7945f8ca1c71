"""Training: a quantity lies beyond a bound, seed by seed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.finding import Finding
from ics_bench.claims.rules.effect import (
    Scale,
    Summary,
    check_alpha,
    check_option,
    check_smallest,
    effect_finding,
    gain,
    on_scale,
    unit_of,
)
from ics_bench.claims.rules.rule import Rule
from ics_bench.claims.rules.shortfall import short_of


@dataclass(frozen=True)
class Exceeds(Rule):
    """Exact sign-flip margin tests of the distance beyond a bound (see `effect_finding`).

    The distance of a seed is positive on the claimed side. A failed replica (NaN) is infinitely far on
    the other side, which needs ``summary="median"``.

    Parameters
    ----------
    metric : str
    bound : float
    direction : {"above", "below"}
    smallest_effect : float
        Smallest distance that matters, on the scale; not negative.
    scale : {"difference", "log10-ratio"}
    summary : {"mean", "median"}
    alpha : float
        Level of each one-sided test.
    """

    tests: ClassVar[bool] = True

    metric: str
    bound: float
    direction: Literal["above", "below"]
    smallest_effect: float = 0.0
    scale: Scale = "difference"
    summary: Summary = "median"
    alpha: float = 0.05

    def __post_init__(self) -> None:
        check_option("direction", self.direction, ("above", "below"))
        check_option("scale", self.scale, ("difference", "log10-ratio"))
        check_option("summary", self.summary, ("mean", "median"))
        check_smallest(self.smallest_effect)
        check_alpha(self.alpha)
        if not math.isfinite(self.bound):
            raise ValueError(f"bound={self.bound}: expected a finite number")
        if self.scale == "log10-ratio" and self.bound <= 0:
            raise ValueError(f'bound={self.bound} has no logarithm; give a positive one, or scale = "difference"')

    def metrics(self) -> tuple[str, ...]:
        """Name the metric."""
        return (self.metric,)

    def find(self, evidence: Evidence, arms: Mapping[str, Arm], seeds: int) -> Finding:
        """Judge one setting on at least ``seeds`` seeds."""
        better: Literal["lower", "higher"] = "higher" if self.direction == "above" else "lower"
        values = on_scale(evidence, {"subject": arms["subject"]}, self.metric, better, self.scale, max(2, seeds))
        bound = math.log10(self.bound) if self.scale == "log10-ratio" else self.bound
        gains = gain(values["subject"], np.full_like(values["subject"], bound), better)
        target = f"{self.direction} {self.bound:g}"
        if self.smallest_effect:
            by = " decades" if self.scale == "log10-ratio" else ""
            target += f" by more than {self.smallest_effect:g}{by}"
        return effect_finding(gains, self.smallest_effect, self.summary, self.alpha, unit_of(self.scale), target)

    def shortfall(self, finding: Finding) -> float:
        """Below 1 beyond the bound, above 1 short of it."""
        return short_of(finding)
