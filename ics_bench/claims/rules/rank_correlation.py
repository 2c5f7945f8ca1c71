"""Training: over settings, one quantity goes with another, seed by seed, and better than settings dealt at random."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.finding import Finding
from ics_bench.claims.rules.effect import (
    Claimed,
    Summary,
    Values,
    as_claimed,
    check_alpha,
    check_option,
    effect_finding,
)
from ics_bench.claims.rules.rule import Rule
from ics_bench.claims.rules.settings_table import (
    Direction,
    Groups,
    Worst,
    check_roles,
    deal,
    deals,
    groups_of,
    place_open,
    read_table,
    scores,
    sign_of,
    spread,
)
from ics_bench.claims.rules.shortfall import short_of

X, Y = ".x", ".y"


@dataclass(frozen=True)
class RankCorrelation(Rule):
    """Spearman's rank correlation over settings for each seed, tested over seeds and over settings.

    The arms come in pairs: ``NAME.x`` and ``NAME.y`` are one setting's two quantities, which may be of
    different workloads. *Supported* takes two tests:

    - over seeds, exact sign flips (see `effect_finding`): is the correlation over these settings more than
      ``smallest``? Its p is the finding's. All seeds share their settings, so by itself this would call any fixed
      order of settings a correlation. Hence
    - over settings, permutations: is the mean correlation more than that of settings whose ``y`` are dealt anew,
      the same way on every seed? Settings that a group holds (``within``) exchange theirs with each other alone.
      It is a control that every correlation carries, and like other controls a condition, at level ``alpha``: a dozen
      settings have too few orders for a p-value that a correction for many claims would leave.

    *Refuted* takes the first alone: a correlation that matters is ruled out for these settings.

    A failed replica (NaN) counts as the worst value. A seed on which a quantity is the same in all settings
    has no correlation: 0. A metric that belongs to all seeds together is one number for every seed.

    Parameters
    ----------
    x_metric, y_metric : str
    direction : {"positive", "negative"}
    smallest : float
        Smallest correlation that matters, in the claimed direction, from 0 to 1.
    x_worst, y_worst : {"highest", "lowest"}
        End of the ranks that a failed replica takes.
    y_bound : str
        Metric of the upper ends of the brackets whose lower ends are ``y_metric``, where there is one. A value
        whose bracket is open, from 0 or to infinity, is a bound: the order of such values among each other is
        unknown, and each seed's correlation a range. By its lower end a claim is supported, by the upper refuted.
    within : str
        A case key: ranks are taken, and compared, among the settings with the same value of it. What the key
        itself does to both quantities, as a norm may, then counts for nothing.
    summary : {"mean", "median"}
    alpha : float
        Level of each one-sided test.
    claimed : {"present", "absent"}
        Whether the correlation is claimed, or, as in a negative control, its absence.
    permutations : int
        Random ones.
    dealt : bool
        Deal ``y`` at random among the settings of a group, anew for every seed: a negative control, whose
        correlation must be absent.
    """

    roles: ClassVar[tuple[str, ...]] = ()
    tests: ClassVar[bool] = True

    x_metric: str
    y_metric: str
    direction: Direction
    smallest: float = 0.0
    x_worst: Worst = "highest"
    y_worst: Worst = "highest"
    y_bound: str = ""
    within: str = ""
    summary: Summary = "mean"
    alpha: float = 0.05
    claimed: Claimed = "present"
    permutations: int = 9999
    dealt: bool = False

    def __post_init__(self) -> None:
        check_option("claimed", self.claimed, ("present", "absent"))
        check_option("direction", self.direction, ("positive", "negative"))
        check_option("x_worst", self.x_worst, ("highest", "lowest"))
        check_option("y_worst", self.y_worst, ("highest", "lowest"))
        check_option("summary", self.summary, ("mean", "median"))
        check_alpha(self.alpha)
        if not 0 <= self.smallest < 1:
            raise ValueError(f"smallest={self.smallest}: a correlation that matters lies from 0 up to, not at, 1")
        if self.permutations < 1 / self.alpha:
            raise ValueError(f"permutations={self.permutations}: too few for a p-value of {self.alpha:g}")

    @classmethod
    def check_arms(cls, names: tuple[str, ...]) -> None:
        """Raise ``ValueError`` unless the arms come in pairs, and in enough of them."""
        check_roles(names, (X, Y))

    def metrics(self) -> tuple[str, ...]:
        """Name the metrics."""
        return (self.x_metric, *self.metrics_of(Y))

    def metrics_of(self, role: str) -> tuple[str, ...]:
        """Name what is read from an arm: one quantity, and the upper ends of its brackets."""
        if role.endswith(X):
            return (self.x_metric,)
        return (self.y_metric, self.y_bound) if self.y_bound else (self.y_metric,)

    def find(self, evidence: Evidence, arms: Mapping[str, Arm], seeds: int) -> Finding:
        """Correlate over the settings on at least ``seeds`` seeds."""
        names = [role.removesuffix(X) for role in arms if role.endswith(X)]
        columns = {X: (self.x_metric, self.x_worst), Y: (self.y_metric, self.y_worst)}
        table = read_table(evidence, arms, names, columns, self.y_bound, max(2, seeds))
        groups = groups_of(arms, [name + X for name in names], self.within)
        if self.dealt:
            table = deal(table, groups)
        x = sign_of(self.direction) * scores(table.values[X], groups)
        y_low, y_high = (scores(place_open(table.values[Y], table.open, w, groups), groups) for w in (-x, x))
        low, high = ((x * y).sum(axis=0) for y in (y_low, y_high))
        no = "no " if self.claimed == "absent" else "a "
        target = f"{no}{self.direction} correlation over {len(names)} settings"
        target += f" within {self.within}" if self.within else ""
        target += f" of more than {self.smallest:g}" if self.smallest else ""
        finding = effect_finding(low, self.smallest, self.summary, self.alpha, "correlation", target, optimistic=high)
        tied = scores(table.values[Y], groups)
        finding = spread(finding, low, (x * tied).sum(axis=0), high, self.summary)
        finding = self._less_chance(finding, _dealt(x, tied, float(low.mean()), groups, self.permutations))
        flat = int(((x == 0).all(axis=0) | (y_low == 0).all(axis=0)).sum())
        notes = list(table.notes)
        if flat:
            notes.append(f"on {flat} of {low.size} seeds a quantity is the same in all settings: no correlation, 0")
        return as_claimed(replace(finding, warnings=(*finding.warnings, *notes)), self.claimed)

    def _less_chance(self, finding: Finding, dealt: float) -> Finding:
        """Say how often settings dealt at random would do as well, and take back what they do too often."""
        chance = f"settings dealt at random correlate as much in {100 * dealt:.3g} % of the deals"
        verdict = "inconclusive" if finding.verdict == "supported" and dealt > self.alpha else finding.verdict
        return replace(finding, verdict=verdict, warnings=(*finding.warnings, chance))

    def shortfall(self, finding: Finding) -> float:
        """Below 1 where the correlation has the claimed sign."""
        return short_of(finding)


def _dealt(x: Values, y: Values, observed: float, groups: Groups, permutations: int) -> float:
    """p-value of the mean correlation over seeds, among those with each group's ``y`` dealt anew to its settings."""
    products = x @ y.T / x.shape[1]  # [i, j]: what setting i gains by the y of setting j, mean over seeds
    found = products[np.arange(len(x)), deals(groups, permutations)].sum(axis=1)
    return float((1 + (found >= observed - 1e-12).sum()) / (1 + permutations))
