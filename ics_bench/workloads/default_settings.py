"""Whether one default learning rate serves nets of several widths, initializations and batch sizes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from ics_bench.core import Axis, Case, Curve, Measurement, Metric, Profile, Workload
from ics_bench.subjects import ARCHITECTURES, DATASETS, NORMS, OPTIMIZERS
from ics_bench.workloads._problem import no_positions, not_taken, problem_of

STEPS = 200
TARGET = 0.9
CHECK_EVERY = 10
DIVERGENCE_FACTOR = 10.0
WIDTHS = (32, 64)
INITS = ("default", "he")
BATCH_SIZES = (32, 128)
CONFIGURATIONS = tuple(itertools.product(WIDTHS, INITS, BATCH_SIZES))


class DefaultSettings(Workload):
    """Trains eight configurations (width × initializer × batch size) at one learning rate, untuned.

    Each has 200 steps to reach 90 % training accuracy, at two checks running, ten steps apart.
    """

    name = "default_settings"
    version = 1
    summary = "share of eight width × initializer × batch-size configurations that train at one default rate"
    metrics: ClassVar = (
        Metric(
            "trained_share",
            "1",
            "higher",
            "seeded",
            "share of the configurations that reach the target; curve: each configuration",
            smallest_effect=1 / len(CONFIGURATIONS),
        ),
        Metric(
            "diverged_share",
            "1",
            "lower",
            "seeded",
            "share of the configurations that diverge",
            smallest_effect=1 / len(CONFIGURATIONS),
        ),
        Metric("all_trained", "1", "higher", "seeded", "1 where every configuration trains, else 0", headline=False),
    )
    axes: ClassVar = (
        Axis("architecture", "model", ("plain",), registry=ARCHITECTURES),
        Axis("depth", "weight matrices, output layer included", (3,), (5, 10, 20), minimum=2),
        Axis("norm", "normalization layer", ("none", "batch"), ("none", "batch", "layer"), registry=NORMS),
        Axis(
            "norm_position",
            "side of the activation on which the norm stands",
            ("before",),
            choices=("before", "after"),
        ),
        Axis("learning_rate", "the default rate", (0.1,), minimum=1e-9),
        Axis("optimizer", "update rule", ("sgd",), registry=OPTIMIZERS),
        Axis("data", "training data", ("digits",), registry=DATASETS),
    )
    seeds: ClassVar[Mapping[Profile, int]] = {"quick": 1, "standard": 11, "full": 21}
    paired = ("norm", "norm_position", "learning_rate", "optimizer")
    recipe: ClassVar = {
        "steps": STEPS,
        "target": TARGET,
        "check_every": CHECK_EVERY,
        "divergence_factor": DIVERGENCE_FACTOR,
        "widths": ",".join(map(str, WIDTHS)),
        "inits": ",".join(INITS),
        "batch_sizes": ",".join(map(str, BATCH_SIZES)),
    }
    flush_denormal = True

    def cost(self, case: Case) -> float:
        """Grow with depth; a norm costs about as much as its linear layer."""
        return case.integer("depth") * (8.0 if case["norm"] == "none" else 16.0)

    def skip(self, case: Case, device: str) -> str | None:
        """Leave out norms that average over positions, which a perceptron has not."""
        del device
        return no_positions(self, case)

    def norm_input(self, case: Case) -> tuple[int, ...]:
        """Shape of the narrowest net's features."""
        del case
        return (4, min(WIDTHS))

    def measure(self, case: Case, seeds: Sequence[int], device: str) -> Iterator[Measurement]:
        """Train all seeds of one configuration together, configuration by configuration."""
        from ics_bench.training import Recipe, Replica, Trainer

        replicas = [Replica(float(case["learning_rate"]), seed) for seed in seeds]
        warnings = list(not_taken(Case.of({**case, "width": 0, "init": ""})))
        reached: dict[int, list[float]] = {seed: [] for seed in seeds}
        diverged: dict[int, int] = dict.fromkeys(seeds, 0)
        for width, init, batch_size in CONFIGURATIONS:
            configured = Case.of({**case, "width": width, "init": init})
            recipe = Recipe(STEPS, batch_size, TARGET, case.text("optimizer"), CHECK_EVERY, DIVERGENCE_FACTOR)
            trainer = Trainer(problem_of(self, configured, device), recipe)
            for trajectory in trainer.train(replicas):
                reached[trajectory.replica.seed].append(float(trajectory.reached))
                diverged[trajectory.replica.seed] += trajectory.diverged
            warnings += [text for text in trainer.warnings if text not in warnings]
        places = tuple(map(float, range(1, len(CONFIGURATIONS) + 1)))
        for seed in seeds:
            share = sum(reached[seed]) / len(places)
            curve = Curve(places, tuple(reached[seed]), "configuration")
            yield self.measurement(case, seed, "trained_share", share, curve, warnings)
            yield self.measurement(case, seed, "diverged_share", diverged[seed] / len(places), warnings=warnings)
            yield self.measurement(case, seed, "all_trained", share == 1.0, warnings=warnings)


WORKLOAD = DefaultSettings()
