"""How deep the systems of each era train: on real data, in one shared budget, at each one's best learning rate."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, cast

from ics_bench.core import Axis, Case, Curve, Measurement, Metric, Profile, Workload
from ics_bench.subjects import DATASETS, INITIALIZERS
from ics_bench.workloads._eras_systems import ALEXNET_CHANNELS, CHANNELS, PERCEPTRON_WIDTH, SYSTEMS
from ics_bench.workloads._problem import load_data

if TYPE_CHECKING:
    from torch import nn

    from ics_bench.subjects.initializers import Initializer
    from ics_bench.training import Problem, Recipe
    from ics_bench.training.stack import Mode
    from ics_bench.workloads._eras_tuning import Outcomes

STEPS = 200
BATCH_SIZE = 64
TARGET = 0.8
CHECK_EVERY = 10
DIVERGENCE_FACTOR = 10.0

OPTIMIZER = "momentum"

SPACING = 0.5
"""Decades between the rates of the grid."""

RATES = tuple(10.0 ** (half_decades / 2) for half_decades in range(-6, 1))
"""Seven half-decade rates, 0.001 … 1, the same for every system."""

NAMED_RATES = {f"{rate:.3g}": rate for rate in RATES}
"""The same by what a case calls them: 0.0316 stands for 10 to the power of -1.5."""

UNTUNED = 0.3
"""Share of a case's cost that is left without tuning: 11 seeds at one rate, where three tried up to seven."""

TUNING_SEEDS = (-1, -2, -3)
"""No user's seed is negative."""

DEEP: dict[int, tuple[str, ...]] = {
    3: ("sigmoid",),
    5: ("belief", "sigmoid", "sigmoid_same_steps", "tanh_uniform"),
    7: ("belief", "sigmoid"),
    10: ("tanh_xavier", "tanh_uniform", "tanh_small", "relu", "relu_batch"),
    20: ("tanh_xavier", "tanh_uniform", "sigmoid", "relu", "relu_batch"),
    30: ("relu", "relu_batch"),
    152: ("residual_batch", "residual_none", "residual_skipinit", "residual_fixup"),
}
"""What standard adds to the nets of depth 8."""

DEEP_CONVOLUTIONS: dict[int, tuple[str, ...]] = {
    8: ("chain_none",),
    19: ("vgg_default", "vgg_he", "vgg_staged", "vgg_batch"),
    32: ("chain_batch", "chain_none"),
}
"""What full adds to them, its ladders apart."""

EVERY_RATE = ("vgg_he", "vgg_batch")
"""Of VGG-11, to see how wide the range of rates is that trains."""

LADDERS = {"tanh_xavier": 20, "tanh_uniform": 20}
FULL_LADDERS = {
    "belief": 10,
    "sigmoid": 10,
    "tanh_small": 20,
    "relu": 50,
    "relu_batch": 50,
    **dict.fromkeys(("vgg_default", "vgg_he", "vgg_staged", "vgg_batch"), 19),
    **dict.fromkeys(
        ("resnet_batch", "resnet_none", "resnet_skipinit", "resnet_fixup", "chain_batch", "chain_none"), 56
    ),
}
DEEPEST = ("resnet_batch", "resnet_none", "resnet_skipinit", "resnet_fixup", "chain_batch", "chain_none")
"""Of 152 layers, at full."""

PRETRAINING_STEPS = 300
GAUSSIAN_RATE = 0.03
BINARY_RATE = 0.3


class Eras(Workload):
    """A replica trains for 200 steps of 64 samples by SGD with momentum 0.9 at a constant rate.

    It *trains* if its accuracy on the training set, in evaluation mode, checked every ten steps, is at
    least .8 at two checks running. A system's rate at a depth is, of seven half-decade rates, the one with
    the fewest median steps on three tuning seeds; where none has a finite median, the one with the most
    successes among them, then the lowest loss at the end. A case may name one of the seven: it is then the
    system's rate, and nothing is tuned.

    With the weights as they are drawn, the *relative gradient* of a weight matrix, or of a convolution's kernel, is
    ‖∂L/∂W‖/‖W‖ on 64 samples in float64. A rate above its inverse moves the matrix by more than its own size;
    a gradient that overflows is infinite, and matrices that start at 0 are not counted.
    """

    name = "eras"
    version = 2
    summary = "how deep the systems of each era train, and how quickly, at each one's best rate"
    metrics: ClassVar = (
        Metric(
            "trained",
            "1",
            "higher",
            "seeded",
            "1 where the target is reached at the system's rate, else 0",
            smallest_effect=0.25,  # of 0 and 1: a regression takes 10 more of 16 seeds, no change at most 2
        ),
        Metric(
            "steps_to_target",
            "step",
            "lower",
            "seeded",
            "steps to the target at the system's rate; its curve is the loss",
            smallest_effect=CHECK_EVERY,
            asv_ceiling=STEPS + CHECK_EVERY,
        ),
        Metric(
            "feasible_depth",
            "layer",
            "higher",
            "seeded",
            "deepest net of the ladder that trains; 0 where none",
            smallest_effect=1,  # rungs are a layer apart at the least
        ),
        Metric(
            "rate_width",
            "decade",
            "higher",
            "seeded",
            "rates of the grid that train, times their spacing",
            smallest_effect=SPACING,
        ),
        Metric(
            "relative_gradient",
            "1",
            "neutral",
            "seeded",
            "‖∂L/∂W‖/‖W‖ as drawn, median over weight matrices; curve: by matrix",
            headline=False,
        ),
        Metric(
            "best_learning_rate",
            "1",
            "neutral",
            "seeded",
            "the system's rate: the case's, or from tuning seeds",
            headline=False,
        ),
        Metric("flops_per_step", "FLOP", "neutral", "exact", "of the matrix products of one step", headline=False),
        Metric(
            "replica_steps",
            "step",
            "neutral",
            "exact",
            "optimizer steps taken, tuning included, those before the start not",
            headline=False,
        ),
        Metric(
            "steps_before_start",
            "step",
            "neutral",
            "exact",
            "steps of pre-training that each net takes before those of the budget",
            headline=False,
        ),
        Metric("blocks", "block", "neutral", "exact", "residual blocks among the layers of depth", headline=False),
    )
    axes: ClassVar = (
        Axis(
            "system",
            "a net with its initialization and its tricks",
            ("tanh_xavier", "residual_batch"),
            tuple(name for name in SYSTEMS if not name.startswith(("resnet", "chain"))),
            choices=tuple(SYSTEMS),
        ),
        Axis("depth", "weight matrices on the longest path, output layer included", (8,), minimum=2),
        Axis("depths", "this depth alone, or the system's shallower ones too", ("one",), choices=("one", "ladder")),
        Axis(
            "rates",
            "rates that the seeds train at: the best, every one, or the one of this name",
            ("best",),
            choices=("best", "every", *NAMED_RATES),
        ),
        Axis("data", "training data", ("digits",), registry=DATASETS),
    )
    seeds: ClassVar[Mapping[Profile, int]] = {"quick": 2, "standard": 11, "full": 11}
    paired = ("system", "depths", "rates")
    recipe: ClassVar = {
        "steps": STEPS,
        "batch_size": BATCH_SIZE,
        "target": TARGET,
        "check_every": CHECK_EVERY,
        "divergence_factor": DIVERGENCE_FACTOR,
        "optimizer": OPTIMIZER,
        "perceptron_width": PERCEPTRON_WIDTH,
        "channels": CHANNELS,
        "alexnet_channels": ALEXNET_CHANNELS,
        "tuning_seeds": len(TUNING_SEEDS),
        "pretraining_steps": PRETRAINING_STEPS,
        "gaussian_rate": GAUSSIAN_RATE,
        "binary_rate": BINARY_RATE,
    }
    flush_denormal = True

    def extra_cases(self, profile: Profile) -> tuple[Case, ...]:
        """Add to the nets of depth 8 the ladders and the deep nets that the claims compare."""
        if profile == "quick":
            return ()
        wanted = [_case(system, depth) for depth, systems in DEEP.items() for system in systems]
        wanted += [_case(system, deepest, depths="ladder") for system, deepest in LADDERS.items()]
        if profile == "full":
            wanted += [_case(system, depth) for depth, systems in DEEP_CONVOLUTIONS.items() for system in systems]
            wanted += [_case(system, 11, rates="every") for system in EVERY_RATE]
            wanted += [_case(system, deepest, depths="ladder") for system, deepest in FULL_LADDERS.items()]
            wanted += [_case(system, 152) for system in DEEPEST]
        return tuple(wanted)

    def includes(self, case: Case) -> bool:
        """Leave out depths that a system's architecture does not have."""
        return SYSTEMS[case.text("system")].has_depth(case.integer("depth"))

    def skip(self, case: Case, device: str) -> str | None:
        """Leave out convolutional nets on data that are no square images."""
        del device
        if case["data"] != "digits" and SYSTEMS[case.text("system")].convolutional:
            features = load_data(case).x.shape[1]
            if math.isqrt(features) ** 2 != features:
                return f"{case['system']} takes square images, and {case['data']} has {features} features"
        return None

    def applies(self, metric: str, case: Case) -> bool:
        """Ask a feasible depth of ladders alone, and a width where every rate is trained."""
        if metric == "feasible_depth":
            return case["depths"] == "ladder"
        return metric != "rate_width" or case["rates"] == "every"

    def cost(self, case: Case) -> float:
        """Grow with the layers: a convolution costs ten matrices, a norm as much again, every rate four times one.

        Most of it is tuning, which a named rate spares.
        """
        system, depth = SYSTEMS[case.text("system")], case.integer("depth")
        layers = sum(system.ladder(depth)) if case["depths"] == "ladder" else depth
        each = (10.0 if system.convolutional else 1.0) * (2.0 if system.norm != "none" else 1.0)
        return layers * each * {"best": 1.0, "every": 4.0}.get(case.text("rates"), UNTUNED)

    def measure(self, case: Case, seeds: Sequence[int], device: str) -> Iterator[Measurement]:
        """Tune the rate at each depth on seeds of its own, unless the case names it, then train the seeds."""
        from ics_bench.subjects.model import residual_blocks
        from ics_bench.workloads._eras_start import flops_per_step, relative_gradients

        system, deepest = SYSTEMS[case.text("system")], case.integer("depth")
        depths = system.ladder(deepest) if case["depths"] == "ladder" else (deepest,)
        found = {depth: self._at_depth(Case.of({**case, "depth": depth}), seeds, device) for depth in depths}
        last = found[deepest]
        spent = sum(outcomes.replica_steps for outcomes in found.values())
        drawn = self.drawn(case, device)
        flops = flops_per_step(drawn, BATCH_SIZE, TUNING_SEEDS[0])
        yield self.measurement(case, None, "best_learning_rate", last.rate, warnings=last.warnings)
        yield self.measurement(case, None, "flops_per_step", flops)
        yield self.measurement(case, None, "replica_steps", spent)
        yield self.measurement(case, None, "steps_before_start", self.steps_before_start(case))
        yield self.measurement(case, None, "blocks", residual_blocks(drawn.build(TUNING_SEEDS[0])))
        for seed in seeds:
            ratios = relative_gradients(drawn, BATCH_SIZE, seed)
            by_matrix = Curve(tuple(map(float, range(1, len(ratios) + 1))), ratios, "matrix")
            yield self.measurement(case, seed, "relative_gradient", statistics.median(ratios), by_matrix)
            best = last.at(last.rate, seed)
            losses = best.losses[::CHECK_EVERY]
            curve = Curve(tuple(float(i * CHECK_EVERY) for i in range(len(losses))), tuple(losses), "step")
            yield self.measurement(case, seed, "trained", best.reached, warnings=last.warnings)
            yield self.measurement(case, seed, "steps_to_target", best.reached_at, curve, last.warnings)
            if case["rates"] == "every":
                trains = tuple(float(last.at(rate, seed).reached) for rate in RATES)
                width = Curve(RATES, trains, "learning_rate")
                yield self.measurement(case, seed, "rate_width", SPACING * sum(trains), width)
            if case["depths"] == "ladder":
                trains = tuple(float(found[depth].at(found[depth].rate, seed).reached) for depth in depths)
                feasible = max((depth for depth, success in zip(depths, trains, strict=True) if success), default=0)
                by_depth = Curve(tuple(map(float, depths)), trains, "depth")
                yield self.measurement(case, seed, "feasible_depth", feasible, by_depth)

    def _at_depth(self, case: Case, seeds: Sequence[int], device: str) -> Outcomes:
        """Train one depth: the rate on tuning seeds, then the seeds."""
        from ics_bench.training import Trainer
        from ics_bench.workloads._eras_tuning import outcomes_at, outcomes_of

        system, named = SYSTEMS[case.text("system")], NAMED_RATES.get(case.text("rates"))
        mode: Mode | None = "vmap" if system.runs_together else None
        started = tuple(seeds) if named else (*TUNING_SEEDS, *seeds)
        trainer = Trainer(self.problem(case, started, device), self.budget(case), mode=mode)
        if named:
            return outcomes_at(trainer, seeds, named)
        return outcomes_of(trainer, seeds, TUNING_SEEDS, RATES, every=case["rates"] == "every")

    def budget(self, case: Case) -> Recipe:
        """Return the supervised budget, the same for every system but the one that is given pre-training's steps."""
        from ics_bench.training import Recipe

        extra = (case.integer("depth") - 1) * PRETRAINING_STEPS if SYSTEMS[case.text("system")].same_steps else 0
        return Recipe(STEPS + extra, BATCH_SIZE, TARGET, OPTIMIZER, CHECK_EVERY, DIVERGENCE_FACTOR)

    def steps_before_start(self, case: Case) -> int:
        """Count the steps of pre-training of one net: of each Boltzmann machine, or of the shallow net."""
        system, depth = SYSTEMS[case.text("system")], case.integer("depth")
        if system.start == "boltzmann":
            return (depth - 1) * PRETRAINING_STEPS
        return STEPS if system.start == "staged" and depth > system.depths[0] else 0

    def problem(self, case: Case, seeds: Sequence[int], device: str) -> Problem:
        """Build the training problem of a system at a depth, its start for ``seeds`` included."""
        from ics_bench.training import Trainer
        from ics_bench.workloads._eras_start import Pretraining, pretrain_greedily, start_staged
        from ics_bench.workloads._eras_tuning import tune

        system, drawn = SYSTEMS[case.text("system")], self.drawn(case, device)
        if system.start == "boltzmann":
            pretraining = Pretraining(PRETRAINING_STEPS, BATCH_SIZE, GAUSSIAN_RATE, BINARY_RATE)
            return replace(drawn, build=pretrain_greedily(drawn, seeds, pretraining).__getitem__)
        if system.start == "staged" and case.integer("depth") > system.depths[0]:
            shallow = self.drawn(Case.of({**case, "depth": system.depths[0]}), device)
            recipe = self.budget(case)
            rate = NAMED_RATES.get(case.text("rates"))
            if rate is None:
                rate, _, _ = tune(Trainer(shallow, recipe, mode="vmap"), TUNING_SEEDS, RATES)
            return replace(drawn, build=start_staged(shallow, drawn, recipe, seeds, rate).__getitem__)
        return drawn

    def drawn(self, case: Case, device: str) -> Problem:
        """Build the training problem of a system at a depth, from the weights that its initializer draws."""
        import torch

        from ics_bench.subjects.model import build_model
        from ics_bench.subjects.norm import load_norm
        from ics_bench.training import Problem

        system, data = SYSTEMS[case.text("system")], load_data(case)
        initialize = cast("Initializer", INITIALIZERS.load(system.init))
        norm_layer = load_norm(system.norm).build

        def build(seed: int) -> nn.Module:
            return build_model(
                system.architecture,
                in_features=data.x.shape[1],
                num_classes=data.num_classes,
                depth=case.integer("depth"),
                width=system.width,
                norm_layer=norm_layer,
                initialize=initialize,
                generator=torch.Generator().manual_seed(self.seed_for(case, seed, "weights")),
                **system.options,
            )

        return Problem(data.x.to(device), data.y.to(device), build, lambda seed: self.seed_for(case, seed, "order"))


def _case(system: str, depth: int, depths: str = "one", rates: str = "best") -> Case:
    return Case.of(system=system, depth=depth, depths=depths, rates=rates, data="digits")


WORKLOAD = Eras()
