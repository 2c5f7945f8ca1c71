"""Where a norm stands: beside the activation, in a residual branch or behind the addition."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from ics_bench.core import Axis, Case, Curve, Measurement, Metric, Profile, Workload
from ics_bench.subjects import ARCHITECTURES, DATASETS, INITIALIZERS, NORMS, OPTIMIZERS
from ics_bench.workloads._problem import load_data, no_positions, not_taken, problem_of

if TYPE_CHECKING:
    from ics_bench.training import Problem, Trajectory

STEPS = 200
TARGET = 0.9
CHECK_EVERY = 10
DIVERGENCE_FACTOR = 10.0
TRACED = 4
"""Samples of the batch on which the order is read off."""

CONVOLUTIONAL = ("cnn", "resnet", "resnet_plain", "resnet_post", "vgg")
SKIPPING = ("residual", "residual_post", "resnet", "resnet_post")


class Placement(Workload):
    """The same weights and norms in another order, trained alike.

    A replica trains for 200 steps whether or not it reaches the target, an accuracy of .9 on the training
    set, in evaluation mode, at two checks of every ten steps running. Then its accuracy on the test set is
    taken; a replica that diverged has none, which is worse than any.

    The order itself is read off the running model: which layers a residual addition takes its operands from,
    and which take the sum.
    """

    name = "placement"
    version = 1
    summary = "accuracy and speed of one net with its norms at different places, and the order as traced"
    metrics: ClassVar = (
        Metric(
            "test_accuracy",
            "1",
            "higher",
            "seeded",
            "after 200 steps; -inf where training diverged",
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
        Metric("reached", "1", "higher", "seeded", "1 where the target was reached, else 0", headline=False),
        Metric("diverged", "1", "lower", "seeded", "1 where the loss diverged, else 0", headline=False),
        Metric(
            "normalized_after_addition",
            "1",
            "neutral",
            "exact",
            "share of residual additions whose sum goes into a norm and nowhere else",
            headline=False,
        ),
        Metric(
            "normalized_before_addition",
            "1",
            "neutral",
            "exact",
            "share of residual additions with an operand straight out of a norm",
            headline=False,
        ),
        Metric("blocks", "block", "neutral", "exact", "residual blocks among the layers of depth", headline=False),
    )
    axes: ClassVar = (
        Axis("architecture", "model", ("plain", "residual_post"), ("plain",), registry=ARCHITECTURES),
        Axis("depth", "weight matrices, output layer included", (5,), (5, 20), (5, 10, 20, 50), minimum=2),
        Axis("norm", "normalization layer", ("batch",), registry=NORMS),
        Axis(
            "norm_position",
            "side of the activation on which the norm stands",
            ("before", "after"),
            choices=("before", "after"),
        ),
        Axis("learning_rate", "constant rate", (0.1,), (0.03, 0.1), (0.01, 0.03, 0.1, 0.3), minimum=1e-9),
        Axis("optimizer", "update rule", ("sgd",), registry=OPTIMIZERS),
        Axis("init", "weight initializer", ("he",), registry=INITIALIZERS),
        Axis("width", "features or channels of a hidden layer", (64,), minimum=1),
        Axis("batch_size", "samples a step", (128,), minimum=2),
        Axis("data", "training data", ("digits",), registry=DATASETS),
    )
    seeds: ClassVar[Mapping[Profile, int]] = {"quick": 2, "standard": 11, "full": 21}
    paired = ("architecture", "norm", "norm_position", "optimizer", "learning_rate")
    recipe: ClassVar = {
        "steps": STEPS,
        "target": TARGET,
        "check_every": CHECK_EVERY,
        "divergence_factor": DIVERGENCE_FACTOR,
    }
    flush_denormal = True

    def extra_cases(self, profile: Profile) -> tuple[Case, ...]:
        """Beyond the quick profile: nets without batch norm, and residual nets, whose additions are traced."""
        if profile == "quick":
            return ()
        base = self.cases("quick")[0]
        found = [
            Case.of({**base, "norm": norm, "norm_position": position})
            for norm in ("none", "layer")
            for position in ("before", "after")
        ]
        found.append(Case.of({**base, "width": 65}))  # other draws of nearly the same net
        small = {"depth": 8, "width": 8, "batch_size": 32}
        for names, size in ((("residual", "residual_post"), {}), (("resnet", "resnet_post"), small)):
            found += [Case.of({**base, "architecture": name, **size}) for name in names]
        return tuple(found)

    def cost(self, case: Case) -> float:
        """Grow with depth; a convolution costs many times what a linear layer does."""
        return case.integer("depth") * (20.0 if case["architecture"] in CONVOLUTIONAL else 1.0)

    def skip(self, case: Case, device: str) -> str | None:
        """Leave out norms that average over positions where a perceptron has none."""
        del device
        return no_positions(self, case)

    def applies(self, metric: str, case: Case) -> bool:
        """Leave the order out where a net has no additions."""
        return not metric.endswith("_addition") or case["architecture"] in SKIPPING

    def measure(self, case: Case, seeds: Sequence[int], device: str) -> Iterator[Measurement]:
        """Train all seeds together, test those that are left at the end, and trace the order once."""
        import torch

        from ics_bench.probes.additions import additions, normalized_after, normalized_before
        from ics_bench.subjects.model import residual_blocks
        from ics_bench.subjects.norm import load_norm
        from ics_bench.training import Observation, Recipe, Replica, Trainer
        from ics_bench.workloads._layer_kinds import kind_of

        data, problem = load_data(case), self.problem(case, device)
        x_test, y_test = data.x_test.to(device), data.y_test.to(device)
        recipe = Recipe(
            steps=STEPS,
            batch_size=case.integer("batch_size"),
            target=TARGET,
            optimizer=case.text("optimizer"),
            check_every=CHECK_EVERY,
            divergence_factor=DIVERGENCE_FACTOR,
        )
        accuracy: dict[int, float] = {}

        def test(seen: Observation) -> None:
            with torch.no_grad():
                answers = seen.module.eval()(x_test).argmax(dim=-1)
            accuracy[seen.replica.seed] = float((answers == y_test).double().mean())

        trainer = Trainer(problem, recipe)
        rate = float(case["learning_rate"])
        trained = trainer.train([Replica(rate, seed) for seed in seeds], observe=test, observe_at=(STEPS,))
        warnings = (*trainer.warnings, *not_taken(case))
        for trajectory in trained:
            yield from self._report(case, trajectory, accuracy, warnings)
        norm_layer = load_norm(case.text("norm")).build
        model = problem.build(0).to(device)
        yield self.measurement(case, None, "blocks", residual_blocks(model))
        found = additions(model, problem.x[:TRACED], kind_of(norm_layer))
        if found:
            yield self.measurement(case, None, "normalized_after_addition", normalized_after(found))
            yield self.measurement(case, None, "normalized_before_addition", normalized_before(found))

    def problem(self, case: Case, device: str) -> Problem:
        """Build the training problem of a case."""
        return problem_of(self, case, device)

    def _report(
        self, case: Case, trajectory: Trajectory, accuracy: Mapping[int, float], warnings: Sequence[str]
    ) -> Iterator[Measurement]:
        seed, losses = trajectory.replica.seed, trajectory.losses
        curve = Curve(tuple(map(float, range(0, len(losses), CHECK_EVERY))), tuple(losses[::CHECK_EVERY]), "step")
        yield self.measurement(case, seed, "test_accuracy", accuracy.get(seed, -math.inf), warnings=warnings)
        yield self.measurement(case, seed, "steps_to_target", trajectory.reached_at, curve, warnings)
        yield self.measurement(case, seed, "reached", trajectory.reached, warnings=warnings)
        yield self.measurement(case, seed, "diverged", trajectory.diverged, warnings=warnings)


WORKLOAD = Placement()
