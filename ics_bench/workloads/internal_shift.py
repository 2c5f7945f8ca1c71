"""How far the inputs of each layer move from step to step, and what that does to its gradients."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from ics_bench.core import Axis, Case, Measurement, Metric, Profile, Scalar, Workload
from ics_bench.core.metric import Better
from ics_bench.subjects import ARCHITECTURES, DATASETS, INITIALIZERS, NORMS, OPTIMIZERS
from ics_bench.workloads._problem import no_positions, not_taken, problem_of

if TYPE_CHECKING:
    from ics_bench.training import Problem

STARTS = (0, 10, 30, 100)
"""Steps t from which the change to t+1 is measured."""

APART = (30,)
"""Those of them at which each layer also takes its step alone, which costs the square of the depth."""

STEPS = STARTS[-1] + 1
PROBE_SIZE = 128
"""Samples in a probe batch, as in a mini-batch of training: sampling noise is then what a layer sees anyway."""

PERTURBATION = 0.01
"""Standard deviation of the random perturbation, the page's."""

SCALING = 1.1
"""Factor by which every layer's initial parameters grow where steps are to compound for certain."""

IDLE = 1e-9
"""A rate at which float32 weights do not move: whatever is seen then is no effect of a step."""

DIVERGENCE_FACTOR = 10.0

LINEAR: dict[str, Scalar] = {
    "depth": 25,
    "activation": "identity",
    "init": "xavier",
    "width": 10,
    "data": "linear_teacher",
    "batch_size": 1000,
    "learning_rate": 0.01,
}
"""Deep linear regression by gradient descent on all data."""


def _metrics() -> tuple[Metric, ...]:
    def metric(name: str, summary: str, better: Better = "neutral", headline: bool = False) -> Metric:
        cosine = name.endswith("cosine")
        effect, ratio = (None, None) if better == "neutral" else (0.05, None) if cosine else (None, 1.1)
        return Metric(name, "1", better, "seeded", summary, headline, effect, smallest_ratio=ratio)

    return (
        metric("drift_wasserstein", "W₁/σ of pre-activations between two steps, median over layers", "lower", True),
        metric("drift_mean", "|Δμ|/σ of the same", "lower"),
        metric("drift_log_std", "|Δ ln σ| of the same", "lower"),
        metric("drift_kl", "Gaussian KL of step t from step t+1, in nats", "lower"),
        metric("drift_running", "W₁/σ in evaluation mode, by running statistics", "lower"),
        metric("drift_linear", "W₁/σ of the linear maps' outputs, before any norm", "lower"),
        metric("input_drift", "W₁/σ of the inputs of the layers above the first", "lower"),
        metric("sampling_drift", "W₁/σ between two disjoint probe batches at one step"),
        metric("drift_growth", "decades that W₁/σ grows from the first layer to the last", headline=True),
        metric("drift_mean_growth", "the same of |Δμ|/σ"),
        metric("drift_log_std_growth", "the same of |Δ ln σ|"),
        metric("drift_kl_growth", "the same of the Gaussian KL"),
        metric("sampling_growth", "the same of W₁/σ between two disjoint batches: no update at all"),
        metric("perturbation_growth", "the same by a random perturbation, N(0, 0.01²), of all initial parameters"),
        metric("least_drift", "smallest W₁/σ over the layers above the first and the steps"),
        metric("least_drift_over_sampling", "smallest W₁ over that of sampling noise, over layers and steps"),
        metric("least_resampling_over_sampling", "the same for a third batch at step t: chance alone"),
        metric("drift_over_sampling", "median W₁ over that of sampling noise"),
        metric("share_beyond_sampling", "share of layers and steps with more drift than sampling noise"),
        metric("moved_below", "largest W₁/σ of the inputs of layers at or below one that alone took its step"),
        metric("moved_above", "smallest W₁/σ of the inputs of layers above one that alone took its step"),
        metric("joint_over_sum", "drift of the last pre-activations over the sum of those by single layers' steps"),
        metric("scaled_joint_over_sum", "the same where each layer's step makes its parameters a tenth larger"),
        metric("gradient_shift_l2", "‖G − G'‖ of a weight after the layers below have stepped", "lower"),
        metric("gradient_shift_relative", "‖G − G'‖ / ‖G‖", "lower"),
        metric("gradient_shift_cosine", "cos(G, G')", "higher", True),
        metric("first_layer_gradient_shift", "‖G − G'‖ of the first layer, which has none below"),
        metric(
            "gradient_consistency", "cos of a weight's gradients on all data at two successive steps", headline=True
        ),
        metric("first_layer_consistency", "the same for the first layer, whose inputs never move"),
        metric("drift_turning_correlation", "rank correlation of input drift and 1 − cos over layers and steps"),
        metric("units_excluded", "share of units without variance, which have no drift"),
    )


class InternalShift(Workload):
    """Drift of layers' inputs between consecutive steps, and the gradient's answer to it.

    A net trains for 101 steps. After 0, 10, 30 and 100 of them the next step is taken apart: how
    far it moves the pre-activations of a fixed probe batch, unit by unit and then the median over
    units (*drift*); how far a layer alone moves them; how the gradient of each layer changes when the
    layers below take their step (Santurkar et al. 2018); and how far the gradient on all data turns.
    Drift is measured on a layer's pre-activations as its activation function receives them, after the
    norm where that stands before it, by batch statistics unless it says running.
    """

    name = "internal_shift"
    version = 1
    summary = "how far layers' inputs move from step to step, and what that does to gradients"
    metrics: ClassVar = _metrics()
    axes: ClassVar = (
        Axis(
            "architecture",
            "plain or residual perceptron, or a model of your own",
            ("plain",),
            registry=ARCHITECTURES,
        ),
        Axis("depth", "weight matrices, output layer included", (5,), (10,), (5, 10, 20, 50), minimum=3),
        Axis("norm", "normalization layer", ("none", "batch"), (), ("none", "batch", "layer", "rms"), registry=NORMS),
        Axis(
            "norm_position",
            "side of the activation on which the norm stands",
            ("before",),
            choices=("before", "after"),
        ),
        Axis("activation", "activation function", ("relu",), choices=("relu", "tanh", "sigmoid", "identity")),
        Axis("optimizer", "update rule", ("sgd",), registry=OPTIMIZERS),
        Axis("init", "weight initializer", ("he",), registry=INITIALIZERS),
        Axis("width", "features of a hidden layer", (64,), minimum=1),
        Axis("data", "training data; of real targets the squared error is minimized", ("digits",), registry=DATASETS),
        Axis("batch_size", "samples a step", (128,), minimum=2),
        Axis("learning_rate", "constant rate", (0.1,), (0.03, 0.1), minimum=1e-9),
    )
    seeds: ClassVar[Mapping[Profile, int]] = {"quick": 2, "standard": 11, "full": 21}
    paired = ("norm", "norm_position", "optimizer", "learning_rate")
    recipe: ClassVar = {
        "steps": STEPS,
        "starts": ",".join(map(str, STARTS)),
        "apart": ",".join(map(str, APART)),
        "probe_size": PROBE_SIZE,
        "perturbation": PERTURBATION,
        "scaling": SCALING,
        "divergence_factor": DIVERGENCE_FACTOR,
    }
    flush_denormal = True

    def extra_cases(self, profile: Profile) -> tuple[Case, ...]:
        """At standard, other depths, rates and norms, residual nets, and deep linear ones of Santurkar et al. 2018."""
        if profile != "standard":
            return ()
        base = Case.of({**self.cases("quick")[0], "depth": 10})
        norms = ("none", "batch")
        changes: list[dict[str, Scalar]] = [{**LINEAR, "norm": norm} for norm in norms]
        changes += [{"norm": norm, "learning_rate": 0.01} for norm in norms]
        changes += [{"norm": norm, "depth": 5} for norm in norms]
        changes += [{"norm": "layer", "learning_rate": rate} for rate in (0.01, 0.03, 0.1)]
        for norm in (*norms, "layer"):
            changes += [{"norm": norm, "learning_rate": 0.03, "depth": 5}]
            changes += [{"norm": norm, "learning_rate": 0.03, "architecture": "residual"}]
        for norm in (*norms, "layer"):
            changes += [{"norm": norm, "learning_rate": 0.01, "depth": depth} for depth in (5, 20)]
            changes += [{"norm": norm, "learning_rate": 0.01, "init": "xavier"}]
        changes += [{"norm": "none", "learning_rate": rate} for rate in (IDLE, 0.0001)]
        return tuple(Case.of({**base, **change}) for change in changes)

    def cost(self, case: Case) -> float:
        """Grow with the square of the depth: every layer takes its step alone."""
        return case.integer("depth") ** 2 * (1.0 if case["norm"] == "none" else 2.0)

    def applies(self, metric: str, case: Case) -> bool:
        """Scale the layers of nets without a norm alone: a norm takes the scale out again."""
        return metric != "scaled_joint_over_sum" or case["norm"] == "none"

    def skip(self, case: Case, device: str) -> str | None:
        """Leave out norms that average over positions, which a perceptron has not."""
        del device
        return no_positions(self, case)

    def measure(self, case: Case, seeds: Sequence[int], device: str) -> Iterator[Measurement]:
        """Train all seeds together and take the observed steps apart."""
        from ics_bench.training import Recipe, Replica, Trainer
        from ics_bench.workloads._internal_shift_summary import summarize
        from ics_bench.workloads._internal_shift_watch import ShiftWatch

        problem = self.problem(case, device)
        recipe = Recipe(
            steps=STEPS,
            batch_size=case.integer("batch_size"),
            optimizer=case.text("optimizer"),
            check_every=STEPS + 1,  # no target: nobody stops early
            divergence_factor=DIVERGENCE_FACTOR,
        )
        watch = ShiftWatch(
            problem,
            STARTS,
            APART,
            lambda seed: self.seed_for(case, seed, "probe"),
            _probe_size(problem),
            PERTURBATION,
            SCALING if self.applies("scaled_joint_over_sum", case) else None,
        )
        trainer = Trainer(problem, recipe)
        observed = sorted({step for start in STARTS for step in (start, start + 1)})
        replicas = [Replica(float(case["learning_rate"]), seed) for seed in seeds]
        trained = trainer.train(replicas, observe=watch, observe_at=observed)
        warnings = [*trainer.warnings, *not_taken(case)]
        for seed, trajectory in zip(seeds, trained, strict=True):
            if trajectory.diverged:
                yield from self._failed(case, seed, trajectory.diverged_at, warnings)
                continue
            for metric, value, curve in summarize(watch.records[seed]):
                yield self.measurement(case, seed, metric, value, curve, warnings)

    def problem(self, case: Case, device: str) -> Problem:
        """Build the training problem of a case; real targets are fitted by least squares."""
        import dataclasses

        from ics_bench.training.losses import CROSS_ENTROPY, SQUARED_ERROR

        problem = problem_of(self, case, device)
        return dataclasses.replace(problem, loss=SQUARED_ERROR if problem.y.is_floating_point() else CROSS_ENTROPY)

    def _failed(self, case: Case, seed: int, step: float, warnings: Sequence[str]) -> Iterator[Measurement]:
        """Yield a failure of every metric: a diverged replica has no drift."""
        found = [*warnings, f"diverged at step {step:g}, before everything was measured"]
        for metric in (m for m in self.metrics if self.applies(m.name, case)):
            yield self.measurement(case, seed, metric.name, math.nan, warnings=found)


def _probe_size(problem: Problem) -> int:
    """As large as a mini-batch where the data hold three disjoint ones."""
    return min(PROBE_SIZE, len(problem.x) // 3)


WORKLOAD = InternalShift()
