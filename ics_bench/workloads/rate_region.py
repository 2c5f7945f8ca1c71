"""How large the region of learning rates and initializations is in which a net trains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from ics_bench.core import Axis, Case, Curve, Measurement, Metric, Profile, Workload
from ics_bench.subjects import ARCHITECTURES, DATASETS, NORMS, OPTIMIZERS
from ics_bench.workloads._problem import no_positions, not_taken, problem_of

STEPS = 200
BATCH_SIZE = 128
TARGET = 0.9
CHECK_EVERY = 10
DIVERGENCE_FACTOR = 10.0
STEP = 0.5
"""Decades between neighbouring rates."""

RATES = tuple(10.0 ** (place * STEP) for place in range(-6, 3))
"""Nine half-decade rates, .001 … 10. Near .01, 200 steps become too few for any arm, so that they end every region."""

INITS = ("normal-0.01", "default", "xavier", "he", "normal-0.5")
"""Standard deviations of .01 to .5 for 64 inputs, He's being .18."""


class RateRegion(Workload):
    """Trains every initializer at every rate of a grid and counts who reaches the target.

    The *width* of an initializer's region is the number of its rates, on a half-decade grid, at which a
    seed reaches the target, times half a decade; it need not be contiguous. The metric is the mean over
    initializers.
    """

    name = "rate_region"
    version = 1
    summary = "decades of learning rate, over initializations, in which a net trains"
    metrics: ClassVar = (
        Metric(
            "trainable_decades",
            "decade",
            "higher",
            "seeded",
            "decades of rate that train, mean over initializers; curve: share of initializers by rate",
            smallest_effect=STEP,
        ),
        Metric(
            "trainable_share",
            "1",
            "higher",
            "seeded",
            "share of the rates × initializers that train",
            smallest_effect=1 / len(RATES),
        ),
        Metric("initializers", "1", "higher", "seeded", "initializers that train at some rate", smallest_effect=1),
        Metric(
            "best_rate_share",
            "1",
            "higher",
            "seeded",
            "share of the initializers at the rate that serves most",
            smallest_effect=1 / len(INITS),
        ),
    )
    axes: ClassVar = (
        Axis("architecture", "model", ("plain",), registry=ARCHITECTURES),
        Axis("depth", "weight matrices, output layer included", (3,), (5, 10), (5, 10, 20), minimum=2),
        Axis("norm", "normalization layer", ("none", "batch"), ("none", "batch", "layer"), registry=NORMS),
        Axis(
            "norm_position",
            "side of the activation on which the norm stands",
            ("before",),
            choices=("before", "after"),
        ),
        Axis("optimizer", "update rule", ("sgd",), registry=OPTIMIZERS),
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
        "rates": ",".join(f"{rate:g}" for rate in RATES),
        "inits": ",".join(INITS),
    }
    flush_denormal = True

    def extra_cases(self, profile: Profile) -> tuple[Case, ...]:
        """At standard, other draws of nearly the same net, as a control."""
        return (Case.of({**self.cases("quick")[0], "depth": 5, "width": 65}),) if profile == "standard" else ()

    def cost(self, case: Case) -> float:
        """Grow with depth; a norm costs about as much as its linear layer."""
        return case.integer("depth") * (5.0 if case["norm"] == "none" else 10.0)

    def skip(self, case: Case, device: str) -> str | None:
        """Leave out norms that average over positions, which a perceptron has not."""
        del device
        return no_positions(self, case)

    def measure(self, case: Case, seeds: Sequence[int], device: str) -> Iterator[Measurement]:
        """Train every rate and seed of one initializer together, initializer by initializer."""
        from ics_bench.training import Recipe, Replica, Trainer

        recipe = Recipe(STEPS, BATCH_SIZE, TARGET, case.text("optimizer"), CHECK_EVERY, DIVERGENCE_FACTOR)
        replicas = [Replica(rate, seed) for rate in RATES for seed in seeds]
        trained: set[tuple[str, float, int]] = set()
        warnings = list(not_taken(case))
        for init in INITS:
            trainer = Trainer(problem_of(self, Case.of({**case, "init": init}), device), recipe)
            for trajectory in trainer.train(replicas):
                if trajectory.reached:
                    trained.add((init, trajectory.replica.learning_rate, trajectory.replica.seed))
            warnings += [text for text in trainer.warnings if text not in warnings]
        for seed in seeds:
            shares = [sum((init, rate, seed) in trained for init in INITS) / len(INITS) for rate in RATES]
            alive = sum(any((init, rate, seed) in trained for rate in RATES) for init in INITS)
            curve = Curve(RATES, tuple(shares), "learning_rate")
            yield self.measurement(case, seed, "trainable_decades", STEP * sum(shares), curve, warnings)
            yield self.measurement(case, seed, "trainable_share", sum(shares) / len(shares), warnings=warnings)
            yield self.measurement(case, seed, "initializers", alive, warnings=warnings)
            yield self.measurement(case, seed, "best_rate_share", max(shares), warnings=warnings)


WORKLOAD = RateRegion()
