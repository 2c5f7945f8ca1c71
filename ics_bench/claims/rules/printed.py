"""A printed number, against the same deterministic run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.finding import Finding
from ics_bench.claims.rules.rule import Rule
from ics_bench.claims.rules.shortfall import off_by_decades
from ics_bench.stats import Interval


@dataclass(frozen=True)
class PrintedNumber(Rule):
    """Supported where the run gives the printed number up to its printed digits, refuted otherwise.

    The run has one outcome, so there is nothing to estimate: the interval is that outcome. The effect
    is log10(measured / printed), infinite where one of them is 0 or infinite and the other is not.

    Parameters
    ----------
    metric : str
        Measured once, without a seed.
    printed : float
        A non-negative number as printed; may be infinite.
    relative_tolerance : float
        Half a unit of the last printed digit, relative.
    """

    tests: ClassVar[bool] = False

    metric: str
    printed: float
    relative_tolerance: float

    def __post_init__(self) -> None:
        if math.isnan(self.printed) or self.printed < 0:
            raise ValueError(f"printed={self.printed}: a ratio needs a number that is not negative")
        if not 0 <= self.relative_tolerance < 1:
            raise ValueError(f"relative_tolerance={self.relative_tolerance}: expected a number from 0 to 1")

    def metrics(self) -> tuple[str, ...]:
        """Name the metric."""
        return (self.metric,)

    def find(self, evidence: Evidence, arms: Mapping[str, Arm], seeds: int) -> Finding:
        """Compare the one outcome; ``seeds`` does not matter."""
        del seeds
        item = evidence.single(arms["subject"], self.metric)
        agrees = math.isclose(item.value, self.printed, rel_tol=self.relative_tolerance)
        effect = _decades(item.value, self.printed)
        return Finding(
            "supported" if agrees else "refuted",
            effect=effect,
            interval=Interval(effect, effect),
            n=1,
            unit="decades",
            target=f"printed {self.printed:g}, measured {item.value:g}",
            interval_kind="deterministic",
        )

    def shortfall(self, finding: Finding) -> float:
        """Factor by which the printed number is off."""
        return off_by_decades(finding.effect)


def _decades(measured: float, printed: float) -> float:
    if measured == printed:
        return 0.0
    if math.isnan(measured) or measured < 0:
        return math.nan
    return _log10(measured) - _log10(printed)


def _log10(value: float) -> float:
    return math.log10(value) if value > 0 else -math.inf
