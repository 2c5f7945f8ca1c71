"""Training: two factors together do more than the sum of each alone, in a two-by-two design paired by seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.finding import Finding
from ics_bench.claims.rules.effect import (
    Better,
    Claimed,
    Scale,
    Summary,
    Values,
    as_claimed,
    check_option,
    check_smallest,
    effect_finding,
    gain,
    on_scale,
    short_of_claim,
    unit_of,
)
from ics_bench.claims.rules.paired import check_paired
from ics_bench.claims.rules.rule import Rule


@dataclass(frozen=True)
class Interaction(Rule):
    """Exact sign-flip margin tests of (both − first) − (second − neither), as a gain (see `effect_finding`).

    The gain is positive where adding the second factor on top of the first helps more than adding it
    alone does. Where the factors are harms (a bad initialization, a low rate) and the claim is that they
    feed each other, exchange ``better``: then the gain is the harm in excess.

    A failed replica (NaN) counts as the worst value, and two failures tie. Where both halves of the
    difference are infinite the same way, it has no value: that seed counts neither for the claim nor
    against it. Failures need ``summary="median"``.

    Parameters
    ----------
    metric : str
    better : {"lower", "higher"}
    scale : {"log10-ratio", "difference"}
    smallest_effect : float
        Smallest interaction that matters, on that scale; not negative.
    summary : {"mean", "median"}
    alpha : float
        Level of each one-sided test.
    claimed : {"present", "absent"}
        With *absent*, ruling an interaction that matters out supports the claim, and finding one refutes it.
    """

    roles: ClassVar[tuple[str, ...]] = ("both", "first", "second", "neither")
    tests: ClassVar[bool] = True

    metric: str
    better: Better
    scale: Scale
    smallest_effect: float
    summary: Summary = "median"
    alpha: float = 0.05
    claimed: Claimed = "present"

    def __post_init__(self) -> None:
        check_paired(self.better, self.scale, self.alpha)
        check_option("summary", self.summary, ("mean", "median"))
        check_smallest(self.smallest_effect)
        check_option("claimed", self.claimed, ("present", "absent"))

    def metrics(self) -> tuple[str, ...]:
        """Name the metric."""
        return (self.metric,)

    def find(self, evidence: Evidence, arms: Mapping[str, Arm], seeds: int) -> Finding:
        """Judge one setting on at least ``seeds`` seeds, each measured in all four arms."""
        chosen = {role: arms[role] for role in self.roles}
        values = on_scale(evidence, chosen, self.metric, self.better, self.scale, max(2, seeds))
        on_top = gain(values["both"], values["first"], self.better)
        low, high = _difference(on_top, gain(values["second"], values["neither"], self.better))
        more = "more" if self.claimed == "present" else "no more"
        unit, target = unit_of(self.scale), f"an excess of {more} than {self.smallest_effect:g}"
        finding = effect_finding(low, self.smallest_effect, self.summary, self.alpha, unit, target, optimistic=high)
        return as_claimed(finding, self.claimed)

    def shortfall(self, finding: Finding) -> float:
        """Below 1 where the two together do more than the sum."""
        return short_of_claim(finding, self.smallest_effect, self.claimed)


def _difference(one: Values, other: Values) -> tuple[Values, Values]:
    """Return the ends of ``one - other``; the whole line where both are infinite the same way."""
    with np.errstate(invalid="ignore"):
        difference = one - other
    open_ended = np.isnan(difference)
    return np.where(open_ended, -np.inf, difference), np.where(open_ended, np.inf, difference)
