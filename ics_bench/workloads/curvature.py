"""The Hessian of the loss during training: its outliers, and the curvature between layers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from ics_bench.core import Axis, Case, Measurement, Metric, Profile, Scalar, Workload
from ics_bench.core.metric import Better
from ics_bench.subjects import ARCHITECTURES, DATASETS, INITIALIZERS, NORMS, OPTIMIZERS
from ics_bench.workloads._problem import no_positions

LATE = 100
EVERY = 5
STEPS = 200

_SPECTRUM: tuple[tuple[str, str], ...] = (
    ("lambda_1", "largest eigenvalue of the Hessian"),
    ("lr_lambda_1", "learning rate times the largest eigenvalue"),
    ("lambda_ratio", "largest over tenth eigenvalue"),
)
_COUPLINGS: tuple[tuple[str, str], ...] = tuple(
    (f"{matrix}_{quantity}", f"{summary} of the {named}")
    for matrix, named in (("hessian", "Hessian"), ("gauss_newton", "Gauss–Newton matrix"))
    for quantity, summary in (
        ("coupling", "share of the squared Frobenius norm between different weight matrices"),
        ("correlation", "mean ‖H_lm‖/√(‖H_ll‖‖H_mm‖) over pairs of weight matrices"),
    )
)
MOMENTS: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    ("initial", "initial weights", _COUPLINGS),
    ("late", f"after {LATE} steps", _SPECTRUM),
    ("matched", "at loss 1", (*_SPECTRUM, *_COUPLINGS)),
)
HEADLINE = ("late_lambda_1", "late_lambda_ratio", "matched_hessian_coupling", "matched_gauss_newton_coupling")
BETTER: Better = "lower"
SHARE_EFFECT = 0.05
"""Smallest change that matters of a coupling or a correlation, which lie between 0 and 1."""

EIGENVALUE_RATIO = 1.1
"""The same of an eigenvalue, or of a ratio of two."""


def _metrics() -> tuple[Metric, ...]:
    return (
        *(
            Metric(
                name := f"{moment}_{what}",
                "1",
                BETTER,
                "seeded",
                f"{summary}; {when}",
                name in HEADLINE,
                smallest_effect=None if (what, summary) in _SPECTRUM else SHARE_EFFECT,
                smallest_ratio=EIGENVALUE_RATIO if (what, summary) in _SPECTRUM else None,
            )
            for moment, when, quantities in MOMENTS
            for what, summary in quantities
        ),
        Metric("matched_step", "step", "lower", "seeded", "first observed step with a loss of 1 or less", False, EVERY),
    )


class Curvature(Workload):
    """Second derivatives of the loss on 256 fixed training samples, in training mode and float64.

    - *late*: after 100 steps in batches of 128; NaN for a replica that diverged before.
    - *matched*: at the first of θ_0, θ_5, … θ_200 at which the loss on those samples is at most 1; NaN
      where there is none.

    Eigenvalues by Lanczos iteration, to within 0.1 % of the largest. Coupling: the blocks are the weight matrices
    alone, which nets with and without a norm share; their squared Frobenius norms are estimated by four
    random probes a block. The Gauss–Newton matrix is the part of the Hessian without the second derivatives
    of the net's outputs; those vanish within a layer of a ReLU net without norms, but not between layers.
    Shares change when a norm lets a layer be rescaled; *correlations* do not.
    """

    name = "curvature"
    version = 1
    summary = "Hessian outliers and the curvature between layers during training"
    metrics: ClassVar = _metrics()
    axes: ClassVar = (
        Axis("architecture", "model", ("plain",), registry=ARCHITECTURES),
        Axis("depth", "weight matrices, output layer included", (5,), (5, 10), (5, 10, 20), minimum=2),
        Axis("norm", "normalization layer", ("none", "batch"), (), ("none", "batch", "layer"), registry=NORMS),
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
        Axis("learning_rate", "constant rate", (0.1,), (0.1, 1.0), (0.03, 0.1, 0.3, 1.0), minimum=1e-9),
    )
    seeds: ClassVar[Mapping[Profile, int]] = {"quick": 1, "standard": 11, "full": 21}
    paired = ("norm", "norm_position", "optimizer", "learning_rate")
    recipe: ClassVar = {
        "steps": STEPS,
        "late": LATE,
        "every": EVERY,
        "batch_size": 128,
        "matched_loss": 1.0,
        "probe_samples": 256,
    }
    flush_denormal = True

    def extra_cases(self, profile: Profile) -> tuple[Case, ...]:
        """At standard, a second net without a norm as a control, and layer norm at one depth."""
        if profile != "standard":
            return ()
        base = self.cases("quick")[0]
        extra: list[dict[str, Scalar]] = [{"norm": "none", "width": 65}, {"norm": "layer", "depth": 10}]
        return tuple(Case.of({**base, **changes}) for changes in extra)

    def cost(self, case: Case) -> float:
        """Grow with the number of layers and the products each needs; a norm costs about as much as its layer."""
        return case.integer("depth") * (1.0 if case["norm"] == "none" else 3.0)

    def skip(self, case: Case, device: str) -> str | None:
        """Leave out norms that average over positions, which a perceptron has not."""
        del device
        return no_positions(self, case)

    def measure(self, case: Case, seeds: Sequence[int], device: str) -> Iterator[Measurement]:
        """Train all seeds together, and take the second derivatives of each."""
        from ics_bench.workloads._curvature_looks import couplings, spectrum, spectrum_and_couplings
        from ics_bench.workloads._descent import Descent

        descent = Descent(
            self,
            case,
            device,
            steps=STEPS,
            every=EVERY,
            scheduled={0: couplings, LATE: spectrum},
            matched=spectrum_and_couplings,
            on_probe=True,
        )
        descent.run(seeds)
        for seed in seeds:
            scheduled = descent.seen[seed]
            at = {
                "initial": scheduled.get(0, {}),
                "late": scheduled.get(LATE, {}),
                "matched": descent.matched.get(seed, {}),
            }
            for moment, _, quantities in MOMENTS:
                for what, _ in quantities:
                    yield descent.measurement(seed, f"{moment}_{what}", at[moment].get(what, math.nan))
            yield descent.measurement(seed, "matched_step", descent.matched_at.get(seed, math.inf))


WORKLOAD = Curvature()
