"""The three experiments of `moment_propagation`: draws in, numbers out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from ics_bench.core import Case
from ics_bench.probes.gaussian_kl import gaussian_kl
from ics_bench.probes.gradient_covariance import kronecker_error, weight_gradient_error
from ics_bench.probes.linear_moments import (
    UnitMoments,
    mean_error,
    predict_correlated,
    predict_independent,
    unit_moments,
    variance_error,
)
from ics_bench.subjects.data.digits import load
from ics_bench.subjects.initializers import he
from ics_bench.subjects.model import build_model
from ics_bench.subjects.norms.none import build as no_norm

PAGE_SEED = 42

SAMPLES, FAN_IN, FAN_OUT, WEIGHT_STD = 10_000, 100, 50, 0.1
WALK_SAMPLES, WALK_WIDTH, WALK_WEIGHT_STD, RECORDS = 1000, 10, 0.5, 100

PAIRS, H_FEATURES, DELTA_FEATURES = 1500, 20, 10
NET_DEPTH, NET_WIDTH = 5, 32
NET_LAYER = {"first-layer": 0, "middle-layer": 2, "last-layer": 4}
SHUFFLES = 3
COMMON_FACTOR = 0.5
"""Size of the correlation of any two correlated inputs, positive for every second one and negative for the others."""

Draws = np.random.Generator | np.random.RandomState
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Values by metric, and the curves of those that have one."""

    values: dict[str, float]
    curves: dict[str, tuple[float, ...]] = field(default_factory=dict)


def _stream(seed: int | None) -> Draws:
    """Return the page's generator, NumPy's legacy one at 42, for no seed."""
    return np.random.RandomState(PAGE_SEED) if seed is None else np.random.default_rng(seed)


def _normal(stream: Draws, *shape: int) -> Matrix:
    return stream.standard_normal(shape)


def moments(case: Case, seed: int | None) -> Numbers:
    """Predict the moments of z = Wh + b and change W; the page draws inputs, weights, change in this order."""
    stream = _stream(seed)
    h = _inputs(case.text("inputs"), stream)
    weight = torch.from_numpy(WEIGHT_STD * _normal(stream, FAN_OUT, FAN_IN))
    changed = weight + _perturbation(case) * torch.from_numpy(_normal(stream, FAN_OUT, FAN_IN))
    bias = torch.zeros(FAN_OUT, dtype=torch.float64)
    z = h @ weight.T + bias
    before, after = unit_moments(z), unit_moments(h @ changed.T + bias)
    predicted = predict_independent(weight, bias, unit_moments(h))
    half = len(z) // 2
    kl = _kl(before, after)
    noise = _kl(unit_moments(z[:half]), unit_moments(z[half:]))
    shift = (after.mean - before.mean).abs()
    return Numbers(
        {
            "mean_error": mean_error(predicted, before),
            "variance_error": variance_error(predicted, before),
            "covariance_error": variance_error(predict_correlated(weight, bias, h), before),
            "std_ratio": float((after.std / before.std).mean()),
            "mean_shift": float(shift.mean()),
            "mean_shift_in_std": float((shift / before.std).mean()),
            "output_kl": kl,
            "output_kl_noise": noise,
            "kl_over_noise": kl / noise,
        }
    )


def _kl(before: UnitMoments, after: UnitMoments) -> float:
    """Mean over units of KL(before‖after), both taken for Gaussian."""
    return float(gaussian_kl(before.mean, before.std, after.mean, after.std).mean())


def _inputs(kind: str, stream: Draws) -> torch.Tensor:
    if kind == "digits":
        x = load().x.double().numpy()
        layer = _normal(stream, x.shape[1], FAN_IN) * math.sqrt(2 / x.shape[1])
        rows = stream.permutation(len(x))  # halves of the rows stand for two samples
        return torch.from_numpy(np.maximum(x[rows] @ layer, 0))
    x = _normal(stream, SAMPLES, FAN_IN)
    if kind == "correlated":
        x = _with_common_factor(x, stream)
    elif kind == "rectified":
        x = np.maximum(x, 0)
    return torch.from_numpy(x)


def _with_common_factor(x: Matrix, stream: Draws) -> Matrix:
    common = _normal(stream, len(x), 1)
    signs = (-1.0) ** np.arange(x.shape[1])
    mixed: Matrix = math.sqrt(COMMON_FACTOR) * common * signs + math.sqrt(1 - COMMON_FACTOR) * x
    return mixed


def _perturbation(case: Case) -> float:
    """Return the standard deviation of the change of the weights."""
    return float(case["perturbation"])


def walk(case: Case, seed: int | None) -> Numbers:
    """Record the layer's outputs along a random walk; the page draws W, X, then the changes of W and b in turn."""
    stream, size = _stream(seed), _perturbation(case)
    weight = WALK_WEIGHT_STD * _normal(stream, WALK_WIDTH, WALK_WIDTH)
    x, bias = _normal(stream, WALK_SAMPLES, WALK_WIDTH), np.zeros(WALK_WIDTH)
    means, stds = [], []
    for _ in range(RECORDS):
        outputs = np.maximum(x @ weight + bias, 0)
        means.append(float(outputs.mean()))
        stds.append(float(outputs.std()))
        weight = weight + size * _normal(stream, WALK_WIDTH, WALK_WIDTH)
        bias = bias + size * _normal(stream, WALK_WIDTH)
    changes = {
        name: [abs(value / curve[0] - 1) if curve[0] else math.inf for value in curve]
        for name, curve in (("mean", means), ("std", stds))
    }
    return Numbers(
        {
            **{f"{name}_change": curve[-1] for name, curve in changes.items()},
            **{f"largest_{name}_change": max(curve) for name, curve in changes.items()},
        },
        {"mean_change": tuple(means), "std_change": tuple(stds)},
    )


def gradient(case: Case, seed: int | None) -> Numbers:
    """Compare E[ggᵀ] with the product of its factors' moments, for drawn pairs or those of a net."""
    assert seed is not None, "the page has no draws of gradients"
    stream = np.random.default_rng(seed)
    kind = case.text("inputs")
    identity = {}
    if kind in NET_LAYER:
        h, delta, identity["gradient_identity_error"] = _net_pairs(NET_LAYER[kind], seed)
    else:
        h, delta = _drawn_pairs(kind, stream)
    orders = [torch.from_numpy(stream.permutation(len(h))) for _ in range(SHUFFLES)]
    found, shuffled = kronecker_error(h, delta), _shuffled(h, delta, orders)
    return Numbers(
        {
            "kronecker_error": found,
            "kronecker_error_shuffled": shuffled,
            "kronecker_excess": _excess(found, shuffled),
            "covariance_excess": _excess(kronecker_error(h, delta, centred=True), shuffled),
            **identity,
        }
    )


def _drawn_pairs(kind: str, stream: Draws) -> tuple[torch.Tensor, torch.Tensor]:
    h = 1.0 + _with_common_factor(_normal(stream, PAIRS, H_FEATURES), stream)
    delta = 1.0 + _with_common_factor(_normal(stream, PAIRS, DELTA_FEATURES), stream)
    if kind == "dependent":
        delta = h[:, :DELTA_FEATURES]
    return torch.from_numpy(h), torch.from_numpy(delta)


def _net_pairs(layer: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Return inputs of one linear layer, gradients at its outputs, and how far ∂L/∂W is from their product."""
    data = load()
    model = build_model(
        "plain",
        in_features=data.x.shape[1],
        num_classes=data.num_classes,
        depth=NET_DEPTH,
        width=NET_WIDTH,
        norm_layer=no_norm,
        norm_position="before",
        initialize=he,
        generator=torch.Generator().manual_seed(seed),
    ).double()
    linear = [module for module in model.modules() if isinstance(module, torch.nn.Linear)][layer]
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    handle = linear.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    # A sum over samples: each row of ∂L/∂z is the gradient of that sample's own loss.
    loss = torch.nn.functional.cross_entropy(model(data.x.double()), data.y, reduction="sum")
    handle.remove()
    ((h, z),) = seen
    delta, weight = torch.autograd.grad(loss, [z, linear.weight])
    return h.detach(), delta, weight_gradient_error(weight, h, delta)


def _shuffled(h: torch.Tensor, delta: torch.Tensor, orders: list[torch.Tensor]) -> float:
    """Root mean square error of pairs that do not belong together: what sampling alone gives."""
    errors = [kronecker_error(h, delta[order]) for order in orders]
    return math.sqrt(math.fsum(e * e for e in errors) / len(errors))


def _excess(error: float, noise: float) -> float:
    return math.sqrt(max(0.0, error * error - noise * noise))
