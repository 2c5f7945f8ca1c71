"""Reduces what `init_scale` observed to rates per layer, beside what mean-field theory predicts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ics_bench.core import Case
from ics_bench.probes import theory
from ics_bench.probes.dynamic_range import first_overflow, first_underflow
from ics_bench.probes.rates import geometric_mean, geometric_rate
from ics_bench.subjects.norms.group import group_count
from ics_bench.workloads._init_scale_net import Observation

OVER_FEATURES = ("layer", "rms", "group")
WITH_THEORY = ("none", "batch", *OVER_FEATURES)


@dataclass(frozen=True, slots=True)
class Rate:
    """A factor per layer of a second moment, its prediction if there is one, and what to know about it."""

    measured: float
    theory: float | None
    note: str | None = None


def limits(seen: Observation) -> dict[str, float]:
    """Layers at which signal and gradient leave the dtype's range; gradients count from the output."""
    backward = seen.gradient_rms[::-1]
    return {
        "underflow_layer": first_underflow(seen.preactivation_rms, seen.smallest_normal),
        "overflow_layer": first_overflow(seen.preactivation_rms),
        "gradient_underflow_layer": first_underflow(backward, seen.smallest_normal),
        "gradient_overflow_layer": first_overflow(backward),
    }


def forward_rate(case: Case, seen: Observation) -> Rate:
    """Mean factor of E[z²] from layer 1 to the last layer within the dtype's range."""
    depth = len(seen.preactivation_rms)
    found = limits(seen)
    last = int(min(found["underflow_layer"] - 1, found["overflow_layer"] - 1, depth))
    if last < 2:
        return Rate(math.nan, None, "no two layers lie within the dtype's range")
    note = None if last == depth else f"rate over layers 1 to {last}: later ones lie outside the dtype's range"
    measured = geometric_rate(seen.preactivation_rms, 1, last) ** 2
    predicted = _second_moments(case, seen)
    return Rate(measured, None if predicted is None else geometric_rate(predicted, 1, last), note)


def backward_rate(case: Case, seen: Observation) -> Rate:
    """Mean factor of ‖g‖² per layer going back from layer depth/2 to layer depth/10."""
    depth = len(seen.gradient_rms)
    stop, start = max(2, depth // 2), max(1, depth // 10)
    found = limits(seen)
    lowest = depth + 2 - int(min(found["gradient_underflow_layer"], found["gradient_overflow_layer"], depth + 1))
    if lowest >= stop:
        return Rate(math.nan, None, f"the gradient leaves the dtype's range before it reaches layer {stop - 1}")
    note = None if lowest <= start else f"rate over layers {stop} to {lowest}: earlier ones lie outside the range"
    start = max(start, lowest)
    measured = geometric_rate(seen.gradient_rms, stop, start) ** 2
    return Rate(measured, _predicted_backward(case, seen, start, stop), note)


def _second_moments(case: Case, seen: Observation) -> tuple[float, ...] | None:
    norm = case["norm"]
    if norm not in WITH_THEORY:
        return None
    return theory.second_moments(
        case.text("activation"), case.integer("depth"), seen.gain, seen.bias_variance, normalized=norm != "none"
    )


def _predicted_backward(case: Case, seen: Observation, start: int, stop: int) -> float | None:
    activation, norm, width = case.text("activation"), case["norm"], case.integer("width")
    if norm == "none":
        moments = _second_moments(case, seen) or ()
        return geometric_mean([theory.chi(activation, q, seen.gain) for q in moments[start - 1 : stop - 1]])
    if norm == "batch":
        return theory.batch_norm_gradient_rate(activation, case.integer("batch_size"))
    if norm in OVER_FEATURES:
        size = width // group_count(width) if norm == "group" else width
        return theory.feature_norm_gradient_rate(activation, size, norm != "rms", seen.gain, seen.bias_variance)
    return None
