"""Training at one constant learning rate: who reaches the target, in how many steps, and who diverges."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from ics_bench.core import Axis, Case, Curve, Measurement, Metric, Profile, Scalar, Workload
from ics_bench.subjects import ARCHITECTURES, DATASETS, INITIALIZERS, NORMS, OPTIMIZERS
from ics_bench.workloads._problem import no_positions, not_taken, problem_of

STEPS = 200
TARGET = 0.9
CHECK_EVERY = 10
DIVERGENCE_FACTOR = 10.0

SLOW_RATE, SLOW_STEPS = 0.01, 600
"""A rate for which 200 steps are too few, and steps enough for nets of depth 5: they take 150 to 500."""

HOPELESS_RATE = 1e-6
"""A rate at which nothing can have been learned."""


class ConstantRate(Workload):
    """One learning rate, for nets that may be far deeper than those whose ceilings can be searched.

    A replica trains for 200 steps, or as many as the case says. It *diverges* when its loss is not finite or
    exceeds ten times the initial one; it *reaches the target* when its accuracy on the training set, in
    evaluation mode, checked every ten steps, is at least .9 at two checks running.
    """

    name = "constant_rate"
    version = 2
    summary = "whether nets up to 152 layers train at a given learning rate, and in how many steps"
    metrics: ClassVar = (
        Metric("reached", "1", "higher", "seeded", "1 where the target was reached, else 0", headline=False),
        Metric(
            "steps_to_target",
            "step",
            "lower",
            "seeded",
            "steps to the target; its curve is the loss",
            smallest_effect=CHECK_EVERY,
            asv_ceiling=STEPS + CHECK_EVERY,
        ),
        Metric(
            "diverged",
            "1",
            "lower",
            "seeded",
            "1 where the loss diverged, else 0",
            smallest_effect=0.25,  # of 0 and 1: a regression takes 10 more of 16 seeds, no change at most 2
        ),
        Metric("loss_ratio", "1", "lower", "seeded", "mean loss of the last ten steps over the first loss", False),
        Metric("blocks", "block", "neutral", "exact", "residual blocks among the layers of depth", headline=False),
    )
    axes: ClassVar = (
        Axis(
            "architecture",
            "model",
            ("plain",),
            ("plain", "residual"),
            registry=ARCHITECTURES,
        ),
        Axis("depth", "weight matrices, output layer included", (10,), (50, 100), (50, 100, 152), minimum=2),
        Axis("norm", "normalization layer", ("none", "batch"), ("none", "batch", "layer"), registry=NORMS),
        Axis(
            "norm_position",
            "side of the activation on which the norm stands",
            ("before",),
            choices=("before", "after"),
        ),
        Axis("learning_rate", "constant rate", (0.1,), minimum=1e-9),
        Axis("optimizer", "update rule", ("sgd",), registry=OPTIMIZERS),
        Axis("init", "weight initializer", ("he",), registry=INITIALIZERS),
        Axis("width", "features of a hidden layer", (32,), minimum=1),
        Axis("batch_size", "samples a step", (64,), minimum=2),
        Axis("data", "training data", ("digits",), registry=DATASETS),
        Axis("steps", "budget of optimizer steps", (STEPS,), minimum=2 * CHECK_EVERY),
    )
    seeds: ClassVar[Mapping[Profile, int]] = {"quick": 2, "standard": 11, "full": 21}
    paired = ("norm", "norm_position", "optimizer", "learning_rate")
    recipe: ClassVar = {
        "target": TARGET,
        "check_every": CHECK_EVERY,
        "divergence_factor": DIVERGENCE_FACTOR,
    }
    flush_denormal = True

    def extra_cases(self, profile: Profile) -> tuple[Case, ...]:
        """Beyond the quick profile, other places of the norm, and rates so low that they need more steps."""
        if profile == "quick":
            return ()
        base = Case.of({**self.cases("quick")[0], "norm": "batch"})
        perceptrons = [("residual", 50), ("residual", 152), ("residual_post", 50), ("residual_post", 5), ("plain", 5)]
        convolutional = [("resnet", 32), ("resnet_post", 32), ("resnet_post", 8)]
        nets: list[dict[str, Scalar]] = [{"architecture": name, "depth": depth} for name, depth in perceptrons]
        nets += [{"architecture": name, "depth": depth, "width": 8, "batch_size": 32} for name, depth in convolutional]
        nets += [{"depth": 5, "learning_rate": HOPELESS_RATE}, {"depth": 5, "norm": "none"}]
        slow: dict[str, Scalar] = {"norm": "none", "learning_rate": SLOW_RATE, "steps": SLOW_STEPS}
        nets += [{**slow, "depth": depth} for depth in (5, 50, 100)]
        wide: dict[str, Scalar] = {"width": 64, "batch_size": 128}
        nets += [{**slow, **wide, "depth": depth, "init": init} for depth in (5, 20) for init in ("he", "xavier")]
        nets += [{**wide, "depth": 5, "learning_rate": HOPELESS_RATE}]
        nets += [{**wide, "depth": 5, "norm": "none", "learning_rate": 0.03}]
        return tuple(Case.of({**base, **net}) for net in nets)

    def cost(self, case: Case) -> float:
        """Grow with depth; a norm costs about as much as its linear layer."""
        return case.integer("depth") * (1.0 if case["norm"] == "none" else 2.0)

    def skip(self, case: Case, device: str) -> str | None:
        """Leave out norms that average over positions, which a perceptron has not."""
        del device
        return no_positions(self, case)

    def measure(self, case: Case, seeds: Sequence[int], device: str) -> Iterator[Measurement]:
        """Train all seeds together at the case's rate."""
        from ics_bench.subjects.model import residual_blocks
        from ics_bench.training import Recipe, Replica, Trainer

        rate = float(case["learning_rate"])
        recipe = Recipe(
            steps=case.integer("steps"),
            batch_size=case.integer("batch_size"),
            target=TARGET,
            optimizer=case.text("optimizer"),
            check_every=CHECK_EVERY,
            divergence_factor=DIVERGENCE_FACTOR,
        )
        problem = problem_of(self, case, device)
        trainer = Trainer(problem, recipe)
        trained = trainer.train([Replica(rate, seed) for seed in seeds])
        warnings = [*trainer.warnings, *not_taken(case)]
        yield self.measurement(case, None, "blocks", residual_blocks(problem.build(seeds[0])))
        for seed, trajectory in zip(seeds, trained, strict=True):
            losses = trajectory.losses
            curve = Curve(tuple(map(float, range(0, len(losses), CHECK_EVERY))), tuple(losses[::CHECK_EVERY]), "step")
            last = math.inf if trajectory.diverged else math.fsum(losses[-10:]) / len(losses[-10:])
            yield self.measurement(case, seed, "reached", trajectory.reached, warnings=warnings)
            yield self.measurement(case, seed, "steps_to_target", trajectory.reached_at, curve, warnings)
            yield self.measurement(case, seed, "diverged", trajectory.diverged, warnings=warnings)
            yield self.measurement(case, seed, "loss_ratio", last / losses[0], warnings=warnings)


WORKLOAD = ConstantRate()
