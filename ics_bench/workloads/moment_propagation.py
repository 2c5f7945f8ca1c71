"""Moments through one linear layer, how they move as its weights change, and moments of its gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from ics_bench.core import Axis, Case, Curve, Measurement, Metric, Profile, Workload
from ics_bench.core.metric import Better

if TYPE_CHECKING:
    from collections.abc import Callable

    from ics_bench.workloads._moment_propagation import Numbers

GENERATOR, PAGE = "generator", "numpy-legacy-42"
MOMENTS, WALK, GRADIENT = "moments", "walk", "gradient"

INPUTS: Mapping[str, tuple[str, ...]] = {
    MOMENTS: ("independent", "correlated", "rectified", "digits"),
    WALK: ("independent",),
    GRADIENT: ("independent", "dependent", "first-layer", "middle-layer", "last-layer"),
}
PAGE_PERTURBATION = {MOMENTS: 0.05, WALK: 0.01}


def _metrics() -> tuple[Metric, ...]:
    def metric(name: str, summary: str, better: Better = "neutral", headline: bool = True, unit: str = "1") -> Metric:
        ratio = None if better == "neutral" else 1.1
        return Metric(name, unit, better, "seeded", summary, headline, smallest_ratio=ratio)

    return (
        metric("mean_error", "rms over units of E[z] − (W E[h] + b), in standard deviations of the unit"),
        metric("variance_error", "rms over units of the relative error of Σ W²Var[h] for Var[z]"),
        metric("covariance_error", "the same of (W Cov[h] Wᵀ)_jj, which needs no independence", headline=False),
        metric("std_ratio", "standard deviation after over before the weights change, mean over units"),
        metric("mean_shift", "|change of the mean|, mean over units"),
        metric("mean_shift_in_std", "|change of the mean| over the unit's standard deviation, mean over units"),
        metric("output_kl", "Gaussian KL(before‖after), mean over units", unit="nat"),
        metric("output_kl_noise", "the same between two halves of the inputs, weights unchanged", unit="nat"),
        metric("kl_over_noise", "output_kl over output_kl_noise"),
        metric("mean_change", "|relative change of the outputs' mean| from the first to the last record"),
        metric("std_change", "|relative change of the outputs' standard deviation|, likewise"),
        metric("largest_mean_change", "the same of the mean, at the record where it is largest", headline=False),
        metric("largest_std_change", "the same of the standard deviation", headline=False),
        metric("kronecker_error", "relative distance of E[ggᵀ] from c·E[hhᵀ]⊗E[δδᵀ]", "lower"),
        metric("kronecker_error_shuffled", "the same with h and δ of different samples", headline=False),
        metric("kronecker_excess", "root of the first's square less the second's: without sampling noise"),
        metric("covariance_excess", "the same for Cov[g] instead of E[ggᵀ]"),
        metric("gradient_identity_error", "relative distance of ∂L/∂W from Σ ∂L/∂z·hᵀ", headline=False),
    )


_OF: Mapping[str, frozenset[str]] = {
    WALK: frozenset(("mean_change", "std_change", "largest_mean_change", "largest_std_change")),
    GRADIENT: frozenset(
        (
            "kronecker_error",
            "kronecker_error_shuffled",
            "kronecker_excess",
            "covariance_excess",
            "gradient_identity_error",
        )
    ),
}


class MomentPropagation(Workload):
    """One layer without training: the source page's three small experiments, and what theory says of them.

    - *moments*: z = Wh + b, h ``(10 000, 100)``, W ``(50, 100)`` from N(0, 0.1²), b = 0; then N(0,
      ``perturbation``²) is added to W. Inputs: independent N(0, 1); correlated by one common factor
      (±½); rectified max(0, N(0, 1)), whose mean is not 0; or the 100 activations of a
      ReLU layer (He) on digits.
    - *walk*: relu(XW + b), X ``(1000, 10)`` of N(0, 1), W ``(10, 10)`` from N(0, 0.5²), b = 0, recorded 100
      times; between records N(0, ``perturbation``²) is added to W and b. Its curves hold every record.
    - *gradient*: second moments of g = vec(δhᵀ). ``independent`` draws h (20 features) and δ (10) apart,
      each with mean 1 and a common factor; ``dependent`` has the first ten features of h for δ. Layers
      are those of a ReLU net (He, depth 5, width 32) on digits, at initialization, with δ for the
      data's labels.

    ``draws=numpy-legacy-42`` repeats the page's own draws; it has no seed.
    """

    name = "moment_propagation"
    version = 1
    summary = "moments through a linear layer, their move when its weights change, and moments of its gradients"
    metrics = _metrics()
    axes = (
        Axis("experiment", "which of the three", (MOMENTS,), choices=(MOMENTS, WALK, GRADIENT)),
        Axis(
            "inputs",
            "distribution of the layer's inputs, or the layer of a net",
            ("independent",),
            choices=tuple(dict.fromkeys(name for names in INPUTS.values() for name in names)),
        ),
        Axis("perturbation", "standard deviation of a change of the weights", (0.05,), minimum=0),
        Axis("draws", "where random numbers come from", (GENERATOR,), choices=(GENERATOR, PAGE)),
    )
    seeds: ClassVar[Mapping[Profile, int]] = {"quick": 2, "standard": 11, "full": 200}
    paired = ("perturbation",)

    def extra_cases(self, profile: Profile) -> tuple[Case, ...]:
        """Add the other experiments, their controls and the page's own draws."""
        del profile
        found = [_case(MOMENTS, name, 0.05) for name in INPUTS[MOMENTS]]
        found += [_case(MOMENTS, "independent", 0.0)]
        found += [_case(WALK, "independent", size) for size in (0.01, 0.0, 0.1)]
        found += [_case(GRADIENT, name, 0.0) for name in INPUTS[GRADIENT]]
        found += [_case(name, "independent", size, PAGE) for name, size in PAGE_PERTURBATION.items()]
        return tuple(found)

    def includes(self, case: Case) -> bool:
        """Leave out inputs that an experiment has not, and changes of weights whose gradient is studied."""
        experiment = case.text("experiment")
        return case["inputs"] in INPUTS[experiment] and (experiment != GRADIENT or case["perturbation"] == 0)

    def skip(self, case: Case, device: str) -> str | None:
        """Say which draws the page did not make."""
        del device
        if case["draws"] != PAGE:
            return None
        experiment = case.text("experiment")
        if case["inputs"] == "independent" and case["perturbation"] == PAGE_PERTURBATION.get(experiment):
            return None
        made = ", ".join(f"experiment={name} with perturbation={size:g}" for name, size in PAGE_PERTURBATION.items())
        return f"draws={PAGE} exist for {made} and independent inputs alone"

    def applies(self, metric: str, case: Case) -> bool:
        """Each experiment has metrics of its own; only a net has a weight gradient to hold against its factors."""
        if metric == "gradient_identity_error":
            return str(case["inputs"]).endswith("-layer")
        named = next((experiment for experiment, names in _OF.items() if metric in names), MOMENTS)
        return named == case["experiment"]

    def measure(self, case: Case, seeds: Sequence[int], device: str) -> Iterator[Measurement]:
        """Measure the page's draws once, and all others for each seed."""
        del device  # small and in float64
        from ics_bench.workloads import _moment_propagation as experiments

        run: Mapping[str, Callable[[Case, int | None], Numbers]] = {
            MOMENTS: experiments.moments,
            WALK: experiments.walk,
            GRADIENT: experiments.gradient,
        }
        for seed in [None] if case["draws"] == PAGE else seeds:
            stream = None if seed is None else self.seed_for(case, seed, "draws")
            found = run[case.text("experiment")](case, stream)
            for name, value in found.values.items():
                curve = found.curves.get(name)
                records = tuple(float(i) for i in range(len(curve or ())))
                yield self.measurement(
                    case, seed, name, value, Curve(records, curve, "record") if curve is not None else None
                )


def _case(experiment: str, inputs: str, perturbation: float, draws: str = GENERATOR) -> Case:
    return Case.of(experiment=experiment, inputs=inputs, perturbation=perturbation, draws=draws)


WORKLOAD = MomentPropagation()
