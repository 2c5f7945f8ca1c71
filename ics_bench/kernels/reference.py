"""The oracle: every norm, forward and backward, in float64 NumPy. Slow, plain, and never a rival."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ics_bench.kernels.spec import Problem, view

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a kernel reads, after quantization to its dtype, widened to float64.

    Parameters
    ----------
    x, dy : ndarray
        In the problem's shape.
    weight, bias, running_mean, running_var : ndarray
        ``(num_features,)``. The running statistics are those before the call.
    residual, ds : ndarray, optional
        In the problem's shape, where it has a residual.
    """

    x: Array
    dy: Array
    weight: Array
    bias: Array
    running_mean: Array
    running_var: Array
    residual: Array | None = None
    ds: Array | None = None


@dataclass(frozen=True, slots=True)
class Statistics:
    """Means of each reduction set, shaped to broadcast against the problem's `view`.

    ``mean`` and ``rstd`` are those that the norm divides by, so zero and 1/√(mean square + eps) for RMS
    norm, and the running ones for batch norm in evaluation. ``variance`` is biased.
    ``mean_magnitude``, the mean of abs(x), and ``root_mean_square`` scale the error bounds.
    """

    mean: Array
    variance: Array
    rstd: Array
    mean_magnitude: Array
    root_mean_square: Array


PRECISION = {"float32": (24, -149), "bfloat16": (8, -133), "float16": (11, -24)}
"""Binary digits of a significand, and the exponent of the smallest number."""


def quantize(values: Array, dtype: str) -> Array:
    """Round to the nearest number of ``dtype``, ties to even; numbers beyond its largest stay as they are."""
    digits, smallest = PRECISION[dtype]
    exponents = np.maximum(np.frexp(values)[1] - digits, smallest)
    return np.asarray(np.ldexp(np.rint(np.ldexp(values, -exponents)), exponents))


def without_residual(problem: Problem, inputs: Inputs) -> tuple[Problem, Inputs]:
    """Put s = x + r, rounded to the dtype, in the place of x; a problem without a residual stays as it is.

    Raises
    ------
    ValueError
        If there is no r.
    """
    if not problem.residual:
        return problem, inputs
    if inputs.residual is None:
        raise ValueError(f"{problem.norm} norm with a residual needs inputs.residual; `inputs.draw` makes it")
    s = quantize(inputs.x + inputs.residual, problem.dtype)
    return replace(problem, residual=False), replace(inputs, x=s, residual=None)


def stream_gradient(problem: Problem, inputs: Inputs) -> Array:
    """Return ds, which the backward pass of a problem with a residual adds.

    Raises
    ------
    ValueError
        If there is none.
    """
    if inputs.ds is None:
        raise ValueError(f"{problem.norm} norm with a residual needs inputs.ds; `inputs.draw` makes it")
    return inputs.ds


def scale_of(problem: Problem, inputs: Inputs) -> Array:
    """Return what x̂ is multiplied with: γ, or 1 + γ where the problem says so. ``(num_features,)``."""
    return inputs.weight + problem.weight_offset


def statistics(problem: Problem, inputs: Inputs) -> Statistics:
    """Take the statistics in two passes, so that a large mean does not cancel."""
    problem, inputs = without_residual(problem, inputs)
    seen = view(problem)
    x = inputs.x.reshape(seen.shape)
    if problem.norm == "batch" and not problem.training:
        mean = inputs.running_mean.reshape(seen.parameters)
        variance = inputs.running_var.reshape(seen.parameters)
        rstd = 1.0 / np.sqrt(variance + problem.eps)
        return Statistics(mean, variance, rstd, np.abs(mean), np.sqrt(variance + mean**2))
    magnitude = np.abs(x).mean(axis=seen.reduced, keepdims=True)
    mean_square = np.square(x).mean(axis=seen.reduced, keepdims=True)
    if problem.norm == "rms":
        mean, variance = np.zeros_like(mean_square), mean_square
    else:
        mean = x.mean(axis=seen.reduced, keepdims=True)
        variance = np.square(x - mean).mean(axis=seen.reduced, keepdims=True)
    return Statistics(mean, variance, 1.0 / np.sqrt(variance + problem.eps), magnitude, np.sqrt(mean_square))


def forward(problem: Problem, inputs: Inputs) -> dict[str, Array]:
    """Return y = γ(x − μ)/√(σ² + eps) + β, and the running statistics after the call.

    Ioffe & Szegedy 2015, algorithm 1, with the means of Ba et al. 2016, Wu & He 2018 or Ulyanov et al.
    2016; without μ and β for RMS norm (Zhang & Sennrich 2019, eq. 4). Where γ is zero-centred, 1 + γ
    takes its place. The running variance takes the unbiased variance of the batch. With a residual, s = x + r is
    rounded to the dtype, returned, and normalized.
    """
    if problem.residual:
        plain, stream = without_residual(problem, inputs)
        return {**forward(plain, stream), "s": stream.x}
    seen = view(problem)
    taken = statistics(problem, inputs)
    normalized = (inputs.x.reshape(seen.shape) - taken.mean) * taken.rstd
    y = scale_of(problem, inputs).reshape(seen.parameters) * normalized
    if problem.norm != "rms":
        y = y + inputs.bias.reshape(seen.parameters)
    results = {"y": y.reshape(problem.shape)}
    if "running_mean" in problem.outputs:
        count = problem.elements // problem.num_features
        unbiased = taken.variance.ravel() * count / (count - 1)
        keep, take = 1.0 - problem.momentum, problem.momentum
        results["running_mean"] = keep * inputs.running_mean + take * taken.mean.ravel()
        results["running_var"] = keep * inputs.running_var + take * unbiased
    return results


def backward(problem: Problem, inputs: Inputs) -> dict[str, Array]:
    """Return dx, dγ = Σ dy·x̂ and dβ = Σ dy.

    dx = (g − mean(g) − x̂·mean(g·x̂))/√(σ² + eps) with g = γ·dy, or (1 + γ)·dy (Ioffe & Szegedy 2015, section 3); without
    mean(g) for RMS norm; g/√(σ² + eps) where the statistics are constants. With a residual, dx is the gradient
    of s = x + r, to which ds is added.
    """
    if problem.residual:
        ds = stream_gradient(problem, inputs)
        results = backward(*without_residual(problem, inputs))
        return {**results, "dx": results["dx"] + ds}
    seen = view(problem)
    taken = statistics(problem, inputs)
    normalized = (inputs.x.reshape(seen.shape) - taken.mean) * taken.rstd
    dy = inputs.dy.reshape(seen.shape)
    g = scale_of(problem, inputs).reshape(seen.parameters) * dy
    inner = g
    if problem.training or problem.norm != "batch":
        inner = g - normalized * (g * normalized).mean(axis=seen.reduced, keepdims=True)
        if problem.norm != "rms":
            inner = inner - g.mean(axis=seen.reduced, keepdims=True)
    results = {
        "dx": (inner * taken.rstd).reshape(problem.shape),
        "dweight": (dy * normalized).sum(axis=seen.summed).ravel(),
        "dbias": dy.sum(axis=seen.summed).ravel(),
    }
    return {name: results[name] for name in problem.outputs}


def evaluate(problem: Problem, inputs: Inputs) -> dict[str, Array]:
    """Return every output of the problem, by name."""
    return forward(problem, inputs) if problem.direction == "forward" else backward(problem, inputs)
