"""How large a learning rate may be: without divergence, and with success, by depth, norm and architecture."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from ics_bench.core import Axis, Case, Curve, Measurement, Metric, Profile, Workload
from ics_bench.subjects import ARCHITECTURES, DATASETS, INITIALIZERS, NORMS, OPTIMIZERS
from ics_bench.workloads._problem import no_positions, not_taken, problem_of

if TYPE_CHECKING:
    from ics_bench.training import Problem
    from ics_bench.training.ceilings import Ceiling, CeilingSearch, Question, TrainReplicas

STEPS = 200
BATCH_SIZE = 128
TARGET = 0.9
CHECK_EVERY = 10
DIVERGENCE_FACTOR = 10.0
BISECTIONS = 3

GRID_STEP = 10.0 ** (0.5 / 2**BISECTIONS)
"""Factor between two ceilings that the search tells apart."""

FEASIBLE_FROM = 10.0**-1.5
"""Lowest rate at which the budget is enough for nets of depth 5, with a norm or without: they take 60 to 90 steps
there, and at 0.01 up to 250. A net that no rate trains may train at a lower one, given more steps."""

TUNING_SEEDS = (-1, -2, -3)
"""Seeds that the best rate is chosen on. No user's seed is negative."""


class LearningRateCeiling(Workload):
    """Ceilings on thirteen half-decade rates, 1e-5 … 10, by majority of seeds, then bisected three times.

    A replica trains for 200 steps of 128 samples. It *diverges* when its loss is not finite or exceeds
    ten times the initial one; it *reaches the target* when its accuracy on the training set, in
    evaluation mode, checked every ten steps, is at least .9 at two checks running.

    A seed's *own* ceiling lies between its ``own_*_ceiling``, the highest rate that succeeds, and its ``own_*_bound``,
    the next one, which fails: both by a search of the seed's own, down the grid to its first success and then by
    bisection. Where the top of the grid succeeds the bound is infinite. Where no rate trains the ceiling is 0 and the
    bound the lowest rate at which that was not the budget's doing, .03.
    """

    name = "lr_ceiling"
    version = 2
    summary = "largest stable and trainable learning rate, and steps to target at the best one"
    metrics: ClassVar = (
        Metric(
            "stable_ceiling",
            "1",
            "higher",
            "seeded",
            "largest rate that does not diverge",
            smallest_ratio=GRID_STEP,
            of_each_seed="own_stable_ceiling",
        ),
        Metric(
            "trainable_ceiling",
            "1",
            "higher",
            "seeded",
            "largest rate that reaches the target",
            smallest_ratio=GRID_STEP,
            of_each_seed="own_trainable_ceiling",
        ),
        Metric("best_learning_rate", "1", "neutral", "seeded", "rate with the fewest steps on tuning seeds"),
        Metric(
            "steps_to_target",
            "step",
            "lower",
            "seeded",
            "steps to the target at the best rate; its curve is the loss",
            smallest_effect=CHECK_EVERY,
            asv_ceiling=STEPS + CHECK_EVERY,
        ),
        Metric("outcome_stable", "1", "neutral", "seeded", "share of the tested rates that are stable", headline=False),
        Metric("outcome_trainable", "1", "neutral", "seeded", "share of the tested rates that train", headline=False),
        Metric("own_stable_ceiling", "1", "higher", "seeded", "highest rate stable for this seed", headline=False),
        Metric("own_trainable_ceiling", "1", "higher", "seeded", "highest rate that trains this seed", headline=False),
        Metric("own_stable_bound", "1", "higher", "seeded", "next rate, which is not stable for this seed", False),
        Metric("own_trainable_bound", "1", "higher", "seeded", "next rate, which does not train this seed", False),
        Metric("blocks", "block", "neutral", "exact", "residual blocks among the layers of depth", headline=False),
        Metric("replica_steps", "step", "neutral", "exact", "optimizer steps that the search took", headline=False),
    )
    axes: ClassVar = (
        Axis(
            "architecture",
            "plain or residual perceptron, or a model of your own",
            ("plain",),
            ("plain", "residual"),
            registry=ARCHITECTURES,
        ),
        Axis("depth", "weight matrices, output layer included", (5,), (5, 10, 20), (2, 5, 10, 20, 50, 100), minimum=2),
        Axis(
            "norm",
            "normalization layer",
            ("none", "batch"),
            ("none", "batch", "layer"),
            ("none", "batch", "layer", "rms", "group"),
            registry=NORMS,
        ),
        Axis(
            "norm_position",
            "side of the activation on which the norm stands",
            ("before",),
            (),
            ("before", "after"),
            choices=("before", "after"),
        ),
        Axis("optimizer", "update rule", ("sgd",), (), ("sgd", "momentum", "adam"), registry=OPTIMIZERS),
        Axis("init", "weight initializer", ("he",), registry=INITIALIZERS),
        Axis("width", "features of a hidden layer", (64,), minimum=1),
        Axis("data", "training data", ("digits",), registry=DATASETS),
    )
    seeds: ClassVar[Mapping[Profile, int]] = {"quick": 3, "standard": 11, "full": 21}
    paired = ("norm", "norm_position", "optimizer")
    recipe: ClassVar = {
        "steps": STEPS,
        "batch_size": BATCH_SIZE,
        "target": TARGET,
        "check_every": CHECK_EVERY,
        "divergence_factor": DIVERGENCE_FACTOR,
        "bisections": BISECTIONS,
        "feasible_from": FEASIBLE_FROM,
        "tuning_seeds": len(TUNING_SEEDS),
    }
    flush_denormal = True

    def extra_cases(self, profile: Profile) -> tuple[Case, ...]:
        """At standard, other norms, optimizers, initializers and data, and batch norm after the activation."""
        if profile != "standard":
            return ()
        base = Case.of({**self.cases("quick")[0], "depth": 10})
        norms = [
            {"norm": norm, "architecture": architecture}
            for norm in ("rms", "group")
            for architecture in ("plain", "residual")
        ]
        optimizers = [
            {"norm": norm, "optimizer": optimizer}
            for optimizer in ("momentum", "adam")
            for norm in ("none", "batch", "layer")
        ]
        inits = [{"norm": norm, "init": "xavier"} for norm in ("none", "batch", "layer")]
        after = Case.of({**base, "norm": "batch", "norm_position": "after"})
        return (
            *(Case.of({**base, **changes}) for changes in (*norms, *optimizers, *inits)),
            *(Case.of({**after, "depth": depth}) for depth in (5, 20)),
            *(Case.of({**base, "depth": 5, "norm": norm, "data": "breast_cancer"}) for norm in ("none", "batch")),
        )

    def includes(self, case: Case) -> bool:
        """Leave out residual nets of two matrices: stem and head have no block between them."""
        return case["architecture"] != "residual" or case.integer("depth") > 2

    def cost(self, case: Case) -> float:
        """Grow with depth; a norm costs about as much as its linear layer."""
        return case.integer("depth") * (1.0 if case["norm"] == "none" else 2.0)

    def skip(self, case: Case, device: str) -> str | None:
        """Leave out norms that average over positions, which a perceptron has not."""
        del device
        return no_positions(self, case)

    def measure(self, case: Case, seeds: Sequence[int], device: str) -> Iterator[Measurement]:
        """Search the ceilings on the seeds, tune the rate on others, and score it on the seeds."""
        from ics_bench.subjects.model import residual_blocks
        from ics_bench.training import Recipe, Trainer
        from ics_bench.training.ceilings import QUESTIONS, CeilingSearch

        problem = self.problem(case, device)
        recipe = Recipe(STEPS, BATCH_SIZE, TARGET, case.text("optimizer"), CHECK_EVERY, DIVERGENCE_FACTOR)

        trainer = Trainer(problem, recipe)
        search = CeilingSearch(trainer.train, seeds, STEPS)
        ceilings = search.run(BISECTIONS)
        warnings = [*trainer.warnings, *not_taken(case)]
        for question in QUESTIONS:
            yield self._ceiling(case, search, question, ceilings[question], warnings)
            yield from self._outcomes(case, search, question)
        for question, own in search.run_own(BISECTIONS).items():
            for seed, found in own.items():
                yield self.measurement(case, seed, f"own_{question}_ceiling", found.low)
                bound = FEASIBLE_FROM if question == "trainable" and not found.low else found.high
                yield self.measurement(case, seed, f"own_{question}_bound", bound)
        yield self.measurement(case, None, "replica_steps", search.steps_taken)
        yield self.measurement(case, None, "blocks", residual_blocks(problem.build(0)))
        yield from self._best(case, search, trainer.train, warnings)

    def problem(self, case: Case, device: str) -> Problem:
        """Build the training problem of a case: its data, its model by seed, its order by seed."""
        return problem_of(self, case, device)

    def _ceiling(
        self, case: Case, search: CeilingSearch, question: Question, ceiling: Ceiling, warnings: Sequence[str]
    ) -> Measurement:
        rates = search.tested(question)
        shares = [_share(search.outcomes(rate, question)) for rate in rates]
        found = list(warnings)
        if ceiling.censored:
            found.append(f"censored: the top of the grid succeeds, so the ceiling is at least {ceiling.value:g}")
        elif ceiling.value == 0:
            found.append(f"no rate of the grid is {question} for a majority of the seeds")
        curve = Curve(tuple(rates), tuple(shares), "learning_rate")
        return self.measurement(case, None, f"{question}_ceiling", ceiling.value, curve, found)

    def _outcomes(self, case: Case, search: CeilingSearch, question: Question) -> Iterator[Measurement]:
        rates = search.tested(question)
        table = [search.outcomes(rate, question) for rate in rates]
        for place, seed in enumerate(search.seeds):
            succeeded = [float(bool(row[place])) for row in table]
            curve = Curve(tuple(rates), tuple(succeeded), "learning_rate")
            yield self.measurement(case, seed, f"outcome_{question}", sum(succeeded) / len(succeeded), curve)

    def _best(
        self, case: Case, search: CeilingSearch, train_replicas: TrainReplicas, warnings: Sequence[str]
    ) -> Iterator[Measurement]:
        from ics_bench.training import Replica
        from ics_bench.training.ceilings import best_rate

        best = best_rate(train_replicas, TUNING_SEEDS, STEPS, CHECK_EVERY, search.grid)
        found = list(warnings) if best else [*warnings, "no rate reaches the target for a majority of the tuning seeds"]
        yield self.measurement(case, None, "best_learning_rate", best, warnings=found)
        if not best:
            for seed in search.seeds:
                yield self.measurement(case, seed, "steps_to_target", math.inf, warnings=found)
            return
        known = [search.trajectories.get(Replica(best, seed)) for seed in search.seeds]
        if any(t is None or t.cancelled for t in known):
            known = list(train_replicas([Replica(best, seed) for seed in search.seeds], None))
        for trajectory in known:
            assert trajectory is not None
            losses = trajectory.losses[::CHECK_EVERY]
            curve = Curve(tuple(float(i * CHECK_EVERY) for i in range(len(losses))), tuple(losses), "step")
            yield self.measurement(
                case, trajectory.replica.seed, "steps_to_target", trajectory.reached_at, curve, warnings
            )


def _share(outcomes: Sequence[bool | None]) -> float:
    return sum(o is True for o in outcomes) / len(outcomes)


WORKLOAD = LearningRateCeiling()
