"""Finds learning-rate ceilings, of the majority and of each seed: from the top of a grid down, then by bisection.

The answer equals that of training every rate of the grid to the end: a replica is left out only where
its outcome can no longer change a ceiling.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from ics_bench.training.recipe import Needed, Replica, Trajectory

Question = Literal["stable", "trainable"]
QUESTIONS: tuple[Question, ...] = ("stable", "trainable")

GRID: tuple[float, ...] = tuple(10.0 ** (half_decades / 2) for half_decades in range(-10, 3))
"""Thirteen half-decade rates, 1e-5 … 10."""

REPLICAS_TOGETHER = 12
"""Replicas in a block of the search: enough to fill the matrix multiply, few enough to stay in cache."""

TrainReplicas = Callable[[Sequence[Replica], Needed | None], list[Trajectory]]


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The largest rate that succeeds for a majority of seeds.

    Parameters
    ----------
    value : float
        0 where no rate succeeds.
    censored : bool
        Whether the top of the grid succeeds: the ceiling is then at least ``value``.
    """

    value: float
    censored: bool = False


def outcome(trajectory: Trajectory, question: Question, steps: int) -> bool | None:
    """Whether a replica succeeded, or ``None`` while that is open.

    *stable*: spent the budget of ``steps`` without divergence. *trainable*: reached the target.
    """
    finished = trajectory.steps >= steps
    if question == "stable":
        return False if trajectory.diverged else (True if finished else None)
    if trajectory.reached:
        return True
    return False if trajectory.diverged or finished else None


def majority(outcomes: Sequence[bool | None]) -> bool | None:
    """Verdict of more than half of the seeds, or ``None`` while it is open.

    Examples
    --------
    >>> majority([True, True, None]), majority([True, False, None]), majority([False, False, None])
    (True, None, False)
    """
    half = len(outcomes) / 2
    if sum(o is True for o in outcomes) > half:
        return True
    if sum(o is not False for o in outcomes) <= half:
        return False
    return None


@dataclass(frozen=True, slots=True)
class OwnCeiling:
    """The largest rate that succeeds for one seed, as far as it is known.

    Parameters
    ----------
    low : float
        Highest rate that succeeded; 0 where none of the grid did, whose ceiling, if any, lies below the grid.
    high : float
        Next higher rate that was tested and failed; infinite where the top of the grid succeeds.
    """

    low: float
    high: float


class CeilingSearch:
    """Searches the ceilings of one arm.

    Parameters
    ----------
    train : callable
        ``train(replicas, needed) -> trajectories``; see `ics_bench.training.train`.
    seeds : sequence of int
    steps : int
        Budget of a replica.
    grid : sequence of float
        Rates in ascending order.

    Attributes
    ----------
    trajectories : dict of Replica to Trajectory
        Everything that was trained.
    steps_taken : int
        Optimizer steps over all replicas, the cost of the search.
    """

    def __init__(self, train: TrainReplicas, seeds: Sequence[int], steps: int, grid: Sequence[float] = GRID) -> None:
        if not seeds:
            raise ValueError("no seeds: a majority needs at least one")
        if list(grid) != sorted(set(grid)) or not grid or grid[0] <= 0:
            raise ValueError(f"grid {list(grid)} is not positive and ascending")
        self.train, self.seeds, self.steps, self.grid = train, tuple(seeds), steps, tuple(grid)
        self.trajectories: dict[Replica, Trajectory] = {}
        self.steps_taken = 0

    def run(self, bisections: int = 3) -> dict[Question, Ceiling]:
        """Find both ceilings."""
        self._descend()
        brackets = {question: self._bracket(question) for question in QUESTIONS}
        for _ in range(bisections):
            self._bisect(brackets)
        return {question: Ceiling(low, censored=low == self.grid[-1]) for question, (low, _) in brackets.items()}

    def run_own(self, bisections: int = 3) -> dict[Question, dict[int, OwnCeiling]]:
        """Find every seed's own ceilings, after `run`: a seed that the majority outvoted is followed further down.

        Each seed's bracket on the grid, from its highest success to the grid's next rate, is bisected.
        """
        self._descend_own()
        found = {(question, seed): self._own_bracket(question, seed) for question in QUESTIONS for seed in self.seeds}
        for _ in range(bisections):
            middles = {key: math.sqrt(low * high) for key, (low, high) in found.items() if low > 0 and high < math.inf}
            self._decide([(Replica(middle, seed), question) for (question, seed), middle in middles.items()])
            for key, middle in middles.items():
                (low, high), (question, seed) = found[key], key
                succeeds = self._outcome(Replica(middle, seed), question)
                found[key] = (middle, high) if succeeds else (low, middle)
        return {question: {seed: OwnCeiling(*found[question, seed]) for seed in self.seeds} for question in QUESTIONS}

    def outcomes(self, rate: float, question: Question) -> list[bool | None]:
        """Outcomes of all seeds at a rate, in the order of the seeds."""
        return [self._outcome(Replica(rate, seed), question) for seed in self.seeds]

    def tested(self, question: Question) -> list[float]:
        """Rates, ascending, at which every seed's outcome is known."""
        rates = sorted({replica.learning_rate for replica in self.trajectories})
        return [rate for rate in rates if None not in self.outcomes(rate, question)]

    def _outcome(self, replica: Replica, question: Question) -> bool | None:
        trajectory = self.trajectories.get(replica)
        return None if trajectory is None else outcome(trajectory, question, self.steps)

    def _descend(self) -> None:
        """Train blocks of rates from the top until the highest success of both kinds is known."""
        width = max(1, round(REPLICAS_TOGETHER / len(self.seeds)))
        while block := self._undecided()[:width]:
            self._train_all(block, self._open_from_above)

    def _undecided(self) -> list[float]:
        """Rates, from the top, with an open outcome that a ceiling may hang on."""
        found = set()
        for question in QUESTIONS:
            for rate in reversed(self.grid):
                outcomes = self.outcomes(rate, question)
                if None in outcomes:
                    found.add(rate)
                if majority(outcomes) is True:
                    break
        return sorted(found, reverse=True)

    def _open_from_above(self, trajectories: Sequence[Trajectory]) -> list[bool]:
        """Still needed: an open question at a rate above which no rate has succeeded.

        Of stability, moreover, only while no higher rate may yet turn out stable: that takes the whole
        budget, and most of what still runs after its first steps is. Should the higher rate diverge
        after all, the lower one is trained anew.
        """
        by_rate: dict[float, list[Trajectory]] = {}
        for trajectory in {**self.trajectories, **{t.replica: t for t in trajectories}}.values():
            by_rate.setdefault(trajectory.replica.learning_rate, []).append(trajectory)
        verdicts = {
            question: {
                rate: majority([outcome(t, question, self.steps) for t in group]) for rate, group in by_rate.items()
            }
            for question in QUESTIONS
        }
        trained = max((rate for rate, verdict in verdicts["trainable"].items() if verdict), default=0.0)
        survives = max((rate for rate, verdict in verdicts["stable"].items() if verdict is not False), default=0.0)
        return [
            (outcome(t, "trainable", self.steps) is None and t.replica.learning_rate >= trained)
            or (outcome(t, "stable", self.steps) is None and t.replica.learning_rate >= survives)
            for t in trajectories
        ]

    def _bracket(self, question: Question) -> tuple[float, float]:
        """Highest successful rate and the grid's next above it; equal where there is nothing to bisect."""
        successes = [rate for rate in self.grid if majority(self.outcomes(rate, question)) is True]
        if not successes:
            return 0.0, 0.0
        place = self.grid.index(successes[-1])
        return successes[-1], self.grid[min(place + 1, len(self.grid) - 1)]

    def _descend_own(self) -> None:
        """Train each seed from the top of the grid down to its first success of either kind."""
        while True:
            waiting = {
                (question, seed): self._undecided_own(question, seed) for question in QUESTIONS for seed in self.seeds
            }
            seeds = {seed for (_, seed), rates in waiting.items() if rates}
            if not seeds:
                return
            width = max(1, round(REPLICAS_TOGETHER / len(seeds)))
            self._decide(
                [
                    (Replica(rate, seed), question)
                    for (question, seed), rates in waiting.items()
                    for rate in rates[:width]
                ]
            )

    def _undecided_own(self, question: Question, seed: int) -> list[float]:
        """Rates, from the top, with an open outcome that this seed's ceiling may hang on."""
        found = []
        for rate in reversed(self.grid):
            succeeded = self._outcome(Replica(rate, seed), question)
            if succeeded:
                break
            if succeeded is None:
                found.append(rate)
        return found

    def _own_bracket(self, question: Question, seed: int) -> tuple[float, float]:
        successes = [rate for rate in self.grid if self._outcome(Replica(rate, seed), question)]
        if not successes:
            return 0.0, self.grid[0]
        place = self.grid.index(successes[-1]) + 1
        return successes[-1], self.grid[place] if place < len(self.grid) else math.inf

    def _decide(self, wanted: Sequence[tuple[Replica, Question]]) -> None:
        """Train replicas until the questions put to each are answered; those that are, are left alone."""
        open_questions: dict[Replica, set[Question]] = {}
        for replica, question in wanted:
            if self._outcome(replica, question) is None:
                open_questions.setdefault(replica, set()).add(question)

        def open_here(trajectories: Sequence[Trajectory]) -> list[bool]:
            return [
                any(outcome(t, question, self.steps) is None for question in open_questions[t.replica])
                for t in trajectories
            ]

        self._train(sorted(open_questions), open_here)

    def _bisect(self, brackets: dict[Question, tuple[float, float]]) -> None:
        middles = {question: math.sqrt(low * high) for question, (low, high) in brackets.items() if low < high}

        def open_here(trajectories: Sequence[Trajectory]) -> list[bool]:
            return [
                any(
                    t.replica.learning_rate == middle and outcome(t, question, self.steps) is None
                    for question, middle in middles.items()
                )
                for t in trajectories
            ]

        self._train_all(sorted(set(middles.values())), open_here)
        for question, middle in middles.items():
            low, high = brackets[question]
            succeeds = majority(self.outcomes(middle, question))
            brackets[question] = (middle, high) if succeeds else (low, middle)

    def _train_all(self, rates: Sequence[float], needed: Needed) -> None:
        """Train all seeds at rates."""
        self._train([Replica(rate, seed) for rate in rates for seed in self.seeds], needed)

    def _train(self, replicas: Sequence[Replica], needed: Needed) -> None:
        """Train replicas; one cut short before is trained anew, to the same trajectory."""
        trained = self.train(replicas, needed)
        self.steps_taken += sum(trajectory.steps for trajectory in trained)
        self.trajectories.update({trajectory.replica: trajectory for trajectory in trained})


def best_rate(
    train: TrainReplicas, seeds: Sequence[int], steps: int, check_every: int, rates: Sequence[float]
) -> float:
    """Find the rate with the fewest median steps to target; 0 where no rate has a finite median.

    Of an even number of seeds the lower of the two middle values is the median: nothing beyond it is known.

    The highest rates are trained first. Lower ones then need no more steps than the best median so
    far, plus the check that confirms it: a median beyond that cannot win. Of equals the higher wins.
    """
    ordered = sorted(rates, reverse=True)
    width = max(1, round(REPLICAS_TOGETHER / len(seeds)))
    best, best_steps = 0.0, math.inf
    for start in range(0, len(ordered), width):
        limit = min(float(steps), best_steps + check_every)

        def within(trajectories: Sequence[Trajectory], limit: float = limit) -> list[bool]:
            return [not t.reached and t.steps < limit for t in trajectories]

        block = ordered[start : start + width]
        trained = train([Replica(rate, seed) for rate in block for seed in seeds], within)
        for rate in block:
            taken = statistics.median_low(t.reached_at for t in trained if t.replica.learning_rate == rate)
            if taken < best_steps:
                best, best_steps = rate, taken
    return best
