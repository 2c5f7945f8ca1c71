"""Saturated and dead units, signal and gradient by layer, at the start and as training goes on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from ics_bench.core import Axis, Case, Curve, Measurement, Metric, Profile, Scalar, Workload
from ics_bench.core.metric import Better
from ics_bench.subjects import DATASETS, INITIALIZERS, NORMS, OPTIMIZERS
from ics_bench.workloads._problem import no_positions, problem_of

if TYPE_CHECKING:
    from ics_bench.training import Observation, Trajectory
    from ics_bench.workloads._saturation_look import Look

LOOKS = (0, 10, 20, 50, 100, 150, 200)
"""Steps after which the layers are looked at."""

STEPS = 600
"""Budget for reaching the target; a replica that has reached it stops after the last look."""

TARGET = 0.9
CHECK_EVERY = 10
DIVERGENCE_FACTOR = 10.0
BOUNDED = ("tanh", "sigmoid")

IDLE = 1e-6
"""A learning rate at which weights hardly move: whatever is seen then is no effect of training."""

EXTRA = (
    ("relu", "he", "none", IDLE),
    ("relu", "he", "none", 0.02),
    ("relu", "he", "none", 0.1),
    ("relu", "he", "none", 0.3),
    ("relu", "he", "batch", 0.02),
    ("relu", "he", "batch", 0.1),
    ("relu", "he", "batch", 0.3),
    ("relu", "xavier", "none", 0.02),
    ("relu", "xavier", "none", 0.03),
    ("relu", "xavier", "batch", 0.02),
    ("relu", "default", "none", 0.1),
    ("tanh", "xavier", "none", 0.02),
    ("tanh", "normal-0.4", "none", 0.02),
    ("tanh", "normal-0.4", "none", 0.1),
    ("tanh", "normal-1", "none", IDLE),
    ("tanh", "normal-1", "none", 0.1),
    ("tanh", "normal-1", "batch", 0.1),
    ("sigmoid", "normal-0.5", "none", 0.3),
)
"""Activation, initializer, norm and rate of the cases beyond the grid."""


def _metrics() -> tuple[Metric, ...]:
    def metric(name: str, summary: str, better: Better = "neutral", headline: bool = False) -> Metric:
        effect = None if better == "neutral" else 0.02 if name.endswith("fraction") else 0.05  # of units, or of a ln
        return Metric(name, "1", better, "seeded", summary, headline, effect)

    return (
        metric("saturated_fraction", "tanh: |a| > .97, sigmoid: a outside [.03, .97]; mean of layers", "lower", True),
        metric("saturated_growth", "its change since the start; curve: by step"),
        metric("largest_saturated_growth", "the same in the layer where it is largest"),
        metric("dead_fraction", "hidden units that are zero on every training sample; curve: by layer", "lower", True),
        metric("dead_growth", "its change since the start; curve: by step"),
        metric("zero_fraction", "entries that are zero, mean of layers; curve: by layer"),
        metric("forward_rate", "factor per layer of E[z²]; curve: by step", headline=True),
        metric("forward_rate_error", "|ln forward_rate|", "lower"),
        metric("initial_forward_rate_error", "the same before training", "lower"),
        metric("backward_rate", "factor per layer, going back, of ‖∂L/∂z‖²; curve: by step", headline=True),
        metric("backward_rate_error", "|ln backward_rate|", "lower"),
        metric("initial_backward_rate_error", "the same before training", "lower"),
        metric("backward_rate_growth", "ln of backward_rate over that at the start; below 0 gradients vanish more"),
        metric("gradient_norm", "‖∂L/∂W‖ of the first layer; curve: by layer"),
        Metric(
            "steps_to_target",
            "step",
            "lower",
            "seeded",
            "steps to the target; curve: the loss",
            smallest_effect=CHECK_EVERY,
            asv_ceiling=STEPS + CHECK_EVERY,
        ),
    )


class Saturation(Workload):
    """Layers of a plain perceptron after 0, 10, 20, 50, 100, 150 and 200 steps of training.

    Each look is one forward and one backward pass over the whole training set, in training mode. Values
    are those after 200 steps; a replica that diverged before has NaN. z are pre-activations (before the
    norm), a activations; means are over the hidden layers.

    - *saturated*: |a| > .97 for tanh, a outside [.03, .97] for sigmoid.
    - *dead*: a unit that is zero on every training sample. Zero *entries* are about half of a healthy
      ReLU layer and are reported beside it.
    - *forward rate*: (E[z²]_last / E[z²]_first)^(1/(layers−1)); *backward rate*: the same of ‖∂L/∂z‖²
      from the last hidden layer to the first, from which the size of the loss cancels.
    - *steps to target*: training goes on to 600 steps for replicas that have not reached the target.
    """

    name = "saturation"
    version = 1
    summary = "saturated and dead units, signal and gradient by layer while a perceptron trains"
    metrics = _metrics()
    axes: ClassVar = (
        Axis(
            "activation",
            "nonlinearity",
            ("tanh",),
            ("relu", "tanh", "sigmoid"),
            choices=("relu", "tanh", "sigmoid", "identity"),
        ),
        Axis("init", "weight initializer", ("xavier",), registry=INITIALIZERS),
        Axis("norm", "normalization layer", ("none", "batch"), registry=NORMS),
        Axis(
            "norm_position",
            "side of the activation on which the norm stands",
            ("before",),
            choices=("before", "after"),
        ),
        Axis("learning_rate", "constant rate", (0.1,), (0.1,), (0.01, 0.03, 0.1, 0.3, 1.0), minimum=1e-9),
        Axis("depth", "weight matrices, output layer included", (5,), (10,), (5, 10, 20), minimum=3),
        Axis("width", "features of a hidden layer", (64,), minimum=1),
        Axis("optimizer", "update rule", ("sgd",), registry=OPTIMIZERS),
        Axis("batch_size", "samples a step", (128,), minimum=2),
        Axis("data", "training data", ("digits",), registry=DATASETS),
    )
    seeds: ClassVar[Mapping[Profile, int]] = {"quick": 2, "standard": 11, "full": 21}
    paired = ("activation", "init", "norm", "norm_position", "learning_rate", "optimizer")
    recipe: ClassVar[Mapping[str, Scalar]] = {
        "steps": STEPS,
        "looked_at": LOOKS[-1],
        "target": TARGET,
        "check_every": CHECK_EVERY,
        "divergence_factor": DIVERGENCE_FACTOR,
    }
    flush_denormal = True

    def extra_cases(self, profile: Profile) -> tuple[Case, ...]:
        """Beyond the quick profile: starts from bad to good, and rates from idle to the edge of divergence."""
        if profile == "quick":
            return ()
        base = {**self.cases("quick")[0], "depth": 10}
        changes: list[dict[str, Scalar]] = [
            {"activation": activation, "init": init, "norm": norm, "learning_rate": rate}
            for activation, init, norm, rate in EXTRA
        ]
        changes.append({"activation": "relu", "init": "he", "norm": "none", "optimizer": "adam", "learning_rate": 0.01})
        return tuple(Case.of({**base, **one}) for one in changes)

    def cost(self, case: Case) -> float:
        """Grow with depth; a norm costs about as much as its linear layer."""
        return case.integer("depth") * (1.0 if case["norm"] == "none" else 2.0)

    def skip(self, case: Case, device: str) -> str | None:
        """Leave out norms that average over positions, which a perceptron has not."""
        del device
        return no_positions(self, case)

    def applies(self, metric: str, case: Case) -> bool:
        """Only bounded activations saturate, and only ReLU is zero on half of its inputs."""
        if "saturated" in metric:
            return case["activation"] in BOUNDED
        if metric in ("dead_fraction", "dead_growth", "zero_fraction"):
            return case["activation"] == "relu"
        return True

    def measure(self, case: Case, seeds: Sequence[int], device: str) -> Iterator[Measurement]:
        """Train all seeds together, look at them on the way, and report seed by seed."""
        from ics_bench.training import Recipe, Replica, Trainer
        from ics_bench.workloads._saturation_look import look

        problem = problem_of(self, Case.of({**case, "architecture": "plain"}), device)
        recipe = Recipe(
            STEPS, case.integer("batch_size"), TARGET, case.text("optimizer"), CHECK_EVERY, DIVERGENCE_FACTOR
        )
        looks: dict[int, dict[int, Look]] = {seed: {} for seed in seeds}

        def observe(seen: Observation) -> None:
            found = look(seen.module, problem.x, problem.y, case.text("activation"))
            looks[seen.replica.seed][seen.step] = found

        def needed(trajectories: Sequence[Trajectory]) -> list[bool]:
            return [not t.reached or t.steps <= LOOKS[-1] for t in trajectories]

        replicas = [Replica(float(case["learning_rate"]), seed) for seed in seeds]
        trainer = Trainer(problem, recipe)
        for trajectory in trainer.train(replicas, needed, observe=observe, observe_at=LOOKS):
            yield from self._report(case, trajectory, looks[trajectory.replica.seed])

    def _report(self, case: Case, trajectory: Trajectory, looks: Mapping[int, Look]) -> Iterator[Measurement]:
        seed, warnings = trajectory.replica.seed, list(trajectory.warnings)
        first, last = looks[0], looks.get(LOOKS[-1])
        if last is None:
            warnings.append(f"diverged at step {trajectory.diverged_at:g}: nothing left to look at")
        layers = tuple(float(layer) for layer in range(1, len(first.signal) + 1))
        steps = tuple(float(step) for step in looks)

        def report(name: str, value: float, x: Sequence[float] = (), y: Sequence[float] = ()) -> Measurement:
            label = "layer" if x is layers else "step"
            curve = Curve(tuple(x), tuple(y), label) if len(x) else None
            return self.measurement(case, seed, name, value, curve, warnings)

        for share in ("saturated", "dead"):
            if not self.applies(f"{share}_fraction", case):
                continue
            means = [_mean(getattr(one, share)) for one in looks.values()]
            ending = means[-1] if last else math.nan
            by_layer = getattr(last or first, share)
            yield report(f"{share}_fraction", ending, *((layers, by_layer) if last else ((), ())))
            yield report(f"{share}_growth", ending - means[0], steps, [mean - means[0] for mean in means])
            if share == "saturated":
                growth = [after - before for after, before in zip(by_layer, first.saturated, strict=True)]
                yield report("largest_saturated_growth", max(growth) if last else math.nan)
        if self.applies("zero_fraction", case):
            zero = (layers, last.zero) if last else ((), ())
            yield report("zero_fraction", _mean(last.zero) if last else math.nan, *zero)
        for direction in ("forward_rate", "backward_rate"):
            rates = [getattr(one, direction) for one in looks.values()]
            ending = rates[-1] if last else math.nan
            yield report(direction, ending, steps, rates)
            yield report(f"{direction}_error", abs(_log(ending)))
            yield report(f"initial_{direction}_error", abs(_log(rates[0])))
            if direction == "backward_rate":
                yield report("backward_rate_growth", _log(ending) - _log(rates[0]))
        by_layer = (layers, last.weight_gradient) if last else ((), ())
        yield report("gradient_norm", last.weight_gradient[0] if last else math.nan, *by_layer)
        losses = trajectory.losses[::CHECK_EVERY]
        taken = tuple(float(place * CHECK_EVERY) for place in range(len(losses)))
        yield report("steps_to_target", trajectory.reached_at, taken, losses)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _log(value: float) -> float:
    return math.log(value) if value > 0 else math.nan


WORKLOAD = Saturation()
