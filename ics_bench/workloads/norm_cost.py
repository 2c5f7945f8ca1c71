"""What a norm adds to the time of a training step: against the same net without it, in the same measurement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from ics_bench.core import Axis, Case, Curve, Measurement, Metric, Profile, Scalar, Workload
from ics_bench.kernels.clock import MAX_ROUNDS, MIN_ROUNDS, WARM_UP_SECONDS
from ics_bench.subjects import ARCHITECTURES, DATASETS, INITIALIZERS, NORMS, OPTIMIZERS
from ics_bench.workloads._problem import load_data, no_positions, not_taken

LEARNING_RATE = 1e-4
"""Small enough that no net leaves its initial weights: diverging ones would be timed on NaN."""

BUDGET_SECONDS = 0.2
"""Of a seed's rounds, once there are enough of them: seeds are many, and nothing else runs meanwhile."""

STEPS_A_ROUND, CACHED_WIDTH = 4, 128
"""Steps that an arm takes before it is the other's turn, and the width up to which it takes as many.

So most of them find their own weights in the cache, as training would; the weights of wider nets drive each
other out of it within one step, and one is long enough to be timed alone."""

NARROW: dict[str, Scalar] = {"architecture": "plain", "depth": 5, "width": 64, "batch_size": 128}
WIDE: dict[str, Scalar] = {**NARROW, "width": 1024}
CONVOLUTIONAL: dict[str, Scalar] = {"architecture": "cnn", "depth": 7, "width": 16, "batch_size": 64}
SHARED: dict[str, Scalar] = {"optimizer": "sgd", "init": "he", "data": "digits"}


class NormCost(Workload):
    """Time training steps of a net with a norm and of the same net with the identity in its place.

    A step is forward, cross-entropy, backward and update in an ordinary loop around torch's own layers. The suite's
    own training is no clock: it copies buffers at every step, which charges batch norm alone. The two nets take
    turns, in random order, on the same batch; each round gives one ratio. With ``norm=none`` both nets are alike,
    and the ratio says how far to trust others.
    """

    name = "norm_cost"
    version = 2
    summary = "time of a training step with a norm, over that of the same net without"
    metrics: ClassVar = (
        Metric("cost_ratio", "1", "lower", "timing", "median over rounds, with the norm over without; curve: rounds"),
        Metric("cost_ratio_low", "1", "lower", "timing", "lower end of the median's 95 % interval", headline=False),
        Metric("cost_ratio_high", "1", "lower", "timing", "upper end of the median's 95 % interval", headline=False),
        Metric("step_time", "s", "lower", "timing", "median of a step with the norm"),
        Metric("step_time_without", "s", "neutral", "timing", "median of a step without", headline=False),
    )
    axes: ClassVar = (
        Axis("architecture", "model", ("plain",), registry=ARCHITECTURES),
        Axis("depth", "weight matrices, output layer included", (5,), minimum=2),
        Axis("width", "features or channels of a hidden layer", (64,), minimum=1),
        Axis("norm", "normalization layer", ("none", "batch"), registry=NORMS),
        Axis("batch_size", "samples a step", (128,), minimum=2),
        Axis("optimizer", "update rule", ("sgd",), registry=OPTIMIZERS),
        Axis("init", "weight initializer", ("he",), registry=INITIALIZERS),
        Axis("data", "training data", ("digits",), registry=DATASETS),
    )
    seeds: ClassVar[Mapping[Profile, int]] = {"quick": 1, "standard": 5, "full": 9}
    paired = ("norm",)
    exclusive = True
    flush_denormal = True
    recipe: ClassVar[Mapping[str, Scalar]] = {
        "learning_rate": LEARNING_RATE,
        "steps_a_round": STEPS_A_ROUND,
        "cached_width": CACHED_WIDTH,
        "warm_up_seconds": WARM_UP_SECONDS,
        "least_rounds": MIN_ROUNDS,
        "most_rounds": MAX_ROUNDS,
        "budget_seconds": BUDGET_SECONDS,
    }

    def extra_cases(self, profile: Profile) -> tuple[Case, ...]:
        """Add the wide perceptron and the convolutional net; at full, every norm."""
        if profile == "quick":
            return ()
        narrow = ["none", "batch", "layer", "group"]
        wide = ["none", "batch"]
        if profile == "full":
            narrow += ["rms", "ghost_batch", "batch_renorm", "dyt", "derf", "local_response"]
            narrow += ["weight_norm", "weight_standardization", "spectral"]
            wide = narrow
        deep = [{**NARROW, "depth": depth} for depth in (2, 10, 20)]
        cases = [_case(net, norm) for net in deep for norm in ("batch", "layer")]
        cases += [_case(net, norm) for net in (NARROW, CONVOLUTIONAL) for norm in narrow]
        cases += [_case(WIDE, norm) for norm in wide]
        return (*cases, _case(CONVOLUTIONAL, "instance"))

    def cost(self, case: Case) -> float:
        """Grow with the multiplications of a step."""
        size = case.integer("depth") * case.integer("width") ** 2 * case.integer("batch_size")
        return 1e6 + size * (64.0 if case["architecture"] != "plain" else 1.0)

    def skip(self, case: Case, device: str) -> str | None:
        """Leave out norms that average over positions a perceptron has not, and devices without a clock."""
        if device != "cpu":
            return f"there is no clock for device {device!r} yet; only cpu is timed"
        return no_positions(self, case)

    def measure(self, case: Case, seeds: Sequence[int], device: str) -> Iterator[Measurement]:
        """Time the two nets in one interleaved run a seed."""
        from ics_bench.stats.ranks import median_interval
        from ics_bench.workloads._step_time import time_steps

        data = load_data(case)
        if len(data.x) < case.integer("batch_size"):
            raise ValueError(f"batch_size={case['batch_size']} exceeds the {len(data.x)} training samples")
        count = STEPS_A_ROUND if case.integer("width") <= CACHED_WIDTH else 1
        for seed in seeds:
            timed = time_steps(self, case, seed, LEARNING_RATE, count, device, BUDGET_SECONDS)
            ratios = tuple(a / b for a, b in zip(timed.subject, timed.identity, strict=True))
            found = median_interval(ratios)
            warnings = (*timed.warnings, *not_taken(case))
            rounds = Curve(tuple(map(float, range(len(ratios)))), ratios, "round")
            yield self.measurement(case, seed, "cost_ratio", found.median, rounds, warnings)
            values = {
                "cost_ratio_low": found.interval.low,
                "cost_ratio_high": found.interval.high,
                "step_time": median_interval(timed.subject).median,
                "step_time_without": median_interval(timed.identity).median,
            }
            for name, value in values.items():
                yield self.measurement(case, seed, name, value, warnings=warnings)


def _case(net: Mapping[str, Scalar], norm: str) -> Case:
    values = {**SHARED, **net, "norm": norm}
    return Case.of({axis.name: values[axis.name] for axis in NormCost.axes})


WORKLOAD = NormCost()
