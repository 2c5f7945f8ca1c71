"""How smooth the loss is along the steps of training, with and without normalization."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from ics_bench.core import Axis, Case, Curve, Measurement, Metric, Profile, Scalar, Workload
from ics_bench.core.metric import Better
from ics_bench.subjects import ARCHITECTURES, DATASETS, INITIALIZERS, NORMS, OPTIMIZERS
from ics_bench.workloads._problem import no_positions

if TYPE_CHECKING:
    from ics_bench.workloads._descent import Descent

WINDOW = 50
EVERY = 5
STEPS = 200

_QUANTITIES: tuple[tuple[str, str, Better, str], ...] = (
    ("loss_range", "1", "lower", "largest minus smallest loss along the step"),
    ("gradient_difference", "1", "lower", "largest ‖g' − g‖₂ along the step"),
    ("relative_gradient_difference", "1", "lower", "largest ‖g' − g‖₂/‖g‖ along the step"),
    ("gradient_cosine", "1", "higher", "smallest cos(g', g) along the step"),
    ("beta", "1", "lower", "largest ‖g' − g‖/(a‖g‖) along the step"),
    ("lr_beta", "1", "lower", "learning rate times beta"),
    ("linear_step", "1", "higher", "largest step whose loss change the gradient predicts to within half of it"),
    ("linear_decrease", "1", "higher", "decrease of the loss that is predicted at that step"),
)
_SLOPES = (
    ("gradient_slope", "slope along the gradient over ‖g‖, which is 1"),
    ("weight_slope", "slope along all weight matrices but the last, over ‖g‖"),
    ("page_slope", "slope along all parameters, each of length one, over ‖g‖; in evaluation mode"),
)
COSINE_EFFECT, RATIO = 0.05, 1.1
"""Smallest change that matters, of a cosine and, as a factor, of all else."""

HEADLINE = ("loss_range", "beta", "linear_step", "matched_beta", "matched_linear_step")


def _metrics() -> tuple[Metric, ...]:
    medians = [
        _metric(name, unit, better, f"{summary}; median over the first {WINDOW} steps")
        for name, unit, better, summary in _QUANTITIES
    ]
    matched = [
        _metric(f"matched_{name}", unit, better, f"{summary}; at loss 1") for name, unit, better, summary in _QUANTITIES
    ]
    slopes = [Metric(name, "1", "neutral", "seeded", f"{summary}; at loss 1", False) for name, summary in _SLOPES]
    step = Metric(
        "matched_step", "step", "lower", "seeded", "first observed step with a loss of 1 or less", False, EVERY
    )
    return (*medians, *matched, *slopes, step)


def _metric(name: str, unit: str, better: Better, summary: str) -> Metric:
    effect, ratio = (COSINE_EFFECT, None) if name.endswith("cosine") else (None, RATIO)
    return Metric(name, unit, better, "seeded", summary, name in HEADLINE, effect, smallest_ratio=ratio)


class LandscapeWalk(Workload):
    """Walks from θ_t along the negative gradient of one batch, over step sizes a in [1/8, 4] learning rates.

    Nets train in batches of 128. g is the gradient at θ_t, g' the one at θ_t − a·g on the same batch, in
    training mode and float64, running statistics put back after every step. Largest and smallest are
    over the six octaves of a. ``page_slope`` alone is in evaluation mode: it repeats the source page's
    code, which walks along the parameters.

    - *median* metrics: over θ_0, θ_5, … θ_50, on the mini-batch that the next step takes. A replica that
      diverged before step 50 has none: NaN.
    - *matched* metrics: at the first of θ_0, θ_5, … θ_200 whose loss on 256 fixed training samples, in
      training mode, is at most 1, and on these samples. NaN where there is none.

    A norm makes the scale of the weights before it irrelevant, and with it raw step sizes: so ``lr_beta``
    and ``linear_decrease``, which do not depend on that scale, stand beside ``beta`` and ``linear_step``.
    """

    name = "landscape"
    version = 1
    summary = "how far loss and gradient vary along the steps of training, and how far they are predictable"
    metrics: ClassVar = _metrics()
    axes: ClassVar = (
        Axis("architecture", "model", ("plain",), registry=ARCHITECTURES),
        Axis("depth", "weight matrices, output layer included", (5,), (5, 10), (2, 5, 10, 20), minimum=2),
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
            choices=("before", "after"),
        ),
        Axis("optimizer", "update rule", ("sgd",), registry=OPTIMIZERS),
        Axis("init", "weight initializer", ("he",), registry=INITIALIZERS),
        Axis("width", "features of a hidden layer", (64,), minimum=1),
        Axis("data", "training data", ("digits",), registry=DATASETS),
        Axis("learning_rate", "constant rate", (0.1,), (0.1, 1.0), (0.01, 0.03, 0.1, 0.3, 1.0), minimum=1e-9),
    )
    seeds: ClassVar[Mapping[Profile, int]] = {"quick": 2, "standard": 11, "full": 21}
    paired = ("norm", "norm_position", "optimizer", "learning_rate")
    recipe: ClassVar = {"steps": STEPS, "window": WINDOW, "every": EVERY, "batch_size": 128, "matched_loss": 1.0}
    flush_denormal = True

    def extra_cases(self, profile: Profile) -> tuple[Case, ...]:
        """At standard, second nets without a norm as controls, and one small rate over many settings."""
        if profile != "standard":
            return ()
        base = self.cases("quick")[0]
        controls: list[dict[str, Scalar]] = [{"norm": "none", "width": 65, "depth": depth} for depth in (5, 10)]
        small: list[dict[str, Scalar]] = [
            {"depth": depth, "norm": norm, "init": init, "learning_rate": 0.01}
            for init, depths in (("he", (5, 10, 20)), ("xavier", (10,)))
            for depth in depths
            for norm in ("none", "batch", "layer")
        ]
        return tuple(Case.of({**base, **changes}) for changes in (*controls, *small))

    def cost(self, case: Case) -> float:
        """Grow with depth; a norm costs about as much as its linear layer."""
        return case.integer("depth") * (1.0 if case["norm"] == "none" else 2.0)

    def skip(self, case: Case, device: str) -> str | None:
        """Leave out norms that average over positions, which a perceptron has not."""
        del device
        return no_positions(self, case)

    def measure(self, case: Case, seeds: Sequence[int], device: str) -> Iterator[Measurement]:
        """Train all seeds together, and walk from each."""
        from ics_bench.workloads._descent import Descent
        from ics_bench.workloads._landscape_looks import walk, walk_and_slopes

        window = tuple(range(0, WINDOW + 1, EVERY))
        descent = Descent(
            self,
            case,
            device,
            steps=STEPS,
            every=EVERY,
            scheduled=dict.fromkeys(window, walk),
            matched=walk_and_slopes,
            on_probe=False,
        )
        descent.run(seeds)
        for seed in seeds:
            yield from self._medians(descent, seed)
            yield from self._matched(descent, seed)

    def _medians(self, descent: Descent, seed: int) -> Iterator[Measurement]:
        """Medians over the steps of the window; its curves show each."""
        import numpy as np

        seen = descent.seen[seed]
        steps = tuple(map(float, seen))
        for name, *_ in _QUANTITIES:
            values = tuple(found[name] for found in seen.values())
            median = float(np.median(values)) if descent.complete(seed) else math.nan
            yield descent.measurement(seed, name, median, Curve(steps, values, "step"))

    def _matched(self, descent: Descent, seed: int) -> Iterator[Measurement]:
        found = descent.matched.get(seed, {})
        for name, *_ in _QUANTITIES:
            yield descent.measurement(seed, f"matched_{name}", found.get(name, math.nan))
        for name, _ in _SLOPES:
            yield descent.measurement(seed, name, found.get(name, math.nan))
        yield descent.measurement(seed, "matched_step", descent.matched_at.get(seed, math.inf))


WORKLOAD = LandscapeWalk()
