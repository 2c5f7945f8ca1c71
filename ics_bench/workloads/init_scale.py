"""How signals and gradients scale with depth at initialization, by initializer, activation, norm and dtype."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from ics_bench.core import Axis, Case, Curve, Measurement, Metric, Profile, Scalar, Workload
from ics_bench.core.metric import Better
from ics_bench.subjects import INITIALIZERS, NORMS

if TYPE_CHECKING:
    from ics_bench.workloads._init_scale_net import Observation

GENERATOR, PAGE = "generator", "numpy-legacy-42"
PAGE_SCALES = ("normal-0.01", "normal-1", "he")
PAGE_SETTING: dict[str, Scalar] = {"activation": "relu", "norm": "none", "batch_size": 128, "width": 256, "depth": 50}

BASE: dict[str, Scalar] = {"init": "he", "activation": "relu", "norm": "none", "dtype": "float64"}
SIZE: dict[str, Scalar] = {"batch_size": 128, "width": 256, "depth": 50, "draws": GENERATOR}

TANH_GAIN_5_3 = "normal-0.104167"
"""(5/3)/√256: torch's recommended gain for tanh, at width 256."""

SMALLEST = {"layer": 1.0, "error": 0.05, "fraction": 0.02}
"""Smallest change that matters: of a layer's number; of |ln(measured over theory)|, five per cent of the factor; of a
share of units."""

NO_LAYER = 1e-3
"""asv's stand-in for "at no layer", whose reciprocal layer number is 0: below that of any depth used here."""


def _metrics() -> tuple[Metric, ...]:
    def metric(name: str, summary: str, better: Better = "neutral", unit: str = "1", headline: bool = True) -> Metric:
        ceiling = NO_LAYER if unit == "layer" else None
        effect = SMALLEST["layer" if unit == "layer" else name.rpartition("_")[2]] if better != "neutral" else None
        return Metric(
            name, unit, better, "seeded", summary, headline, effect, ceiling, infinity_is_best=unit == "layer"
        )

    return (
        metric("final_std", "standard deviation of the last layer's activations; curve: every layer"),
        metric("forward_rate", "factor per layer of E[z²], over the layers within the dtype's range"),
        metric("forward_rate_theory", "the same by the mean-field q-map", headline=False),
        metric("forward_rate_ratio", "measured over theory"),
        metric("forward_rate_error", "|ln(measured over theory)|", "lower", headline=False),
        metric("backward_rate", "factor per layer, going back, of ‖∂/∂z‖² from layer depth/2 to depth/10"),
        metric("backward_rate_theory", "the same by mean-field theory", headline=False),
        metric("backward_rate_ratio", "measured over theory"),
        metric("backward_rate_error", "|ln(measured over theory)|", "lower", headline=False),
        metric("underflow_layer", "first layer with rms(z) below the dtype's normal numbers", "higher", "layer"),
        metric("overflow_layer", "first layer with an infinite or NaN z", "higher", "layer"),
        metric("gradient_underflow_layer", "as forward, counted back from the output", "higher", "layer", False),
        metric("gradient_overflow_layer", "as forward, counted back from the output", "higher", "layer", False),
        metric("dead_fraction", "units that are zero on every sample, last layer; curve: every layer", "lower"),
        metric("saturated_fraction", "tanh: |a| > .97; sigmoid: a outside [.03, .97]; last layer", "lower"),
        metric("zero_fraction", "entries that are zero, last layer; curve: every layer", headline=False),
        metric("gradient_norm", "‖∂⟨c, a_last⟩/∂z‖ at layer 1, c ~ N(0, 1); curve: every layer", headline=False),
        metric("preactivation_mean", "E[z], last layer; curve: every layer", headline=False),
        metric("preactivation_std", "standard deviation of z, last layer; curve: every layer", headline=False),
        metric("preactivation_second_moment", "E[z²], last layer; curve: every layer", headline=False),
        metric("activation_mean", "E[a], last layer; curve: every layer", headline=False),
        metric("activation_second_moment", "E[a²], last layer; curve: every layer", headline=False),
    )


class InitScale(Workload):
    """Forward and backward pass of a square perceptron with Gaussian inputs, before any training.

    All ``depth`` layers are width×width, each linear → norm → activation, and there is no output
    layer. z are pre-activations (before the norm), a activations. The backward pass starts from a
    fixed Gaussian cotangent c at the last activations, so its gradients are those of ⟨c, a_last⟩ with
    respect to z. Norms are in training mode.

    - *forward rate*: (E[z²]_k / E[z²]_1)^(1/(k−1)), k the last layer within the dtype's range.
    - *backward rate*: (‖g_s‖² / ‖g_t‖²)^(1/(t−s)) with s = depth/10 and t = depth/2, layers 5 and 25
      at depth 50: away from both ends. Layers whose gradient has left the dtype's range are left out.
    - *theory*: see `ics_bench.probes.theory`; n·Var[W] is taken from the weights as drawn, so that it
      serves any initializer. Omitted where there is none (foreign norms, batch norm with tanh).

    ``draws=numpy-legacy-42`` repeats the source page's three networks, draw for draw; it has no seed.
    """

    name = "init_scale"
    version = 1
    summary = "signal and gradient scale through 50 layers at initialization, against mean-field theory"
    metrics = _metrics()
    axes = (
        Axis(
            "init",
            "initializer of the weights; normal-SIGMA for any SIGMA",
            quick=("normal-0.01", "normal-1", "he"),
            standard=("normal-0.01", "normal-1", "xavier", "he", "orthogonal", "default"),
            full=("normal-0.01", "normal-1", "xavier", "he", "lecun", "orthogonal", "default"),
            registry=INITIALIZERS,
        ),
        Axis(
            "activation",
            "nonlinearity",
            quick=("relu", "tanh"),
            standard=("relu", "tanh", "sigmoid", "identity"),
            choices=("relu", "tanh", "sigmoid", "identity"),
        ),
        Axis(
            "norm",
            "normalization before the activation",
            quick=("none", "batch"),
            standard=("none", "batch", "layer"),
            full=("none", "batch", "layer", "rms", "group", "instance"),
            registry=NORMS,
        ),
        Axis(
            "dtype",
            "format of weights, activations and gradients",
            quick=("float64",),
            full=("float64", "float32", "bfloat16"),
            choices=("float64", "float32", "bfloat16"),
        ),
        Axis("batch_size", "samples", quick=(128,), full=(8, 128), minimum=1),
        Axis("width", "units a layer", quick=(256,), minimum=8),
        Axis("depth", "weight matrices", quick=(50,), minimum=4),
        Axis("draws", "where random numbers come from", quick=(GENERATOR,), choices=(GENERATOR, PAGE)),
    )
    seeds: ClassVar[Mapping[Profile, int]] = {"quick": 1, "standard": 3, "full": 5}
    paired = ("init", "activation", "norm", "dtype")

    def extra_cases(self, profile: Profile) -> tuple[Case, ...]:
        """Add the page's own networks, the low precisions, and batch norm's explosion by batch size."""
        if profile == "quick":
            formats: tuple[str, ...] = ("float32", "bfloat16")
            extra = [_case(init="normal-1", dtype=dtype) for dtype in formats]
            extra += [_case(activation="sigmoid"), _case(norm="batch", batch_size=8)]
            return (*extra, *(_case(init=init, draws=PAGE) for init in PAGE_SCALES))
        every = ("float64", "float32", "bfloat16")
        extra = [_case(init=init, dtype=dtype, draws=PAGE) for init in PAGE_SCALES for dtype in every]
        extra.append(_case(init=TANH_GAIN_5_3, activation="tanh"))
        extra += [
            _case(activation=activation, norm=norm, batch_size=batch_size, width=512)
            for activation in ("relu", "identity")
            for norm in ("none", "batch", "layer")
            for batch_size in (8, 32, 128)
        ]
        if profile == "standard":
            extra += [
                _case(init=init, activation=activation, dtype=dtype)
                for init in self.axis("init").standard
                for activation in ("relu", "tanh")
                for dtype in every[1:]
            ]
            extra += [_case(norm=norm, dtype=dtype) for norm in ("batch", "layer", "rms") for dtype in every[1:]]
            activations = self.axis("activation").standard
            extra += [
                _case(activation=activation, norm="batch", batch_size=16, width=512)
                for activation in ("relu", "identity")
            ]
            extra += [_case(activation="identity", norm="batch", batch_size=32, width=512, init="orthogonal")]
            extra += [
                _case(norm=norm, activation=activation) for norm in ("rms", "group") for activation in activations
            ]
        else:
            extra += [_case(norm="batch", batch_size=512, width=512)]
        return tuple(extra)

    def skip(self, case: Case, device: str) -> str | None:
        """Say why a case cannot run: nothing to average over, or draws that the page did not make."""
        del device
        from ics_bench.subjects.norm import load_norm

        norm = load_norm(case.text("norm"))
        if norm.needs_spatial:
            return f"norm {case['norm']!r} averages over positions, and a perceptron's features have none"
        if norm.uses_batch and case["batch_size"] == 1:
            return f"norm {case['norm']!r} may need other samples, and batch_size is 1"
        if case["draws"] == PAGE and not (case.matches(**PAGE_SETTING) and case["init"] in PAGE_SCALES):
            setting = ", ".join(f"{key}={value}" for key, value in PAGE_SETTING.items())
            return f"draws={PAGE} exist for init {', '.join(PAGE_SCALES)} with {setting} alone"
        return None

    def applies(self, metric: str, case: Case) -> bool:
        """Saturation needs bounds, a rate's error a theory; where N(0, 1) overflows, no units are left to count."""
        if metric.endswith("_rate_error"):
            return case["dtype"] == "float64" and self._has_theory(case)
        if metric == "saturated_fraction":
            return case["activation"] in ("tanh", "sigmoid")
        overflows = case.matches(init="normal-1", activation="relu", norm="none") and case["dtype"] != "float64"
        return metric != "dead_fraction" or not overflows

    @staticmethod
    def _has_theory(case: Case) -> bool:
        if case["norm"] == "batch":
            return case["activation"] in ("relu", "identity")
        return case["norm"] in ("none", "layer", "rms")

    def measure(self, case: Case, seeds: Sequence[int], device: str) -> Iterator[Measurement]:
        """Observe one network a seed; the page's draws belong to no seed and are measured once."""
        from ics_bench.probes.denormals import denormals_kept
        from ics_bench.workloads._init_scale_net import Streams, observe

        page = case["draws"] == PAGE
        for seed in [None] if page else seeds:
            names = ("weights", "inputs", "cotangent", "layers")
            streams = Streams(**{name: self.seed_for(case, seed or 0, name) for name in names})
            with denormals_kept() as kept:
                seen = observe(case, streams, page, device)
            warnings = () if kept else ("a worker thread flushes subnormal numbers to zero: underflow comes early",)
            yield from self._report(case, seed, seen, warnings)

    def _report(
        self, case: Case, seed: int | None, seen: Observation, warnings: tuple[str, ...]
    ) -> Iterator[Measurement]:
        from ics_bench.workloads._init_scale_rates import backward_rate, forward_rate, limits

        layers = tuple(float(layer) for layer in range(1, len(seen.preactivation_rms) + 1))
        found = limits(seen)
        left = tuple(_leaving(case, name, layer) for name, layer in found.items() if math.isfinite(layer))
        for name, curve in seen.curves.items():
            value = curve[0] if name == "gradient_norm" else curve[-1]
            notes = warnings + left if name in ("final_std", "gradient_norm") else warnings
            yield self.measurement(case, seed, name, value, Curve(layers, curve, "layer"), notes)
        for name, value in found.items():
            yield self.measurement(case, seed, name, value, warnings=warnings)
        for direction, rate in (("forward", forward_rate(case, seen)), ("backward", backward_rate(case, seen))):
            notes = warnings if rate.note is None else (*warnings, rate.note)
            yield self.measurement(case, seed, f"{direction}_rate", rate.measured, warnings=notes)
            if rate.theory is not None:
                yield self.measurement(case, seed, f"{direction}_rate_theory", rate.theory, warnings=notes)
                ratio = rate.measured / rate.theory
                yield self.measurement(case, seed, f"{direction}_rate_ratio", ratio, warnings=notes)
                error = abs(math.log(ratio)) if ratio > 0 else math.inf if ratio == 0 else math.nan
                yield self.measurement(case, seed, f"{direction}_rate_error", error, warnings=notes)


def _leaving(case: Case, limit: str, layer: float) -> str:
    """Say in words where the dtype's range ends, such as ``float32 gradient underflow at layer 40 …``."""
    what = limit.removesuffix("_layer").replace("_", " ")
    return f"{case['dtype']} {what} at layer {layer:g}" + (" from the output" if "gradient" in what else "")


def _case(**values: Scalar) -> Case:
    return Case.of({**BASE, **SIZE, **values})


WORKLOAD = InitScale()
