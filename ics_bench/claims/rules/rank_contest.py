"""Training: over settings, one quantity goes with an outcome more closely than a rival does, seed by seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.finding import Finding
from ics_bench.claims.rules.effect import Summary, check_alpha, check_option, check_smallest, effect_finding
from ics_bench.claims.rules.rule import Rule
from ics_bench.claims.rules.settings_table import (
    BOUNDED,
    Direction,
    Worst,
    check_roles,
    groups_of,
    place_open,
    read_table,
    scores,
    sign_of,
    spread,
)
from ics_bench.claims.rules.shortfall import short_of

X, RIVAL, Y = ".x", ".rival", BOUNDED


@dataclass(frozen=True)
class RankContest(Rule):
    """Exact sign-flip margin tests, over seeds, of one rank correlation less another (see `effect_finding`).

    The arms come in threes: ``NAME.x``, ``NAME.rival`` and ``NAME.y`` are one setting's two candidates and its
    outcome. Each correlation counts in its own claimed direction, so that a candidate that goes with the outcome
    the wrong way round is worse than one that does not go with it at all. The settings are taken as they are.

    A placebo, which cannot be the cause, is a rival that a cause must beat.

    Parameters
    ----------
    x_metric, rival_metric, y_metric : str
    direction, rival_direction : {"positive", "negative"}
    smallest : float
        Smallest difference of the correlations that matters; not negative.
    x_worst, rival_worst, y_worst : {"highest", "lowest"}
        End of the ranks that a failed replica takes.
    y_bound, within : str
        As in `RankCorrelation`.
    summary : {"mean", "median"}
    alpha : float
        Level of each one-sided test.
    """

    roles: ClassVar[tuple[str, ...]] = ()
    tests: ClassVar[bool] = True

    x_metric: str
    rival_metric: str
    y_metric: str
    direction: Direction
    rival_direction: Direction
    smallest: float = 0.0
    x_worst: Worst = "highest"
    rival_worst: Worst = "highest"
    y_worst: Worst = "highest"
    y_bound: str = ""
    within: str = ""
    summary: Summary = "mean"
    alpha: float = 0.05

    def __post_init__(self) -> None:
        for name in ("direction", "rival_direction"):
            check_option(name, getattr(self, name), ("positive", "negative"))
        for name in ("x_worst", "rival_worst", "y_worst"):
            check_option(name, getattr(self, name), ("highest", "lowest"))
        check_option("summary", self.summary, ("mean", "median"))
        check_alpha(self.alpha)
        check_smallest(self.smallest)

    @classmethod
    def check_arms(cls, names: tuple[str, ...]) -> None:
        """Raise ``ValueError`` unless the arms come in threes, and in enough of them."""
        check_roles(names, (X, RIVAL, Y))

    def metrics(self) -> tuple[str, ...]:
        """Name the metrics."""
        return (self.x_metric, self.rival_metric, *self.metrics_of(Y))

    def metrics_of(self, role: str) -> tuple[str, ...]:
        """Name what is read from an arm."""
        if role.endswith(RIVAL):
            return (self.rival_metric,)
        if role.endswith(X):
            return (self.x_metric,)
        return (self.y_metric, self.y_bound) if self.y_bound else (self.y_metric,)

    def find(self, evidence: Evidence, arms: Mapping[str, Arm], seeds: int) -> Finding:
        """Compare the two correlations over the settings on at least ``seeds`` seeds."""
        names = [role.removesuffix(X) for role in arms if role.endswith(X)]
        columns = {
            X: (self.x_metric, self.x_worst),
            RIVAL: (self.rival_metric, self.rival_worst),
            Y: (self.y_metric, self.y_worst),
        }
        table = read_table(evidence, arms, names, columns, self.y_bound, max(2, seeds))
        groups = groups_of(arms, [name + X for name in names], self.within)
        x = sign_of(self.direction) * scores(table.values[X], groups)
        rival = sign_of(self.rival_direction) * scores(table.values[RIVAL], groups)
        lead = x - rival
        y_low, y_high = (scores(place_open(table.values[Y], table.open, w, groups), groups) for w in (-lead, lead))
        low, high = ((lead * y).sum(axis=0) for y in (y_low, y_high))
        target = f"correlates over {len(names)} settings by more than {self.smallest:g} beyond {self.rival_metric}"
        finding = effect_finding(low, self.smallest, self.summary, self.alpha, "correlation", target, optimistic=high)
        tied = scores(table.values[Y], groups)
        finding = spread(finding, low, (lead * tied).sum(axis=0), high, self.summary)
        mine, theirs = ((side * tied).sum(axis=0).mean() for side in (x, rival))
        shown = f"mean correlations, as claimed: {mine:.2f} of {self.x_metric}, {theirs:.2f} of {self.rival_metric}"
        return replace(finding, warnings=(*finding.warnings, *table.notes, shown))

    def shortfall(self, finding: Finding) -> float:
        """Below 1 where the correlation is closer than the rival's."""
        return short_of(finding)
