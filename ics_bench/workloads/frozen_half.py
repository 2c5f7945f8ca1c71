"""How fast the upper half of a net learns on a lower half that moves, and on one that stands still."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from ics_bench.core import Axis, Case, Curve, Measurement, Metric, Profile, Workload
from ics_bench.subjects import ARCHITECTURES, DATASETS, INITIALIZERS, NORMS, OPTIMIZERS
from ics_bench.workloads._problem import no_positions, not_taken, problem_of

if TYPE_CHECKING:
    import torch
    from torch import nn

    from ics_bench.training import Observation, Problem, Recipe, Replica

STEPS = 200
TARGET = 0.9
CHECK_EVERY = 2
DIVERGENCE_FACTOR = 10.0
MOVING, FROZEN = "moving", "frozen"


class FrozenHalf(Workload):
    """Steps to target of the upper layers, from their initial weights, on lower layers of four kinds.

    The lower layers start from their initial weights, or from those that the whole net has after some
    steps of training in another order of the data (*pretraining*); from there they train along or
    stand still. The upper layers start from the same initial weights in every arm. A replica reaches
    the target when its accuracy on the training set, in evaluation mode, checked every other step, is
    at least .9 at two checks running.
    """

    name = "frozen_half"
    version = 1
    summary = "steps to target of the upper half on a moving and on a frozen lower half"
    metrics: ClassVar = (
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
    )
    axes: ClassVar = (
        Axis("architecture", "plain or residual perceptron", ("plain",), registry=ARCHITECTURES),
        Axis("depth", "weight matrices, output layer included", (4,), (10,), (10, 20), minimum=3),
        Axis("norm", "normalization layer", ("none",), ("none", "batch"), registry=NORMS),
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
        Axis("learning_rate", "constant rate", (0.1,), (0.03,), (0.01, 0.03, 0.1), minimum=1e-9),
        Axis("lower_layers", "layers that make up the lower part", (2,), (5,), minimum=0),
        Axis("lower", "what the lower part does", (MOVING, FROZEN), choices=(MOVING, FROZEN)),
        Axis("pretraining", "steps that the lower part has been trained for", (0, 50), (0, 200), minimum=0),
    )
    seeds: ClassVar[Mapping[Profile, int]] = {"quick": 2, "standard": 11, "full": 21}
    paired = ("norm", "norm_position", "optimizer", "learning_rate", "lower_layers", "lower", "pretraining")
    recipe: ClassVar = {
        "steps": STEPS,
        "target": TARGET,
        "check_every": CHECK_EVERY,
        "divergence_factor": DIVERGENCE_FACTOR,
    }
    flush_denormal = True

    def extra_cases(self, profile: Profile) -> tuple[Case, ...]:
        """At standard: no lower layers, other draws, and a rate at which trained features leave steps to count."""
        if profile != "standard":
            return ()
        base = {**self.cases("quick")[0], "depth": 10, "learning_rate": 0.03, "lower_layers": 5}
        slow = {"learning_rate": 0.01, "pretraining": 200}
        return (
            Case.of({**base, "lower_layers": 0, "lower": FROZEN, "pretraining": 0}),
            Case.of({**base, "width": 65, "lower": MOVING, "pretraining": 0}),
            *(Case.of({**base, **slow, "lower": lower}) for lower in (MOVING, FROZEN)),
        )

    def cost(self, case: Case) -> float:
        """Grow with depth and with pretraining."""
        return case.integer("depth") * (STEPS + case.integer("pretraining"))

    def includes(self, case: Case) -> bool:
        """Leave something above the lower part."""
        return case.integer("lower_layers") < case.integer("depth")

    def skip(self, case: Case, device: str) -> str | None:
        """Leave out norms that average over positions, which a perceptron has not."""
        del device
        return no_positions(self, case)

    def measure(self, case: Case, seeds: Sequence[int], device: str) -> Iterator[Measurement]:
        """Pretrain where asked, put the halves together, and train all seeds."""
        from ics_bench.training import Recipe, Replica, Trainer

        recipe = Recipe(
            steps=STEPS,
            batch_size=case.integer("batch_size"),
            target=TARGET,
            optimizer=case.text("optimizer"),
            check_every=CHECK_EVERY,
            divergence_factor=DIVERGENCE_FACTOR,
        )
        whole = problem_of(self, case, device)
        replicas = [Replica(float(case["learning_rate"]), seed) for seed in seeds]
        trained_before = self._pretrain(case, whole, recipe, replicas)
        lost = {seed for seed in seeds if case.integer("pretraining") and seed not in trained_before}
        trainer = Trainer(_assembled(case, whole, trained_before), recipe)
        together = [replica for replica in replicas if replica.seed not in lost]
        trained = {t.replica.seed: t for t in trainer.train(together)}
        warnings = [*trainer.warnings, *not_taken(case)]
        for seed in seeds:
            if seed in lost:
                found = [*warnings, "diverged in pretraining"]
                yield self.measurement(case, seed, "steps_to_target", math.inf, warnings=found)
                yield self.measurement(case, seed, "reached", 0.0, warnings=found)
                continue
            losses = trained[seed].losses
            curve = Curve(tuple(map(float, range(0, len(losses), CHECK_EVERY))), tuple(losses[::CHECK_EVERY]), "step")
            yield self.measurement(case, seed, "steps_to_target", trained[seed].reached_at, curve, warnings)
            yield self.measurement(case, seed, "reached", trained[seed].reached, warnings=warnings)

    def _pretrain(
        self, case: Case, problem: Problem, recipe: Recipe, replicas: Sequence[Replica]
    ) -> dict[int, dict[str, torch.Tensor]]:
        """States by seed of whole nets after pretraining; of those that did not diverge."""
        import dataclasses

        from ics_bench.training import Trainer

        steps = case.integer("pretraining")
        if not steps:
            return {}
        states: dict[int, dict[str, torch.Tensor]] = {}

        def keep(observation: Observation) -> None:
            state = observation.module.state_dict()
            states[observation.replica.seed] = {name: value.detach().cpu().clone() for name, value in state.items()}

        other_order = dataclasses.replace(problem, order_seed=lambda seed: self.seed_for(case, seed, "pretraining"))
        unchecked = dataclasses.replace(recipe, steps=steps, check_every=steps + 1)
        Trainer(other_order, unchecked).train(replicas, observe=keep, observe_at=(steps,))
        return states


def _assembled(case: Case, problem: Problem, trained: Mapping[int, Mapping[str, torch.Tensor]]) -> Problem:
    """Give nets their lower layers as they come from pretraining, frozen or not."""
    import dataclasses

    build: Callable[[int], nn.Module] = problem.build

    def assemble(seed: int) -> nn.Module:
        module = build(seed)
        lower = lower_names(module, case.integer("lower_layers"))
        if seed in trained:
            module.load_state_dict({name: trained[seed][name] for name in lower}, strict=False)
        if case["lower"] == FROZEN:
            for name, parameter in module.named_parameters():
                parameter.requires_grad_(name not in lower)
        return module

    return dataclasses.replace(problem, build=assemble)


def lower_names(module: nn.Module, count: int) -> frozenset[str]:
    """Names of the parameters and buffers that stand before layer ``count``, counted from 0."""
    from ics_bench.probes.layers import layers_of

    names = list(module.state_dict())
    return frozenset(names[: names.index(layers_of(module)[count].parameters[0])])


WORKLOAD = FrozenHalf()
