r"""How far a correct kernel may be from the oracle: derived, element by element, never tuned.

Model. Inputs are exact; arithmetic is float32 with unit roundoff ε = 2⁻²⁴; the result is rounded once
to its own type with unit roundoff u. A sum of n terms computed in any order whose longest chain has k
additions errs by at most γ(k)·Σ|terms|, γ(k) = kε/(1 − kε) (Higham 2002, section 4.2). The provider
declares k; `EXTRA` covers the roundings outside the chain.

Notation per reduction set: μ, σ²; r = 1/√(σ² + eps); x̂ = (x − μ)r; A = mean|x|; Q = √mean(x²);
g = γ·dy; m₁ = mean(g); m₂ = mean(g·x̂). Write G for γ(k).

Statistics. |μ̂ − μ| ≤ G·A. Two-pass variances err by G·σ² + (G·A)², Welford's and Chan's by G·σ·Q (Chan,
Golub & LeVeque 1983, table 1). Both stay below r̂'s relative error of

    G·ρ,   ρ = 1 + Q·r,

because σr ≤ 1, A ≤ Q, r̂'s error is half of the variance's, and (G·A·r)² ≤ G·Q·r while G·ρ ≤ ½, which is
required. The textbook one-pass E[x²] − μ² errs by G·Q²r² and is *not* covered: it is a bug.
RMS norm has no cancellation: A = 0 in what follows, ρ = 1.

Normalized value. (x − μ̂)r̂, or x·r̂ − μ̂·r̂, errs by at most G·X with

    X = r(|x| + 2A) + ρ|x̂|

(roundings scale with r|x| and r|μ| ≤ rA; the mean's error with rA; r̂'s with |x̂|).

Forward.   |ŷ − y| ≤ u|y| + τ + G(|γ|X + |β|).
The shorter |γ|(|x| + |μ|)r + |β| is exceeded by correct kernels where x and μ are both near zero: the
mean's error is relative to A, not to μ.

Parameters. |dβ̂ − dβ| ≤ u|dβ| + τ + G_p·Σ|dy|, and |dγ̂ − dγ| ≤ u|dγ| + τ + G_p·Σ|dy|X with G_p = γ(k_moments +
k_parameters): each term errs by G·|dy|X, and the sum, also when split as (Σdy·x − μΣdy)r, adds
γ(k_parameters)·Σ|dy|(|x| + |μ|)r.

Input. dx = r(g − m₁ − x̂m₂). m̂₁ errs by γ(k_sums)·mean|g|, m̂₂ by γ(k_moments + k_sums)·mean(|g|X); x̂m₂ by
G·X|m₂|, |x̂| times m̂₂'s error, and the product of both errors; r̂ by Gρ on each of the three terms,
where ρ|x̂| ≤ X. With D = γ(2k_moments + k_sums):

    |dx̂ − dx| ≤ u|dx| + τ + D·r·[ρ(|g| + mean|g|) + X|m₂| + (|x̂| + D·X)·mean(|g|X)].

The form c₁·dy + c₂·x + c₃ that fused kernels use is covered: |c₂x| = r·r|x||m₂| ≤ r·X|m₂|.

Zero-centred γ. The kernel forms fl(1 + γ) = (1 + γ)(1 + δ), |δ| ≤ ε. With 1 + γ for γ in the above, y errs by a further
ε|1 + γ||x̂| ≤ ε|1 + γ|X, and dx, which is linear in g, by ε·r·[|g| + mean|g| + |x̂|·mean|g·x̂|], each no more than the
bracket's own term: one more rounding in k_moments covers both. dγ does not depend on γ.

Residual. s is x + r, rounded once: the very number that the reference has. Through float32 it is the same, as two
roundings are one where the wider format has 2p + 2 digits (Figueroa 1995), 18 for bfloat16, 24 for float16. The bound
(u|s| + τ)/2 is less than the distance to any other number of the type. So every kernel normalizes the same s, and y, dγ
and dβ have the bounds above with s for x. Whoever normalizes the unrounded sum errs by up to r|γ|u|s| more, which is
*not* covered: that y is not the norm of the s that is returned. dx = n + ds, n being the norm's gradient with an error
E = D·r·[...]. A sum of two tensors first rounds n to its type, so that E becomes E + u(|n| + E) + τ; a provider that
keeps n in float32 declares that it does not (`Chains.rounds_first`). The sum itself errs by ε|n̂ + ds|, hence

    |dx̂ − dx| ≤ u|dx| + τ + (1 + u)((1 + ε)E + ε|dx|).

Running statistics. G·A and G·σ(σ + Q) + (G·A)², scaled by momentum, plus the update's own roundings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ics_bench.kernels.provider import Chains
from ics_bench.kernels.reference import (
    Array,
    Inputs,
    Statistics,
    evaluate,
    scale_of,
    statistics,
    stream_gradient,
    without_residual,
)
from ics_bench.kernels.spec import Problem, View, view

EPSILON = 2.0**-24
"""Unit roundoff of float32, the type that kernels compute in."""

EXTRA = 8
"""Roundings outside the chain: the term itself (a difference and two products), the division by n, the sum
with eps, the reciprocal root (2), and the final product."""

UNIT_ROUNDOFF = {"float32": 2.0**-24, "bfloat16": 2.0**-8, "float16": 2.0**-11}
HALF_SUBNORMAL = {"float32": 2.0**-150, "bfloat16": 2.0**-134, "float16": 2.0**-25}
"""Half the spacing of subnormal numbers: the rounding error τ of a result too small for u to scale it."""


class UnboundedError(ValueError):
    """No float32 kernel with such chains, on such inputs, is bounded."""


def gamma(chain: int) -> float:
    """Higham's γ for a chain of additions and the `EXTRA` roundings around it.

    Raises
    ------
    UnboundedError
        If the chain is so long that float32 sums of it have no bound.
    """
    product = (chain + EXTRA) * EPSILON
    if product >= 0.5:
        raise UnboundedError(f"a chain of {chain} float32 additions has no useful error bound")
    return product / (1.0 - product)


def require_bounded(problem: Problem, chains: Chains) -> None:
    """Refuse chains that leave the problem without a bound, whatever its inputs: no array is needed to know.

    Raises
    ------
    UnboundedError
        If they are too long.
    """
    moments = chains.moments + problem.zero_centered
    gamma(moments)
    if problem.direction == "backward":
        gamma(2 * moments + chains.sums)
        gamma(moments + chains.parameters)


def amplification(problem: Problem, taken: Statistics) -> Array:
    """Return ρ: how much more than the mean's relative error 1/σ may be off.

    Parameters
    ----------
    problem : Problem
    taken : Statistics
        Of every set, in float64.

    Returns
    -------
    array of float64
        Of the shape of ``taken.rstd``.
    """
    exact = problem.norm == "rms" or (problem.norm == "batch" and not problem.training)
    return np.ones_like(taken.rstd) if exact else 1.0 + taken.root_mean_square * taken.rstd


def normalized_scale(problem: Problem, taken: Statistics, x: Array, rho: Array) -> Array:
    """Return X: the error of x̂ in units of G.

    Parameters
    ----------
    problem : Problem
    taken : Statistics
        Of every set, in float64.
    x : array
        Which broadcasts against them.
    rho : array
        `amplification`.

    Returns
    -------
    array of float64
        Of the shape of ``x``.
    """
    magnitude = np.zeros_like(taken.mean) if problem.norm == "rms" else taken.mean_magnitude
    normalized = np.abs(x - taken.mean) * taken.rstd
    return np.asarray(taken.rstd * (np.abs(x) + 2.0 * magnitude) + rho * normalized)


def error_bounds(
    problem: Problem, inputs: Inputs, chains: Chains, exact: Mapping[str, Array] | None = None
) -> dict[str, Array]:
    """Bound |computed − exact| for every element of every output (see the module's derivation).

    Parameters
    ----------
    problem : Problem
    inputs : Inputs
    chains : Chains
        The provider's longest chains of additions.
    exact : mapping of str to ndarray, optional
        The oracle's results for these inputs, where they are known already.

    Returns
    -------
    dict of str to ndarray
        One array for each of ``problem.outputs``, of that output's shape.

    Raises
    ------
    UnboundedError
        If the mean is so much larger than the deviation that no float32 kernel with such chains is bounded, or
        the chains are too long for any inputs. The oracle is not asked before that is known.
    """
    require_bounded(problem, chains)
    whole, given = problem, inputs
    problem, inputs = without_residual(problem, inputs)
    seen = view(problem)
    taken = statistics(problem, inputs)
    if problem.zero_centered:
        chains = replace(chains, moments=chains.moments + 1)
    rho = amplification(problem, taken)
    if rho.size and gamma(chains.moments) * rho.max() > 0.5:
        raise UnboundedError(
            f"a chain of {chains.moments} float32 additions has no error bound where the mean exceeds the deviation so"
        )
    if exact is None:
        exact = evaluate(whole, given)
    scale = normalized_scale(problem, taken, inputs.x.reshape(seen.shape), rho)
    if problem.direction == "forward":
        arithmetic = _forward(problem, inputs, taken, scale, chains, seen)
    else:
        arithmetic = _backward(problem, inputs, taken, rho, scale, chains, seen)
    if "s" in whole.outputs:
        arithmetic["s"] = np.zeros(problem.shape)
    if whole.residual and "dx" in exact:
        ds = stream_gradient(whole, inputs)
        arithmetic["dx"] = _with_stream(problem, arithmetic["dx"], exact["dx"], ds, chains)
    bounds = {}
    for name in whole.outputs:
        dtype = problem.dtype_of(name)
        u = UNIT_ROUNDOFF[dtype]
        bounds[name] = u * np.abs(exact[name]) + HALF_SUBNORMAL[dtype] + (1.0 + u) * arithmetic[name]
    if "s" in bounds:  # whose next neighbour must be beyond
        bounds["s"] *= 0.5
    return bounds


def _with_stream(problem: Problem, error: Array, exact: Array, ds: Array, chains: Chains) -> Array:
    """Bound the error of n + ds before its last rounding, from the error of n."""
    u = UNIT_ROUNDOFF[problem.dtype]
    if chains.rounds_first:
        error = u * np.abs(exact - ds) + HALF_SUBNORMAL[problem.dtype] + (1.0 + u) * error
    return np.asarray((1.0 + EPSILON) * error + EPSILON * np.abs(exact))


def _forward(
    problem: Problem, inputs: Inputs, taken: Statistics, scale: Array, chains: Chains, seen: View
) -> dict[str, Array]:
    g = gamma(chains.moments)
    y = np.abs(scale_of(problem, inputs).reshape(seen.parameters)) * scale
    if problem.norm != "rms":
        y = y + np.abs(inputs.bias.reshape(seen.parameters))
    bounds = {"y": (g * y).reshape(problem.shape)}
    if "running_mean" in problem.outputs:
        count = problem.elements // problem.num_features
        deviation, magnitude = np.sqrt(taken.variance).ravel(), taken.mean_magnitude.ravel()
        variance_error = g * deviation * (deviation + taken.root_mean_square.ravel()) + (g * magnitude) ** 2
        update = EXTRA * EPSILON
        take, unbiased = problem.momentum, count / (count - 1)
        bounds["running_mean"] = take * g * magnitude + update * (np.abs(inputs.running_mean) + take * magnitude)
        bounds["running_var"] = take * unbiased * variance_error + update * (
            inputs.running_var + take * unbiased * taken.variance.ravel()
        )
    return bounds


def _backward(
    problem: Problem, inputs: Inputs, taken: Statistics, rho: Array, scale: Array, chains: Chains, seen: View
) -> dict[str, Array]:
    dy = np.abs(inputs.dy.reshape(seen.shape))
    gain = scale_of(problem, inputs).reshape(seen.parameters)
    g = np.abs(gain) * dy
    inner = rho * g
    d = gamma(2 * chains.moments + chains.sums)
    if problem.training or problem.norm != "batch":
        normalized = (inputs.x.reshape(seen.shape) - taken.mean) * taken.rstd
        signed = gain * inputs.dy.reshape(seen.shape)
        product = np.abs((signed * normalized).mean(axis=seen.reduced, keepdims=True))
        product_scale = (g * scale).mean(axis=seen.reduced, keepdims=True)
        inner = inner + scale * product + (np.abs(normalized) + d * scale) * product_scale
        if problem.norm != "rms":
            inner = inner + rho * g.mean(axis=seen.reduced, keepdims=True)
    parameters = gamma(chains.moments + chains.parameters)
    return {
        "dx": (d * taken.rstd * inner).reshape(problem.shape),
        "dweight": parameters * (dy * scale).sum(axis=seen.summed).ravel(),
        "dbias": parameters * dy.sum(axis=seen.summed).ravel(),
    }
