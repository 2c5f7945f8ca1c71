"""Builds and observes the networks of `init_scale`: tensors stay in here, curves of numbers come out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import nn

from ics_bench.core import Case
from ics_bench.probes.dead import dead_fraction, zero_fraction
from ics_bench.probes.layerwise import Trace, trace
from ics_bench.probes.moments import moments
from ics_bench.probes.saturation import BOUNDED, saturated_fraction
from ics_bench.subjects import INITIALIZERS
from ics_bench.subjects.initializers import Initializer, fans
from ics_bench.subjects.mlp import Hidden
from ics_bench.subjects.norm import load_norm, normalize_weights
from ics_bench.subjects.randomness import seeded

PAGE_SEED = 42
PAGE_ORDER = ("normal-0.01", "normal-1", "he")
"""Order in which the source page runs its three scales: each goes on where the one before left the stream."""

PAGE_INPUTS = (128, 256)
PAGE_DEPTH = 50


@dataclass(frozen=True, slots=True)
class Streams:
    """Seeds of the independent streams of draws; the page's own set-up uses the last two alone.

    Parameters
    ----------
    weights, inputs, cotangent : int
    layers : int
        For layers that draw on torch's global random state, when they are built or as they run.
    """

    weights: int
    inputs: int
    cotangent: int
    layers: int


@dataclass(frozen=True, slots=True)
class Observation:
    """One network seen from the input to the output and back.

    Parameters
    ----------
    curves : dict of str to tuple of float
        One value a layer, first layer first, under the names of the workload's metrics.
    preactivation_rms, gradient_rms : tuple of float
        Root mean squares, which keep within float64 where second moments may not.
    gain : float
        fan_in·E[W²] of the weights as drawn, mean over the layers.
    bias_variance : float
        E[b²], likewise.
    smallest_normal : float
        Of the dtype under test.
    """

    curves: dict[str, tuple[float, ...]]
    preactivation_rms: tuple[float, ...]
    gradient_rms: tuple[float, ...]
    gain: float
    bias_variance: float
    smallest_normal: float


def observe(case: Case, streams: Streams, page: bool, device: str) -> Observation:
    """Draw one network in float64, round it to the case's dtype, and run it forward and backward.

    Inputs and the cotangent, the gradient that arrives at the last activations, have independent
    N(0, 1) entries. The global random state is left alone.
    """
    with seeded(streams.layers, device):
        return _observe(case, streams, page, torch.device(device))


def _observe(case: Case, streams: Streams, page: bool, device: torch.device) -> Observation:
    dtype = getattr(torch, case.text("dtype"))
    shape = (case.integer("batch_size"), case.integer("width"))
    layers = _stack(case)
    if page:
        x = _load_page_draws(case.text("init"), layers)
    else:
        initialize = cast(Initializer, INITIALIZERS.load(case.text("init")))
        weights = torch.Generator().manual_seed(streams.weights)
        for layer in layers:
            initialize(layer.linear, weights)
        normalize_weights((layer.linear for layer in layers), load_norm(case.text("norm")).build)
        x = _normal(shape, streams.inputs)
    cotangent = _normal(shape, streams.cotangent)
    gain, bias_variance = _scales(layer.linear for layer in layers)
    nn.ModuleList(layers).to(device, dtype)
    seen = trace(layers, x.to(device, dtype), cotangent.to(device, dtype))
    z, a, g = ([moments(t) for t in tensors] for tensors in (seen.pre_activations, seen.activations, seen.gradients))
    curves = {
        "preactivation_mean": tuple(m.mean for m in z),
        "preactivation_std": tuple(m.std for m in z),
        "preactivation_second_moment": tuple(m.second_moment for m in z),
        "activation_mean": tuple(m.mean for m in a),
        "final_std": tuple(m.std for m in a),
        "activation_second_moment": tuple(m.second_moment for m in a),
        "gradient_norm": tuple(m.rms * math.sqrt(math.prod(shape)) for m in g),
        **_unit_curves(seen, case.text("activation")),
    }
    return Observation(
        curves, tuple(m.rms for m in z), tuple(m.rms for m in g), gain, bias_variance, torch.finfo(dtype).tiny
    )


def _unit_curves(seen: Trace, activation: str) -> dict[str, tuple[float, ...]]:
    curves = {
        "zero_fraction": tuple(zero_fraction(a) for a in seen.activations),
        "dead_fraction": tuple(dead_fraction(a) for a in seen.activations),
    }
    if activation in BOUNDED:
        curves["saturated_fraction"] = tuple(saturated_fraction(a, activation) for a in seen.activations)
    return curves


def _stack(case: Case) -> list[Hidden]:
    """Square float64 layers, without an output layer."""
    width = case.integer("width")
    norm_layer = load_norm(case.text("norm")).build
    layers = [
        Hidden(width, width, norm_layer, case.text("activation"), "before").to(torch.float64)
        for _ in range(case.integer("depth"))
    ]
    for layer in layers:
        layer.requires_grad_(False)
    return layers


def _normal(shape: tuple[int, int], seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _load_page_draws(init: str, layers: list[Hidden]) -> torch.Tensor:
    """Fill ``layers`` with the source page's weights and return its inputs.

    NumPy's legacy generator is seeded with 42 once. It draws the inputs ``(128, 256)`` once, for all
    three scales; then 50 matrices ``(256, 256)`` for σ = 0.01, the next 50 for σ = 1 and the next 50
    for σ = √(2/256), each multiplied by σ and applied as ``x @ W``.
    """
    stream = np.random.RandomState(PAGE_SEED)
    batch_size, width = PAGE_INPUTS
    x = stream.randn(batch_size, width)
    stream.randn(PAGE_ORDER.index(init) * PAGE_DEPTH * width * width)
    scale = {"normal-0.01": 0.01, "normal-1": 1.0, "he": np.sqrt(2.0 / width)}[init]
    for layer in layers:
        layer.linear.weight.copy_(torch.from_numpy((stream.randn(width, width) * scale).T))
        layer.linear.bias.zero_()
    return torch.from_numpy(x)


def _scales(linears: Iterable[nn.Linear]) -> tuple[float, float]:
    """Mean over the layers of fan_in·E[W²] and of E[b²]."""
    pairs = [
        (fans(linear.weight)[0] * moments(linear.weight).second_moment, moments(linear.bias).second_moment)
        for linear in linears
    ]
    gains, biases = zip(*pairs, strict=True)
    return math.fsum(gains) / len(gains), math.fsum(biases) / len(biases)
