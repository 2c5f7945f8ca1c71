"""Training: one arm beats another by more than the smallest effect that matters, paired by seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.finding import Finding
from ics_bench.claims.rules.effect import (
    Better,
    Claimed,
    Scale,
    Summary,
    Values,
    as_claimed,
    check_alpha,
    check_option,
    check_smallest,
    effect_finding,
    gain,
    on_scale,
    short_of_claim,
    unit_of,
)
from ics_bench.claims.rules.rule import Rule


@dataclass(frozen=True)
class PairedEffect(Rule):
    """Exact sign-flip margin tests of the subject's advantage over the baseline (see `effect_finding`).

    A diverged replica (NaN) has failed: it counts as the worst value, and two failures of one seed
    tie. A mean cannot hold it, so a sample with failures needs ``summary="median"``, whose test is by
    signed ranks. Where NaN says that a quantity is not defined, rather than that training failed,
    ``undefined="undecided"``: such a pair counts for neither verdict.

    Parameters
    ----------
    metric : str
    better : {"lower", "higher"}
    scale : {"log10-ratio", "difference"}
    smallest_effect : float
        Smallest advantage that matters, on that scale; not negative.
    summary : {"mean", "median"}
    alpha : float
        Level of each one-sided test.
    undefined : {"failed", "undecided"}
        What NaN means.
    claimed : {"present", "absent"}
        With *absent*, ruling an advantage that matters out supports the claim, and finding one refutes it.
    """

    roles: ClassVar[tuple[str, ...]] = ("subject", "baseline")
    tests: ClassVar[bool] = True

    metric: str
    better: Better
    scale: Scale
    smallest_effect: float
    summary: Summary = "median"
    alpha: float = 0.05
    undefined: Literal["failed", "undecided"] = "failed"
    claimed: Claimed = "present"

    def __post_init__(self) -> None:
        check_paired(self.better, self.scale, self.alpha)
        check_option("summary", self.summary, ("mean", "median"))
        check_option("undefined", self.undefined, ("failed", "undecided"))
        check_smallest(self.smallest_effect)
        check_option("claimed", self.claimed, ("present", "absent"))

    def metrics(self) -> tuple[str, ...]:
        """Name the metric."""
        return (self.metric,)

    def find(self, evidence: Evidence, arms: Mapping[str, Arm], seeds: int) -> Finding:
        """Judge one setting on at least ``seeds`` pairs."""
        gains = advantages(evidence, arms, self.metric, self.better, self.scale, max(2, seeds))
        target = f"{'more' if self.claimed == 'present' else 'no more'} than {self.smallest_effect:g}"
        unit, upper = unit_of(self.scale), gains
        if self.undefined == "undecided":
            lost = undefined_pairs(evidence, arms, self.metric, max(2, seeds))
            gains, upper = np.where(lost, -np.inf, gains), np.where(lost, np.inf, gains)
        finding = effect_finding(gains, self.smallest_effect, self.summary, self.alpha, unit, target, optimistic=upper)
        return as_claimed(finding, self.claimed)

    def shortfall(self, finding: Finding) -> float:
        """Baseline over subject; below 1 where the subject is better."""
        return short_of_claim(finding, self.smallest_effect, self.claimed)


def check_paired(better: str, scale: str, alpha: float) -> None:
    """Raise ``ValueError`` for parameters that no paired rule takes."""
    check_option("better", better, ("lower", "higher"))
    check_option("scale", scale, ("log10-ratio", "difference"))
    check_alpha(alpha)


def undefined_pairs(evidence: Evidence, arms: Mapping[str, Arm], metric: str, seeds: int) -> NDArray[np.bool_]:
    """Whether the subject's or the baseline's value of each seed is NaN."""
    found = [evidence.by_seed(arms[role], metric, seeds).values() for role in ("subject", "baseline")]
    subject, baseline = (np.array([item.value for item in items]) for items in found)
    undefined: NDArray[np.bool_] = np.isnan(subject) | np.isnan(baseline)
    return undefined


def advantages(
    evidence: Evidence, arms: Mapping[str, Arm], metric: str, better: Better, scale: Scale, seeds: int
) -> Values:
    """Advantage of the subject over the baseline for each seed, positive where the subject is better.

    Returns
    -------
    array of float64, shape (seeds,)
        ±inf where one of the two failed or never arrived, 0 where both did.

    Raises
    ------
    MissingEvidenceError
        If the arms share too few seeds, or a ratio has no logarithm.
    """
    values = on_scale(evidence, {role: arms[role] for role in ("subject", "baseline")}, metric, better, scale, seeds)
    return gain(values["subject"], values["baseline"], better)
