"""Training: a printed usable learning rate, against the ceiling that was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import scipy
from numpy.typing import NDArray

from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.finding import Finding, MissingEvidenceError, SettingVerdict
from ics_bench.claims.rules.rule import Rule
from ics_bench.claims.rules.shortfall import off_by_decades
from ics_bench.core import Measurement
from ics_bench.stats import Interval, percentile_interval, resample_counts

_NO_RATE = -1


@dataclass(frozen=True)
class PrintedCeiling(Rule):
    """Supported where the largest rate that works is the printed one, to within a margin.

    A page that prints one usable rate a depth says two things: that this rate works, and that one much
    larger does not; a rate without the second half would be "usable" however small. So the printed rate
    is held against the measured ceiling in both directions.

    *Effect*: log10(ceiling / printed), the ceiling being the highest tested rate at which more than half
    of the seeds succeed.

    *Verdict*: by exact sign tests on the number of seeds that succeed at a rate, against the null that
    half of them do. With the band the printed rate ± ``margin``:

    - supported: at no rate above the band do half of the seeds succeed (each such rate rejects; an
      intersection–union test), and at some rate in the band or above more than half do;
    - refuted: at some rate above the band more than half succeed, or at no rate in the band half do.
      Both need no correction where each seed has a ceiling of its own: the more of those lie above
      the band, the fewer lie below it. A band with untested rates is never found empty, nor one with rates so
      low that the budget of steps decides (``feasible_from``).

    The bootstrap would be the obvious test, but a percentile bootstrap of a majority rejects up to twice
    too often at some sizes (9 seeds: 9 % at level 5 %), and with seeds that all agree its p is 0, while
    n seeds carry 2⁻ⁿ at best.

    *Interval*: that percentile bootstrap over seeds. Each resample has its own majority at each tested
    rate, and its ceiling lies in a bracket, from the highest rate that succeeds up to the next rate that
    was tested; the interval runs from a low quantile of the lower ends to a high one of the upper ends.

    - Beyond the highest tested rate the bracket is open: a *censored* ceiling is a bound, never a
      number. Where the band reaches beyond the tested rates, nothing supports it.
    - Where no tested rate succeeds, the bracket is the grid step below the lowest one. The search
      descends from the top and stops at the first success, so this says more than was measured; a
      warning says in what share of the resamples it mattered.

    Parameters
    ----------
    printed : float
        Printed rate.
    question : {"trainable", "stable"}
        Which ceiling: of reaching the target, or of not diverging.
    feasible_from : float
        Lowest rate at which the budget of steps suffices for a net that is easy to train. Below it a failure
        to reach the target says nothing about the rate.
    margin : float
        Decades by which the ceiling may differ, inclusive: half a decade is one step of the grid.
    grid_step : float
        Decades between neighbouring rates of the grid.
    alpha : float
        Level of the tests.
    resamples : int
        Of the interval.
    """

    tests: ClassVar[bool] = True
    reads_curves: ClassVar[bool] = True

    printed: float
    question: Literal["trainable", "stable"] = "trainable"
    feasible_from: float = 0.0
    margin: float = 0.5
    grid_step: float = 0.5
    alpha: float = 0.05
    resamples: int = 9999

    def __post_init__(self) -> None:
        for name in ("printed", "margin", "grid_step", "resamples"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name}={value}: expected a positive number")
        if not (math.isfinite(self.feasible_from) and self.feasible_from >= 0):
            raise ValueError(f"feasible_from={self.feasible_from}: expected a rate, or 0 for any")
        if self.question not in ("trainable", "stable"):
            raise ValueError(f"question={self.question!r} is not trainable or stable")
        if not 0 < self.alpha < 0.5:
            raise ValueError(f"alpha={self.alpha}: expected a number between 0 and 0.5")

    def metrics(self) -> tuple[str, ...]:
        """Name the ceiling and the outcomes behind it."""
        return (f"{self.question}_ceiling", f"outcome_{self.question}")

    def find(self, evidence: Evidence, arms: Mapping[str, Arm], seeds: int) -> Finding:
        """Judge one setting on at least ``seeds`` seeds; the ceiling is that of the seeds that count."""
        ceiling_metric, outcome_metric = self.metrics()
        ceiling = evidence.single(arms["subject"], ceiling_metric)
        _check_agreement(ceiling, [m for m in evidence.select(arms["subject"], outcome_metric) if m.seed is not None])
        replicas = list(evidence.by_seed(arms["subject"], outcome_metric, seeds).values())
        rates, succeeded = _outcomes(replicas)
        observed = _top(succeeded)
        p = self._p_values(rates, succeeded)
        verdict: SettingVerdict = "inconclusive"
        if min(p.values()) <= self.alpha:
            verdict = "supported" if p["supported"] < p["refuted"] else "refuted"
        tops = _tops(succeeded, resample_counts(len(replicas), self.resamples))
        edges = self._edges(rates)
        low, high = percentile_interval(edges[tops + 1]).low, percentile_interval(edges[tops + 2]).high
        return Finding(
            verdict,
            effect=float(edges[observed + 1]),
            interval=Interval(low, high),
            n=len(replicas),
            unit="decades",
            target=f"{self.printed:g} to within ±{self.margin:g} decades; measured {_text(rates, observed)}",
            interval_kind="95 % percentile bootstrap over seeds",
            p=min(p.values()),
            warnings=tuple(self._notes(rates, observed, tops)),
        )

    def shortfall(self, finding: Finding) -> float:
        """Factor by which the printed rate is off."""
        return off_by_decades(finding.effect)

    def _edges(self, rates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the brackets' ends in decades: one step below the lowest rate, the rates, and infinity."""
        decades = np.log10(rates / self.printed)
        return np.concatenate([[decades[0] - self.grid_step], decades, [math.inf]])

    def _p_values(self, rates: NDArray[np.float64], succeeded: NDArray[np.bool_]) -> dict[SettingVerdict, float]:
        n, counts = len(succeeded), succeeded.sum(axis=0)
        most = scipy.special.bdtrc(counts - 1, n, 0.5)  # P(B ≥ k), B ~ Bin(n, ½): small where most seeds succeed
        few = scipy.special.bdtr(counts, n, 0.5)  # P(B ≤ k): small where most fail
        slack = 1e-9  # a rate of the grid is a power of ten to within rounding only
        decades = np.log10(rates / self.printed)
        above, below = decades > self.margin + slack, decades < -self.margin - slack
        band = ~above & ~below
        reach = self.margin - self.grid_step + slack  # the grid's nearest rates within the band's ends
        band_tested = decades[0] < -reach and decades[-1] > reach
        decidable = rates >= self.feasible_from * (1 - slack)
        some_above = most.min(initial=1.0, where=above)
        none_above = few.max(initial=0.0, where=above) if above.any() and decidable[above].all() else 1.0
        some_from_band_up = most.min(initial=1.0, where=~below)
        none_in_band = few.max(initial=0.0, where=band) if band.any() and band_tested and decidable[band].all() else 1.0
        return {
            "supported": float(max(none_above, some_from_band_up)),
            "refuted": float(min(some_above, none_in_band)),
        }

    def _notes(self, rates: NDArray[np.float64], observed: int, tops: NDArray[np.int64]) -> list[str]:
        notes = []
        if observed == len(rates) - 1:
            notes.append(f"censored: the highest tested rate succeeds, so the ceiling is at least {rates[-1]:g}")
        if observed == _NO_RATE:
            notes.append(f"no tested rate succeeds: counted as the grid step below the lowest, {rates[0]:g}")
        elif below := float(np.mean(tops == _NO_RATE)):
            notes.append(
                f"in {100 * below:.1f} % of the resamples no tested rate succeeds: counted as the grid step "
                f"below the lowest, {rates[0]:g}"
            )
        return notes


def _outcomes(replicas: list[Measurement]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the tested rates, ascending, and success by seed and rate; anything but 1 is a failure."""
    rows = []
    rates: tuple[float, ...] = ()
    for item in replicas:
        if item.curve is None or not item.curve.x:
            raise MissingEvidenceError(
                f"{item.metric} of seed {item.seed} holds no tested rates; measure {item.case.id} again"
            )
        if rates and item.curve.x != rates:
            raise MissingEvidenceError(
                f"{item.metric}: seeds of {item.case.id} were tested at different rates; measure again"
            )
        rates = item.curve.x
        rows.append([value == 1.0 for value in item.curve.y])
    if list(rates) != sorted(set(rates)) or rates[0] <= 0:
        raise MissingEvidenceError(f"the tested rates {list(rates)} are not positive and ascending")
    return np.array(rates), np.array(rows, dtype=np.bool_)


def _tops(succeeded: NDArray[np.bool_], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index of the highest rate at which more than half of the seeds succeed, by resample; -1 for none."""
    majority = 2 * (counts @ succeeded.astype(np.int64)) > len(succeeded)
    highest = majority.shape[1] - 1 - np.argmax(majority[:, ::-1], axis=1)
    return np.where(majority.any(axis=1), highest, _NO_RATE)


def _top(succeeded: NDArray[np.bool_]) -> int:
    return int(_tops(succeeded, np.ones((1, len(succeeded)), np.int64))[0])


def _check_agreement(ceiling: Measurement, replicas: list[Measurement]) -> None:
    """Refuse a search whose ceiling is not that of all the seeds it was measured on, judged here or not."""
    if not replicas:
        return
    rates, succeeded = _outcomes(replicas)
    top = _top(succeeded)
    recomputed = 0.0 if top == _NO_RATE else float(rates[top])
    if not math.isclose(ceiling.value, recomputed, rel_tol=1e-9):
        raise MissingEvidenceError(
            f"{ceiling.metric} of {ceiling.case.id} is {ceiling.value:g}, but the outcomes by seed give "
            f"{recomputed:g}; measure again"
        )


def _text(rates: NDArray[np.float64], observed: int) -> str:
    if observed == _NO_RATE:
        return "none"
    return f"at least {rates[observed]:.4g}" if observed == len(rates) - 1 else f"{rates[observed]:.4g}"
