"""Damage by a shift of the inputs, and what the classical remedies make of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from ics_bench.core import Axis, Case, Measurement, Metric, Profile, Workload
from ics_bench.core.metric import Better

BETA, DIGITS = "beta", "digits"
MODELS: Mapping[str, tuple[str, ...]] = {BETA: ("line", "true", "cubic"), DIGITS: ("mlp",)}
SHIFTS: Mapping[str, tuple[str, ...]] = {
    BETA: ("none", "page", "inside", "half", "recoded"),
    DIGITS: ("none", "scanner", "weak-scanner", "strong-scanner"),
}
REMEDIES: Mapping[str, tuple[str, ...]] = {
    BETA: ("none", "importance", "matched"),
    DIGITS: ("none", "standardised", "image-norm", "batch", "batch-recalibrated"),
}

STEPS, BATCH_SIZE, LEARNING_RATE, DEPTH, WIDTH = 300, 128, 0.1, 3, 64


def _every(values: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for names in values.values() for name in names))


def _metrics() -> tuple[Metric, ...]:
    def metric(
        name: str,
        summary: str,
        better: Better = "neutral",
        headline: bool = True,
        unit: str = "1",
        effect: float | None = None,
        ratio: float | None = None,
    ) -> Metric:
        return Metric(name, unit, better, "seeded", summary, headline, effect, smallest_ratio=ratio)

    return (
        metric(
            "error_ratio",
            "mean squared error where the model is used, over that where it was fitted",
            "lower",
            ratio=1.1,
        ),
        metric("test_error", "mean squared error where the model is used", "lower", ratio=1.1),
        metric("home_error", "mean squared error on new samples from where it was fitted", "lower", headline=False),
        metric("input_kl", "Gaussian KL(used‖fitted) of the inputs, from their exact moments", unit="nat"),
        metric("support_share", "share of the inputs in use that lie where inputs were when it was fitted"),
        metric("effective_share", "(Σw)²/(n Σw²): share of the samples that weighting leaves", headline=False),
        metric("test_input_mean", "mean of the inputs in use", headline=False),
        metric("test_input_variance", "their variance", headline=False),
        metric("home_input_mean", "mean of the inputs where the model was fitted", headline=False),
        metric("home_input_variance", "their variance", headline=False),
        metric("accuracy", "on test images of the site where the model is used", "higher", effect=0.02),
        metric("home_accuracy", "on the same test images as the first site records them", "higher", effect=0.02),
        metric("accuracy_drop", "home_accuracy less accuracy", "lower", effect=0.02),
    )


class CovariateShift(Workload):
    """Models fitted on one distribution of inputs and used on another, the rule from inputs to labels unchanged.

    *beta*: one feature. Fitted on 200 samples of x = 10·Beta(2.625, 2.625), mean 5 and variance 4, with
    y = 10(1 − e^(−x/5)) + N(0, 0.5²); errors are those of 5000 new samples, noise included. The models are
    least squares in closed form: a straight line, a cubic, and the true form a + b·e^(−x/5). Shifts:

    - ``page``: x = 8 + 12·Beta(1.5, 1.5), mean 14 and variance 9 on [8, 20];
    - ``half``: x = 4 + 12·Beta(1.5, 1.5), half of it beyond 10;
    - ``inside``: x = 4 + 6·Beta(2.625, 2.625), all of it within [0, 10];
    - ``recoded``: the first site's own samples, written down as 6.5 + 1.5x: mean 14 and variance 9 too, but
      the rule from what is written to y changes with it.

    Remedies: ``importance`` weights each sample by the true ratio of the densities (Shimodaira 2000);
    ``matched`` shifts and scales the inputs in use to the mean and variance of those of the fit.

    *digits*: another scanner, whose images are offset + gain·intensity, 0.25 + 0.5 (``scanner``), 0.1 + 0.8
    (``weak-scanner``) or 0.5 + 0.25 (``strong-scanner``), with intensities from 0 to 1. A perceptron of
    depth 3 and width 64 is trained on the first site's images and tested on both sites'. ``none``:
    intensities as they are; ``standardised``: by the mean and scale of the training images;
    ``image-norm``: each image by its own; ``batch``: standardised, with batch norm;
    ``batch-recalibrated``: its running statistics taken again from training images as the new site
    records them, without labels (Li et al. 2017, AdaBN).
    """

    name = "covariate_shift"
    version = 1
    summary = "errors under a shift of the inputs, with and without importance weights, matching and recalibration"
    metrics = _metrics()
    axes = (
        Axis("data", "one feature in closed form, or images", (BETA,), choices=(BETA, DIGITS)),
        Axis("model", "what is fitted", ("line", "true"), ("line", "true", "cubic"), choices=_every(MODELS)),
        Axis("shift", "how the inputs differ in use", SHIFTS[BETA], choices=_every(SHIFTS)),
        Axis("remedy", "what is done about it", REMEDIES[BETA], choices=_every(REMEDIES)),
    )
    seeds: ClassVar[Mapping[Profile, int]] = {"quick": 2, "standard": 17, "full": 50}
    paired = ("model", "shift", "remedy")
    recipe: ClassVar = {
        "steps": STEPS,
        "batch_size": BATCH_SIZE,
        "learning_rate": LEARNING_RATE,
        "depth": DEPTH,
        "width": WIDTH,
    }
    flush_denormal = True

    def extra_cases(self, profile: Profile) -> tuple[Case, ...]:
        """Add the scanners: at quick, the first arm alone."""
        remedies = REMEDIES[DIGITS][:1] if profile == "quick" else REMEDIES[DIGITS]
        shifts = SHIFTS[DIGITS][1:2] if profile == "quick" else SHIFTS[DIGITS]
        return tuple(
            Case.of(data=DIGITS, model="mlp", shift=shift, remedy=remedy) for remedy in remedies for shift in shifts
        )

    def includes(self, case: Case) -> bool:
        """Leave out what belongs to the other data."""
        data = case.text("data")
        return case["model"] in MODELS[data] and case["shift"] in SHIFTS[data] and case["remedy"] in REMEDIES[data]

    def applies(self, metric: str, case: Case) -> bool:
        """Images have accuracies, the one feature has errors; only weights leave a share of the samples."""
        if metric == "effective_share":
            return case["remedy"] == "importance"
        return metric.endswith(("accuracy", "accuracy_drop")) == (case["data"] == DIGITS)

    def cost(self, case: Case) -> float:
        """Weigh a training run against a closed form."""
        return 100.0 if case["data"] == DIGITS else 1.0

    def measure(self, case: Case, seeds: Sequence[int], device: str) -> Iterator[Measurement]:
        """Fit in closed form seed by seed, or train all seeds together."""
        if case["data"] == DIGITS:
            yield from self._scanners(case, seeds, device)
            return
        from ics_bench.workloads._covariate_regression import regress

        for seed in seeds:
            found = regress(case, self.seed_for(case, seed, "samples"))
            for name, value in found.values.items():
                yield self.measurement(case, seed, name, value, warnings=found.warnings)

    def _scanners(self, case: Case, seeds: Sequence[int], device: str) -> Iterator[Measurement]:
        from ics_bench.workloads._covariate_digits import Site, classify

        def draws(seed: int, purpose: str) -> int:
            return self.seed_for(case, seed, purpose)

        found, warnings = classify(Site.of(case.text("shift")), case.text("remedy"), self.recipe, seeds, draws, device)
        for seed in seeds:
            accuracy, home = found.get(seed, (math.nan, math.nan))  # a diverged net is observed no more
            yield self.measurement(case, seed, "accuracy", accuracy, warnings=warnings)
            yield self.measurement(case, seed, "home_accuracy", home, warnings=warnings)
            yield self.measurement(case, seed, "accuracy_drop", home - accuracy, warnings=warnings)


WORKLOAD = CovariateShift()
