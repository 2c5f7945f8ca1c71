"""Chooses a system's rate on tuning seeds, and keeps what came of the others."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ics_bench.training import Replica, Trainer, Trajectory
from ics_bench.training.ceilings import best_rate
from ics_bench.training.recipe import Needed


@dataclass(slots=True)
class Outcomes:
    """What became of a system's replicas at one depth.

    Attributes
    ----------
    rate : float
        The system's rate.
    by_replica : dict
        The scored seeds, at that rate or at every one.
    replica_steps : int
        Optimizer steps taken, tuning included.
    warnings : tuple of str
    """

    rate: float
    by_replica: dict[Replica, Trajectory]
    replica_steps: int
    warnings: tuple[str, ...]

    def at(self, rate: float, seed: int) -> Trajectory:
        """Look one up."""
        return self.by_replica[Replica(rate, seed)]


def outcomes_of(
    trainer: Trainer, seeds: Sequence[int], tuning: Sequence[int], rates: Sequence[float], every: bool
) -> Outcomes:
    """Tune the rate on ``tuning`` seeds, then train ``seeds`` at it, or at every rate."""
    rate, spent, none_trains = tune(trainer, tuning, rates)
    found: dict[Replica, Trajectory] = {}
    for each in rates if every else (rate,):
        found.update({t.replica: t for t in trainer.train([Replica(each, seed) for seed in seeds])})
    warnings = trainer.warnings
    if none_trains:
        warnings = (*warnings, "no rate reaches the target for a majority of the tuning seeds; the least bad is taken")
    elif rate in (min(rates), max(rates)):
        end = "lowest" if rate == min(rates) else "highest"
        warnings = (*warnings, f"the best rate, {rate:g}, is the {end} of the grid: a better one may lie beyond")
    return Outcomes(rate, found, spent + sum(t.steps for t in found.values()), warnings)


def outcomes_at(trainer: Trainer, seeds: Sequence[int], rate: float) -> Outcomes:
    """Train ``seeds`` at a rate that is given, without tuning."""
    found = {t.replica: t for t in trainer.train([Replica(rate, seed) for seed in seeds])}
    return Outcomes(rate, found, sum(t.steps for t in found.values()), trainer.warnings)


def tune(trainer: Trainer, seeds: Sequence[int], rates: Sequence[float]) -> tuple[float, int, bool]:
    """Find the rate with the fewest median steps to target.

    Where no rate has a finite median, it is the rate with the most successes, then the one with the lowest
    median loss at the end of those that did not diverge.

    Returns
    -------
    rate : float
    steps : int
        Optimizer steps taken.
    none_trains : bool
        Whether no rate has a finite median.
    """
    trained: list[Trajectory] = []

    def train(replicas: Sequence[Replica], needed: Needed | None) -> list[Trajectory]:
        trained.extend(new := trainer.train(replicas, needed))
        return new

    recipe = trainer.recipe
    best = best_rate(train, seeds, recipe.steps, recipe.check_every, rates)
    spent = sum(trajectory.steps for trajectory in trained)
    if best:
        return best, spent, False

    def merit(rate: float) -> tuple[int, float]:
        """Successes, then the negative loss; nothing was cut short, since no median was finite."""
        group = [t for t in trained if t.replica.learning_rate == rate]
        losses = [math.inf if t.diverged else statistics.fmean(t.losses[-recipe.check_every :]) for t in group]
        return sum(t.reached for t in group), -statistics.median(losses)

    return max(rates, key=merit), spent, True
