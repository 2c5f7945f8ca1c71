"""Which norm suits which data: accuracy by norm, batch size and architecture, and what evaluation mode changes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from ics_bench.core import Axis, Case, Curve, Measurement, Metric, Profile, Scalar, Workload
from ics_bench.subjects import ARCHITECTURES, DATASETS, INITIALIZERS, NORMS, OPTIMIZERS
from ics_bench.workloads._problem import load_data, no_positions, not_taken, problem_of

if TYPE_CHECKING:
    from ics_bench.training import Trajectory

RATE_PER_SAMPLE = 0.1 / 32
"""Rates grow with the batch, so that a sample moves the weights as much in any batch (Wu & He 2018, section 4.1)."""

CURVE_POINTS = 32
"""Parts of a run over which losses are averaged for the curve."""

PERCEPTRON: dict[str, Scalar] = {"architecture": "plain", "depth": 5, "width": 64, "data": "digits"}
CONVOLUTIONAL: dict[str, Scalar] = {"architecture": "cnn", "depth": 4, "width": 8, "data": "digits"}
TRANSFORMER: dict[str, Scalar] = {
    "architecture": "transformer_pre",
    "depth": 10,
    "width": 32,
    "data": "shift_copy",
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "batch_size": 32,
    "samples": 6400,
}
SHARED: dict[str, Scalar] = {"optimizer": "sgd", "init": "he", "samples": 4096}

PER_SAMPLE = ("none", "layer", "group")
OTHER_NORMS = ("rms", "ghost_batch", "batch_renorm", "dyt", "derf", "local_response")
OF_WEIGHTS = ("weight_norm", "weight_standardization", "spectral")


class NormFit(Workload):
    """Train on a fixed number of samples, then test in evaluation mode and in training mode.

    In training mode, held-out samples go through the net in whole batches of the training's size, so that
    norms of the batch use the batch's statistics. Both modes see the same samples and weights; their
    difference is what running statistics change. A replica fails, with accuracy 0, if its loss is not
    finite. A loss ten times the first is no failure here: that of one or two samples varies by more.
    """

    name = "norm_fit"
    version = 1
    summary = "test accuracy by norm, batch size and architecture, in evaluation and in training mode"
    metrics: ClassVar = (
        Metric(
            "test_accuracy",
            "1",
            "higher",
            "seeded",
            "on held-out samples, evaluation mode; curve: the training loss",
            smallest_effect=0.02,
        ),
        Metric("train_eval_gap", "1", "neutral", "seeded", "accuracy in training mode minus evaluation mode"),
        Metric(
            "train_eval_difference",
            "1",
            "lower",
            "seeded",
            "size of that gap",
            headline=False,
            smallest_effect=0.02,
        ),
        Metric(
            "train_mode_accuracy",
            "1",
            "higher",
            "seeded",
            "on the same samples, training mode",
            headline=False,
            smallest_effect=0.02,
        ),
    )
    axes: ClassVar = (
        Axis("architecture", "model", ("plain",), registry=ARCHITECTURES),
        Axis("depth", "weight matrices, output layer included", (5,), minimum=2),
        Axis("width", "features or channels of a hidden layer", (64,), minimum=1),
        Axis("norm", "normalization layer", ("batch", "layer"), registry=NORMS),
        Axis("batch_size", "samples a step", (8,), minimum=1),
        Axis("learning_rate", "constant rate", (8 * RATE_PER_SAMPLE,), minimum=1e-9),
        Axis("samples", "samples seen in training, repetitions included", (4096,), minimum=1),
        Axis("optimizer", "update rule", ("sgd",), registry=OPTIMIZERS),
        Axis("init", "weight initializer", ("he",), registry=INITIALIZERS),
        Axis("data", "training data", ("digits",), registry=DATASETS),
    )
    seeds: ClassVar[Mapping[Profile, int]] = {"quick": 3, "standard": 13, "full": 21}
    paired = ("norm", "learning_rate")
    recipe: ClassVar = {"divergence": "a loss that is not finite"}
    flush_denormal = True

    def extra_cases(self, profile: Profile) -> tuple[Case, ...]:
        """List the pairings of norm, batch size and architecture; a full grid would hold mostly nets of no interest."""
        if profile == "quick":
            return ()
        cases = [
            _case(PERCEPTRON, norm=norm, batch_size=batch_size)
            for batch_size in (2, 8, 32, 128)
            for norm in ("batch", *PER_SAMPLE)
        ]
        cases += [_case(CONVOLUTIONAL, norm=norm, batch_size=2) for norm in ("batch", "group")]
        cases += [_case(CONVOLUTIONAL, norm=norm, batch_size=128, samples=8192) for norm in ("batch", "group", "layer")]
        styles: dict[str, Scalar] = {"data": "digits_styles", "batch_size": 32, "samples": 8192}
        cases += [_case(CONVOLUTIONAL, norm=norm, **styles) for norm in ("batch", "instance")]
        cases += [_case(TRANSFORMER, norm=norm) for norm in ("batch", "layer")]
        if profile == "full":
            everything: tuple[str, ...] = ("batch", *PER_SAMPLE, *OTHER_NORMS, *OF_WEIGHTS)
            sizes = (1, 2, 4, 8, 16, 32, 64, 128)
            cases += [_case(PERCEPTRON, norm=norm, batch_size=size) for norm in everything for size in sizes]
            cases += [_case(TRANSFORMER, norm=norm) for norm in everything]
            everything = ("instance", *everything)
            cases += [_case(CONVOLUTIONAL, norm=norm, batch_size=size) for norm in everything for size in sizes]
            cases += [_case(CONVOLUTIONAL, norm=norm, **styles) for norm in everything]
        return tuple(dict.fromkeys(cases))

    def cost(self, case: Case) -> float:
        """Grow with steps and depth."""
        return case.integer("depth") * (100 + case.integer("samples") / case.integer("batch_size"))

    def skip(self, case: Case, device: str) -> str | None:
        """Leave out norms that average over positions in nets without, and those that find one value to average."""
        del device
        import torch

        from ics_bench.subjects.norm import load_norm

        if reason := no_positions(self, case):
            return reason
        if load_norm(case.text("norm")).uses_batch and case["batch_size"] == 1:
            problem = problem_of(self, case, "cpu")
            try:
                with torch.no_grad():
                    problem.build(0).train()(problem.x[:1])
            except ValueError as error:
                return f"norm {case['norm']!r} does not take batches of one sample: {error}"
        return None

    def measure(self, case: Case, seeds: Sequence[int], device: str) -> Iterator[Measurement]:
        """Train all seeds together and test each at the end."""
        from ics_bench.training import Observation, Recipe, Replica, Trainer
        from ics_bench.workloads._norm_fit_accuracy import Accuracies, accuracies

        batch_size = case.integer("batch_size")
        steps = max(1, case.integer("samples") // batch_size)
        data = load_data(case)
        x_test, y_test = data.x_test.to(device), data.y_test.to(device)
        found: dict[int, Accuracies] = {}

        def observe(seen: Observation) -> None:
            found[seen.replica.seed] = accuracies(seen.module, x_test, y_test, batch_size)

        recipe = Recipe(
            steps=steps,
            batch_size=batch_size,
            optimizer=case.text("optimizer"),
            check_every=steps + 1,
            divergence_factor=math.inf,
        )
        trainer = Trainer(problem_of(self, case, device), recipe)
        replicas = [Replica(float(case["learning_rate"]), seed) for seed in seeds]
        trained = trainer.train(replicas, observe=observe, observe_at=(steps,))
        warnings = [*trainer.warnings, *not_taken(case)]
        for seed, trajectory in zip(seeds, trained, strict=True):
            yield from self._report(case, seed, trajectory, found.get(seed), warnings)

    def _report(
        self, case: Case, seed: int, trajectory: Trajectory, found: object, warnings: Sequence[str]
    ) -> Iterator[Measurement]:
        from ics_bench.workloads._norm_fit_accuracy import Accuracies

        curve = _loss_curve(trajectory.losses)
        if not isinstance(found, Accuracies):
            notes = [*warnings, f"diverged at step {trajectory.diverged_at:g}: accuracy counts as 0"]
            yield self.measurement(case, seed, "test_accuracy", 0.0, curve, notes)
            yield self.measurement(case, seed, "train_mode_accuracy", 0.0, warnings=notes)
            for name in ("train_eval_gap", "train_eval_difference"):
                yield self.measurement(case, seed, name, math.nan, warnings=notes)
            return
        gap = found.train_mode - found.evaluation_mode
        yield self.measurement(case, seed, "test_accuracy", found.all_samples, curve, warnings)
        yield self.measurement(case, seed, "train_mode_accuracy", found.train_mode, warnings=warnings)
        yield self.measurement(case, seed, "train_eval_gap", gap, warnings=warnings)
        yield self.measurement(case, seed, "train_eval_difference", abs(gap), warnings=warnings)


def _loss_curve(losses: Sequence[float]) -> Curve:
    """Means over parts of the run, at their first step."""
    size = math.ceil(len(losses) / CURVE_POINTS)
    starts = range(0, len(losses), size)
    means = tuple(math.fsum(losses[start : start + size]) / len(losses[start : start + size]) for start in starts)
    return Curve(tuple(map(float, starts)), means, "step")


def _case(net: Mapping[str, Scalar], **changes: Scalar) -> Case:
    values = {**SHARED, **net, **changes}
    values.setdefault("learning_rate", RATE_PER_SAMPLE * float(values["batch_size"]))
    return Case.of({axis.name: values[axis.name] for axis in NormFit.axes})


WORKLOAD = NormFit()
