"""What a norm gains: steps to a target, each arm at its own best rate and both at one rate."""

from __future__ import annotations

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


class SpeedUp(Workload):
    """Steps to 97 % training accuracy within 1000 steps, with a norm and without.

    97 rather than the ceilings' 90 %, because checks come every ten steps and a net with batch norm is at
    90 % after one or two of them. The best rate of each arm has the fewest median steps on five tuning seeds;
    arms are scored on other seeds.

    What a step costs is timed by `norm_cost`, where nothing else runs; a claim on time divides the one by the other,
    seed by seed.
    """

    name = "speed_up"
    version = 2
    summary = "steps to a target with a norm and without, at each arm's best rate and at equal rates"
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
        """Grow with depth; a norm costs about as much as its linear layer."""
        return case.integer("depth") * (1.0 if case["norm"] == "none" else 2.0)

    def skip(self, case: Case, device: str) -> str | None:
        """Leave out norms that average over positions, which a perceptron has not."""
        del device
        return no_positions(self, case)

    def measure(self, case: Case, seeds: Sequence[int], device: str) -> Iterator[Measurement]:
        """Tune on seeds of their own, score on the seeds, and train these at the equal rate too."""
        from ics_bench.training import Recipe, Trainer
        from ics_bench.training.ceilings import best_rate

        recipe = Recipe(STEPS, BATCH_SIZE, TARGET, case.text("optimizer"), CHECK_EVERY, DIVERGENCE_FACTOR)
        trainer = Trainer(problem_of(self, case, device), recipe)
        tuning = [-1 - place for place in range(min(TUNING_SEEDS, max(1, len(seeds) // 2)))]
        best = best_rate(trainer.train, tuning, STEPS, CHECK_EVERY, RATES)
        warnings = [*trainer.warnings, *not_taken(case)]
        lost = () if best else ("no rate reaches the target for a majority of the tuning seeds",)
        yield self.measurement(case, None, "best_learning_rate", best, warnings=[*warnings, *lost])
        for seed, trajectory in zip(seeds, _train(trainer, best or RATES[0], seeds), strict=True):
            losses = trajectory.losses[::CHECK_EVERY]
            curve = Curve(tuple(float(i * CHECK_EVERY) for i in range(len(losses))), tuple(losses), "step")
            yield self.measurement(case, seed, "steps_to_target", trajectory.reached_at, curve, [*warnings, *lost])
        for seed, trajectory in zip(seeds, _train(trainer, EQUAL_RATE, seeds), strict=True):
            yield self.measurement(case, seed, "steps_at_equal_rate", trajectory.reached_at, warnings=warnings)


def _train(trainer: Trainer, rate: float, seeds: Sequence[int]) -> list[Trajectory]:
    from ics_bench.training import Replica

    return trainer.train([Replica(rate, seed) for seed in seeds])


WORKLOAD = SpeedUp()
