"""Condition number of a layer's inputs, and the steps of gradient descent that it costs, by preprocessing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from ics_bench.core import Axis, Case, Measurement, Metric, Profile, Workload

SHARE = 0.8
TOLERANCE = 0.01

DATA = ("digits", "breast_cancer", "gaussian")
PREPROCESSINGS = ("raw", "centred", "standardised", "whitened")


class Conditioning(Workload):
    """Spectrum of XᵀX/n of real data, raw and prepared, with a column of ones for the bias.

    Each seed takes a random 80 % of the rows; features that are constant in them are dropped and
    counted. ``gaussian`` has 5000 rows of 30 independent N(0, 1) features and a linear teacher, so that
    no preparation has anything to gain.

    *gd_steps*: least squares of the labels (one-hot) by full-batch gradient descent from zero weights at
    the rate 1/λ_max of each arm's own, until the loss is within 1 % of the labels' variance above its
    minimum. Every arm spans the same functions, so all have the same first and last loss. The loss is a
    quadratic, whose iterates have a closed form: after t steps the excess is ½ Σ_k (1 − λ_k/λ_max)^2t
    c_k², c_k the labels' coordinates along the k-th left singular vector. The steps are counted by that
    form, in float64; nothing is trained.
    """

    name = "conditioning"
    version = 1
    summary = "condition number of the inputs and steps of gradient descent, raw, centred, standardised and whitened"
    metrics: ClassVar = (
        Metric(
            "condition_number",
            "1",
            "lower",
            "seeded",
            "of XᵀX/n with the bias column; inf where singular",
            smallest_ratio=1.1,
        ),
        Metric("whole_condition_number", "1", "lower", "exact", "the same of all rows, without a seed", headline=False),
        Metric(
            "gd_steps",
            "step",
            "lower",
            "seeded",
            "steps of gradient descent to within 1 % of the labels' variance",
            smallest_ratio=1.1,
        ),
        Metric("largest_eigenvalue", "1", "neutral", "seeded", "2 over it is the largest stable rate", headline=False),
        Metric("dropped_features", "feature", "neutral", "seeded", "constant among the rows taken", headline=False),
        Metric("rank_deficit", "1", "neutral", "seeded", "columns less rank, after dropping", headline=False),
    )
    axes: ClassVar = (
        Axis("data", "inputs and labels", DATA, choices=DATA),
        Axis("preprocessing", "each step includes those before it", PREPROCESSINGS, choices=PREPROCESSINGS),
    )
    seeds: ClassVar[Mapping[Profile, int]] = {"quick": 2, "standard": 11, "full": 50}
    paired = ("preprocessing",)
    recipe: ClassVar = {"share": SHARE, "tolerance": TOLERANCE}

    def measure(self, case: Case, seeds: Sequence[int], device: str) -> Iterator[Measurement]:
        """Take the spectrum of all rows once, and of each seed's rows."""
        del device  # small and in float64
        from ics_bench.workloads import _conditioning as problems

        how = case.text("preprocessing")
        streams = {seed: self.seed_for(case, seed, "rows") for seed in seeds}
        if case["data"] != "gaussian":  # whose rows exist for a seed only
            whole, notes = problems.spectrum(problems.rows(case.text("data"), None, 1.0), how)
            yield self.measurement(case, None, "whole_condition_number", whole.condition, warnings=notes)
        for seed, stream in streams.items():
            sample = problems.rows(case.text("data"), stream, SHARE)
            found, notes = problems.spectrum(sample, how)
            yield self.measurement(case, seed, "condition_number", found.condition, warnings=notes)
            yield self.measurement(case, seed, "largest_eigenvalue", found.largest)
            yield self.measurement(case, seed, "rank_deficit", found.size - found.rank)
            yield self.measurement(case, seed, "dropped_features", len(sample.dropped))
            yield self.measurement(case, seed, "gd_steps", problems.descent_steps(sample, how, TOLERANCE))

    def applies(self, metric: str, case: Case) -> bool:
        """Gaussian rows are drawn for a seed, so there is no whole of them."""
        return metric != "whole_condition_number" or case["data"] != "gaussian"


WORKLOAD = Conditioning()
