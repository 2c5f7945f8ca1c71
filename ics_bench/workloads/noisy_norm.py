"""Batch norm with more internal shift put in on purpose: final accuracy and speed, with and without the norm."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from ics_bench.core import Axis, Case, Curve, Measurement, Metric, Profile, Workload, derive_seed
from ics_bench.subjects import ARCHITECTURES, DATASETS, INITIALIZERS, NORMS, OPTIMIZERS
from ics_bench.workloads._problem import no_positions, not_taken, problem_of

if TYPE_CHECKING:
    import torch

    from ics_bench.training import Observation

STEPS = 200
TARGET = 0.9
CHECK_EVERY = 10
DIVERGENCE_FACTOR = 10.0
STARTS = (10, 60, 150)
"""Steps t from which the drift to t+1 is measured."""

PROBE_SIZE = 128


class NoisyNorm(Workload):
    """Final accuracy, speed and drift of nets whose units are shifted and scaled at random, anew at every step.

    A replica trains for 200 steps whether or not it reaches the target, an accuracy of .9 on the
    training set in evaluation mode at two checks running. In evaluation the noise is off, but the
    running statistics are those of noisy activations: accuracy is also taken as in training. It is
    NaN where the loss diverged. Drift is W₁/σ of the pre-activations of 128
    fixed samples between two steps, in training mode, so that the noise takes part: median over
    units, layers and three pairs of steps.
    """

    name = "noisy_norm"
    version = 1
    summary = "training with random, time-varying noise after batch norm, and without batch norm"
    metrics: ClassVar = (
        Metric(
            "accuracy",
            "1",
            "higher",
            "seeded",
            "on the training set, in evaluation mode, after the last step",
            smallest_effect=0.02,
        ),
        Metric(
            "noisy_accuracy",
            "1",
            "higher",
            "seeded",
            "the same in training mode: batch statistics, and the noise on",
            smallest_effect=0.02,
        ),
        Metric(
            "steps_to_target",
            "step",
            "lower",
            "seeded",
            "steps to the target; its curve is the loss",
            smallest_effect=CHECK_EVERY,
            asv_ceiling=STEPS + CHECK_EVERY,
        ),
        Metric("drift_wasserstein", "1", "neutral", "seeded", "W₁/σ of pre-activations between two steps"),
    )
    axes: ClassVar = (
        Axis("architecture", "plain or residual perceptron", ("plain",), registry=ARCHITECTURES),
        Axis("depth", "weight matrices, output layer included", (3,), (10,), minimum=2),
        Axis(
            "norm",
            "norm, with or without noise after it",
            ("batch", "noisy_batch"),
            ("none", "batch", "noisy_batch", "noise"),
            registry=NORMS,
        ),
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
        Axis("batch_size", "samples a step", (128,), minimum=2),
        Axis("learning_rate", "constant rate", (0.1,), (0.1, 1.0), minimum=1e-9),
    )
    seeds: ClassVar[Mapping[Profile, int]] = {"quick": 2, "standard": 11, "full": 21}
    paired = ("norm", "norm_position", "optimizer", "learning_rate")
    recipe: ClassVar = {
        "steps": STEPS,
        "target": TARGET,
        "check_every": CHECK_EVERY,
        "divergence_factor": DIVERGENCE_FACTOR,
        "starts": ",".join(map(str, STARTS)),
        "probe_size": PROBE_SIZE,
    }
    flush_denormal = True

    def cost(self, case: Case) -> float:
        """Grow with depth; nets that draw at random are trained one by one."""
        return case.integer("depth") * (4.0 if "nois" in case.text("norm") else 1.0)

    def skip(self, case: Case, device: str) -> str | None:
        """Leave out norms that average over positions, which a perceptron has not."""
        del device
        return no_positions(self, case)

    def measure(self, case: Case, seeds: Sequence[int], device: str) -> Iterator[Measurement]:
        """Train all seeds and look at them on the way and at the end."""
        from ics_bench.training import Recipe, Replica, Trainer

        problem = problem_of(self, case, device)
        recipe = Recipe(
            steps=STEPS,
            batch_size=case.integer("batch_size"),
            target=TARGET,
            optimizer=case.text("optimizer"),
            check_every=CHECK_EVERY,
            divergence_factor=DIVERGENCE_FACTOR,
        )
        watch = _Watch(problem.x, problem.y, {seed: self.seed_for(case, seed, "probe") for seed in seeds})
        trainer = Trainer(problem, recipe)
        replicas = [Replica(float(case["learning_rate"]), seed) for seed in seeds]
        observed = sorted({STEPS, *STARTS, *(start + 1 for start in STARTS)})
        trained = trainer.train(replicas, observe=watch, observe_at=observed)
        warnings = [*trainer.warnings, *not_taken(case)]
        for seed, trajectory in zip(seeds, trained, strict=True):
            failed = [f"diverged at step {trajectory.diverged_at:g}"] if trajectory.diverged else []
            losses = trajectory.losses
            curve = Curve(tuple(map(float, range(0, len(losses), CHECK_EVERY))), tuple(losses[::CHECK_EVERY]), "step")
            accuracy, noisy = (math.nan, math.nan) if failed else watch.accuracy[seed]
            drifts = math.nan if failed else statistics.median(watch.drifts[seed])
            found = [*warnings, *failed]
            yield self.measurement(case, seed, "accuracy", accuracy, warnings=found)
            yield self.measurement(case, seed, "noisy_accuracy", noisy, warnings=found)
            yield self.measurement(case, seed, "steps_to_target", trajectory.reached_at, curve, found)
            yield self.measurement(case, seed, "drift_wasserstein", drifts, warnings=found)


class _Watch:
    """Keeps pre-activations from step to step, and the accuracy at the end."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor, probe_seeds: Mapping[int, int]) -> None:
        self.x, self.y, self.probe_seeds = x, y, probe_seeds
        self.accuracy: dict[int, tuple[float, float]] = {}
        self.drifts: dict[int, list[float]] = {seed: [] for seed in probe_seeds}
        self._before: dict[int, tuple[int, tuple[torch.Tensor, ...]]] = {}

    def __call__(self, observation: Observation) -> None:
        import torch

        from ics_bench.probes.drift import drifts
        from ics_bench.probes.layers import signals
        from ics_bench.subjects.randomness import seeded

        seed, module = observation.replica.seed, observation.module
        if observation.step == STEPS:
            with seeded(self.probe_seeds[seed], self.x.device), torch.no_grad():
                # Evaluation first: a pass in training mode moves the running statistics.
                right = [module.train(mode)(self.x).argmax(dim=1) == self.y for mode in (False, True)]
            self.accuracy[seed] = float(right[0].double().mean()), float(right[1].double().mean())
            return
        generator = torch.Generator().manual_seed(self.probe_seeds[seed])
        chosen = torch.randperm(len(self.x), generator=generator)[:PROBE_SIZE].to(self.x.device)
        noise = derive_seed(self.probe_seeds[seed], "noise", observation.step)
        now = signals(module, self.x[chosen], noise).pre_activations
        step, before = self._before.get(seed, (-1, ()))
        if observation.step == step + 1:
            distances = [drift.wasserstein for drift in drifts(before, now)]
            self.drifts[seed].append(math.nan if any(map(math.isnan, distances)) else statistics.median(distances))
        self._before[seed] = (observation.step, now)


WORKLOAD = NoisyNorm()
