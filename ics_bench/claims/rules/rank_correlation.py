"""Training: over settings, one quantity goes with another, seed by seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.finding import Finding, MissingEvidenceError, SettingVerdict
from ics_bench.claims.rules.effect import Summary, Values, check_alpha, check_option, effect_finding
from ics_bench.claims.rules.rule import Rule
from ics_bench.claims.rules.shortfall import short_of
from ics_bench.stats import spearman

X, Y = ".x", ".y"
_OPPOSITE: Mapping[SettingVerdict, SettingVerdict] = {
    "supported": "refuted",
    "refuted": "supported",
    "inconclusive": "inconclusive",
}

LEAST_SETTINGS = 3
"""With two settings every correlation is ±1."""

Worst = Literal["highest", "lowest"]


@dataclass(frozen=True)
class RankCorrelation(Rule):
    """Spearman's rank correlation over settings for each seed, tested by exact sign flips over seeds.

    The arms come in pairs: ``NAME.x`` and ``NAME.y`` are one setting's two quantities, which may be of
    different workloads. The settings are taken as they are: what is tested is whether the seeds agree
    on the sign, and nothing is said of settings that were not measured.

    A metric that belongs to all seeds together, such as a ceiling, is one number for every seed. A
    failed replica (NaN) counts as the worst value. A seed on which a quantity is the same in all
    settings has no correlation: 0.

    Parameters
    ----------
    x_metric, y_metric : str
    direction : {"positive", "negative"}
    smallest : float
        Smallest correlation that matters, in the claimed direction, from 0 to 1.
    x_worst, y_worst : {"highest", "lowest"}
        End of the ranks that a failed replica takes.
    summary : {"mean", "median"}
    alpha : float
        Level of each one-sided test.
    claimed : {"present", "absent"}
        Whether the correlation is claimed, or, as in a negative control, its absence.
    """

    roles: ClassVar[tuple[str, ...]] = ()
    tests: ClassVar[bool] = True

    x_metric: str
    y_metric: str
    direction: Literal["positive", "negative"]
    smallest: float = 0.0
    x_worst: Worst = "highest"
    y_worst: Worst = "highest"
    summary: Summary = "mean"
    alpha: float = 0.05
    claimed: Literal["present", "absent"] = "present"

    def __post_init__(self) -> None:
        check_option("claimed", self.claimed, ("present", "absent"))
        check_option("direction", self.direction, ("positive", "negative"))
        check_option("x_worst", self.x_worst, ("highest", "lowest"))
        check_option("y_worst", self.y_worst, ("highest", "lowest"))
        check_option("summary", self.summary, ("mean", "median"))
        check_alpha(self.alpha)
        if not 0 <= self.smallest < 1:
            raise ValueError(f"smallest={self.smallest}: a correlation that matters lies from 0 up to, not at, 1")

    @classmethod
    def check_arms(cls, names: tuple[str, ...]) -> None:
        """Raise ``ValueError`` unless the arms come in at least three pairs."""
        alone = [name for name in names if name[-2:] not in (X, Y) or _partner(name) not in names]
        if alone:
            raise ValueError(f"compares arms in pairs NAME.x and NAME.y; without a partner: {', '.join(alone)}")
        if len(names) < 2 * LEAST_SETTINGS:
            raise ValueError(f"needs at least {LEAST_SETTINGS} pairs of arms, got {len(names) // 2}")

    def metrics(self) -> tuple[str, ...]:
        """Name both metrics."""
        return (self.x_metric, self.y_metric)

    def metrics_of(self, role: str) -> tuple[str, ...]:
        """Name the one metric that is read from an arm."""
        return (self.x_metric if role.endswith(X) else self.y_metric,)

    def find(self, evidence: Evidence, arms: Mapping[str, Arm], seeds: int) -> Finding:
        """Correlate over the settings on at least ``seeds`` seeds."""
        names = [role.removesuffix(X) for role in arms if role.endswith(X)]
        xs = [_by_seed(evidence, arms[name + X], self.x_metric, self.x_worst, max(2, seeds)) for name in names]
        ys = [_by_seed(evidence, arms[name + Y], self.y_metric, self.y_worst, max(2, seeds)) for name in names]
        chosen = _common_seeds([*xs, *ys])
        x, y = _table(xs, chosen), _table(ys, chosen)
        sign = 1.0 if self.direction == "positive" else -1.0
        gains = np.array([sign * spearman(x[:, place], y[:, place]) for place in range(len(chosen))])
        flat = int(np.isnan(gains).sum())
        gains = np.where(np.isnan(gains), 0.0, gains)
        no = "no " if self.claimed == "absent" else ""
        target = f"{no or 'a '}{self.direction} correlation over {len(names)} settings"
        if self.smallest:
            target += f" of more than {self.smallest:g}"
        finding = effect_finding(gains, self.smallest, self.summary, self.alpha, "correlation", target)
        notes = []
        if flat:
            notes.append(f"on {flat} of {len(chosen)} seeds a quantity is the same in all settings: no correlation, 0")
        for metric, columns in ((self.x_metric, xs), (self.y_metric, ys)):
            if any(isinstance(column, float) for column in columns):
                notes.append(f"{metric} is one number over all seeds in some setting")
        return Finding(
            finding.verdict if self.claimed == "present" else _OPPOSITE[finding.verdict],
            effect=finding.effect,
            interval=finding.interval,
            n=finding.n,
            unit=finding.unit,
            target=finding.target,
            interval_kind=finding.interval_kind,
            p=finding.p,
            warnings=(*finding.warnings, *notes),
        )

    def shortfall(self, finding: Finding) -> float:
        """Below 1 where the correlation has the claimed sign."""
        return short_of(finding)


def _partner(name: str) -> str:
    return name[:-2] + (Y if name.endswith(X) else X)


def _by_seed(evidence: Evidence, arm: Arm, metric: str, worst: Worst, least: int) -> dict[int, float] | float:
    """Values by seed, or the one value of a metric that belongs to all seeds together."""
    stand_in = math.inf if worst == "highest" else -math.inf
    items = evidence.select(arm, metric)
    if len(items) == 1 and items[0].seed is None:
        return stand_in if math.isnan(items[0].value) else items[0].value
    found = evidence.by_seed(arm, metric, least)
    return {seed: stand_in if math.isnan(item.value) else item.value for seed, item in found.items()}


def _common_seeds(columns: Sequence[dict[int, float] | float]) -> list[int]:
    seeds = [tuple(column) for column in columns if isinstance(column, dict)]
    if not seeds:
        raise MissingEvidenceError(
            "both metrics belong to all seeds together: one correlation is no sample; judge by seed"
        )
    if len(set(seeds)) > 1:
        raise MissingEvidenceError("the arms were measured on different seeds; run all with the same ones")
    return list(seeds[0])


def _table(columns: Sequence[dict[int, float] | float], seeds: Sequence[int]) -> Values:
    """Values, shape (settings, seeds)."""
    rows = [[c] * len(seeds) if isinstance(c, float) else [c[seed] for seed in seeds] for c in columns]
    table: NDArray[np.float64] = np.array(rows, dtype=np.float64)
    return table
