"""What a norm gains: steps and time to a target, each arm at its own best rate and both at one rate."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from ics_bench.core import Axis, Case, Curve, Measurement, Metric, Profile, Workload
from ics_bench.subjects import ARCHITECTURES, DATASETS, INITIALIZERS, NORMS, OPTIMIZERS
from ics_bench.workloads._problem import no_positions, not_taken, problem_of

if TYPE_CHECKING:
    from ics_bench.training import Trainer, Trajectory

STEPS = 1000
BATCH_SIZE = 128
TARGET = 0.97
CHECK_EVERY = 10
DIVERGENCE_FACTOR = 10.0
RATES = tuple(10.0 ** (half_decades / 2) for half_decades in range(-4, 2))
"""Six half-decade rates, .01 … 3: below them the budget is too short for any arm, above them none trains."""

EQUAL_RATE = 10.0**-1.5
"""A rate at which every arm trains: the comparison that most demonstrations of normalization make."""

TUNING_SEEDS = 5

HARMLESS_RATE = 1e-4
"""Rate of the timed steps: a net that diverges would be timed on NaN."""

STEPS_A_ROUND = 4
"""Timed together, before it is the other arm's turn."""


class SpeedUp(Workload):
    """Steps to 97 % training accuracy within 1000 steps, with a norm and without.

    97 rather than the ceilings' 90 %, because checks come every ten steps and a net with batch norm is at
    90 % after one or two of them. The best rate of each arm has the fewest median steps on five tuning seeds;
    arms are scored on other seeds.

    *Time speed-up*: the steps' ratio over the ratio of what a training step takes, measured in this process
    with both arms in turn.
    """

    name = "speed_up"
    version = 1
    summary = "steps and time to a target with a norm against without, at each arm's best rate and at equal rates"
    metrics: ClassVar = (
        Metric(
            "steps_to_target",
            "step",
            "lower",
            "seeded",
            "steps to the target at the arm's best rate; its curve is the loss",
            smallest_effect=CHECK_EVERY,
            asv_ceiling=STEPS + CHECK_EVERY,
        ),
        Metric(
            "steps_at_equal_rate",
            "step",
            "lower",
            "seeded",
            f"steps to the target at rate {EQUAL_RATE:.2g}",
            smallest_effect=CHECK_EVERY,
            asv_ceiling=STEPS + CHECK_EVERY,
        ),
        Metric("time_speed_up", "1", "higher", "timing", "time to target without the norm over time with it"),
        Metric("step_time_ratio", "1", "lower", "timing", "time of a training step over that without the norm"),
        Metric("best_learning_rate", "1", "neutral", "seeded", "rate with the fewest steps on tuning seeds"),
    )
    axes: ClassVar = (
        Axis("architecture", "model", ("plain",), registry=ARCHITECTURES),
        Axis("depth", "weight matrices, output layer included", (5,), (2, 5, 10, 20), (2, 5, 10, 20, 50), minimum=2),
        Axis("norm", "normalization layer", ("none", "batch"), ("none", "batch", "layer"), registry=NORMS),
        Axis(
            "norm_position",
            "side of the activation on which the norm stands",
            ("before",),
            choices=("before", "after"),
        ),
        Axis("optimizer", "update rule", ("sgd",), registry=OPTIMIZERS),
        Axis("init", "weight initializer", ("he",), registry=INITIALIZERS),
        Axis("width", "features of a hidden layer", (64,), minimum=1),
        Axis("data", "training data", ("digits",), registry=DATASETS),
    )
    seeds: ClassVar[Mapping[Profile, int]] = {"quick": 1, "standard": 11, "full": 21}
    paired = ("norm", "norm_position", "optimizer")
    recipe: ClassVar = {
        "steps": STEPS,
        "batch_size": BATCH_SIZE,
        "target": TARGET,
        "check_every": CHECK_EVERY,
        "divergence_factor": DIVERGENCE_FACTOR,
        "equal_rate": EQUAL_RATE,
        "tuning_seeds": TUNING_SEEDS,
    }
    flush_denormal = True

    def cost(self, case: Case) -> float:
        """Grow with depth; an arm with a norm is measured beside one without."""
        return case.integer("depth") * (1.0 if case["norm"] == "none" else 3.0)

    def skip(self, case: Case, device: str) -> str | None:
        """Leave out norms that average over positions, which a perceptron has not."""
        del device
        return no_positions(self, case)

    def measure(self, case: Case, seeds: Sequence[int], device: str) -> Iterator[Measurement]:
        """Tune and score both arms, then time their steps in turn."""
        from ics_bench.training import Recipe, Trainer
        from ics_bench.workloads._step_time import time_steps

        recipe = Recipe(STEPS, BATCH_SIZE, TARGET, case.text("optimizer"), CHECK_EVERY, DIVERGENCE_FACTOR)
        without = Case.of({**case, "norm": "none"})
        ours, base = (Trainer(problem_of(self, arm, device), recipe) for arm in (case, without))
        tuning = [-1 - place for place in range(min(TUNING_SEEDS, max(1, len(seeds) // 2)))]
        best, scored = _scored(ours, tuning, seeds)
        baseline = scored if case == without else _scored(base, tuning, seeds)[1]
        batch = Case.of({**case, "batch_size": BATCH_SIZE})
        times = time_steps(self, batch, seeds[0], HARMLESS_RATE, STEPS_A_ROUND, device)
        pairs = zip(times.subject, times.identity, strict=True)
        ratio = statistics.median(with_norm / bare for with_norm, bare in pairs)
        warnings = [*ours.warnings, *not_taken(case)]
        timing = [*warnings, *times.warnings]
        lost = () if best else ("no rate reaches the target for a majority of the tuning seeds",)
        yield self.measurement(case, None, "best_learning_rate", best, warnings=[*warnings, *lost])
        yield self.measurement(case, None, "step_time_ratio", ratio, warnings=timing)
        for seed, mine, theirs in zip(seeds, scored, baseline, strict=True):
            losses = mine.losses[::CHECK_EVERY]
            curve = Curve(tuple(float(i * CHECK_EVERY) for i in range(len(losses))), tuple(losses), "step")
            yield self.measurement(case, seed, "steps_to_target", mine.reached_at, curve, [*warnings, *lost])
            speed_up = _ratio(theirs.reached_at, mine.reached_at) / ratio
            yield self.measurement(case, seed, "time_speed_up", speed_up, warnings=timing)
        for seed, trajectory in zip(seeds, _train(ours, EQUAL_RATE, seeds), strict=True):
            yield self.measurement(case, seed, "steps_at_equal_rate", trajectory.reached_at, warnings=warnings)


def _scored(trainer: Trainer, tuning: Sequence[int], seeds: Sequence[int]) -> tuple[float, list[Trajectory]]:
    """Return the best rate on the tuning seeds, 0 for none, and what the seeds make of it (of the lowest, if none)."""
    from ics_bench.training.ceilings import best_rate

    best = best_rate(trainer.train, tuning, STEPS, CHECK_EVERY, RATES)
    return best, _train(trainer, best or RATES[0], seeds)


def _train(trainer: Trainer, rate: float, seeds: Sequence[int]) -> list[Trajectory]:
    from ics_bench.training import Replica

    return trainer.train([Replica(rate, seed) for seed in seeds])


def _ratio(slow: float, fast: float) -> float:
    """Divide steps to target; two arms that never arrive are equal."""
    if math.isinf(slow) and math.isinf(fast):
        return 1.0
    return slow / max(fast, 1.0)


WORKLOAD = SpeedUp()
