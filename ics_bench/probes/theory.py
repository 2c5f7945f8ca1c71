r"""Mean-field theory of signals in wide random networks, by quadrature.

Throughout, ``gain`` is n·Var[W] of a square layer of width n, and q the second moment of its
pre-activations, which are Gaussian in the limit of large width (Poole et al. 2016,
arXiv:1606.05340; Schoenholz et al. 2017, arXiv:1611.01232).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

REACH = 12.0
"""Standard deviations integrated on either side; the Gaussian weight beyond is below 1e-31."""

NODES = 400
"""Gauss–Legendre nodes a side: they crowd at 0, where ReLU has its kink and a saturated tanh its step."""


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


_FUNCTIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "relu": (lambda x: np.maximum(x, 0.0), lambda x: (x > 0).astype(np.float64)),
    "tanh": (np.tanh, lambda x: 1.0 - np.tanh(x) ** 2),
    "sigmoid": (_sigmoid, lambda x: _sigmoid(x) * _sigmoid(-x)),
    "identity": (lambda x: x, np.ones_like),
}


@functools.cache
def _nodes() -> tuple[Array, Array]:
    points, weights = np.polynomial.legendre.leggauss(NODES)
    half = 0.5 * REACH * (points + 1.0)
    z = np.concatenate([-half[::-1], half])
    w = 0.5 * REACH * np.concatenate([weights[::-1], weights])
    return z, w * np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)


def expectation(function: Callable[[Array], Array], q: float) -> float:
    """E[f(√q z)] over z ~ N(0, 1); ``function`` must be smooth on either side of 0."""
    z, weights = _nodes()
    return float(np.sum(weights * function(math.sqrt(q) * z)))


def mean_square(activation: str, q: float) -> float:
    """E[φ(√q z)²], the second moment of the activations."""
    phi = _FUNCTIONS[activation][0]
    return expectation(lambda x: phi(x) ** 2, q)


def mean_square_slope(activation: str, q: float) -> float:
    """E[φ'(√q z)²], the mean squared slope of the activation."""
    slope = _FUNCTIONS[activation][1]
    return expectation(lambda x: slope(x) ** 2, q)


def q_map(activation: str, q: float, gain: float, bias_variance: float = 0.0) -> float:
    """Second moment one layer on: gain·E[φ(√q z)²] + Var[b], the length map of Poole et al. 2016."""
    return gain * mean_square(activation, q) + bias_variance


def second_moment_rate(activation: str, q: float, gain: float) -> float:
    """Factor of the second moment from one layer to the next, gain·E[φ(√q z)²] / q, without bias."""
    return q_map(activation, q, gain) / q


def chi(activation: str, q: float, gain: float) -> float:
    """χ₁ = gain·E[φ'(√q z)²], the factor of the squared gradient norm per layer (Schoenholz et al. 2017)."""
    return gain * mean_square_slope(activation, q)


def fixed_point(activation: str, gain: float, bias_variance: float = 0.0, q: float = 1.0) -> float:
    """Second moment q* that the map keeps, reached by iteration from ``q``.

    Raises
    ------
    ValueError
        If the map grows without bound or has not settled after 10 000 layers.
    """
    for _ in range(10_000):
        following = q_map(activation, q, gain, bias_variance)
        if abs(following - q) <= 1e-12 * q:
            return following
        if not 0.0 < following < 1e100:
            break
        q = following
    raise ValueError(f"{activation} at gain {gain:g}: the second moment has no fixed point that iteration reaches")


def second_moments(
    activation: str, depth: int, gain: float, bias_variance: float = 0.0, normalized: bool = False
) -> tuple[float, ...]:
    """Predict the second moments of the pre-activations in layers 1 … ``depth``, from inputs N(0, 1).

    Parameters
    ----------
    normalized : bool
        Whether a norm before each activation brings the second moment to 1.
    """
    q = gain + bias_variance
    curve = [q]
    for _ in range(depth - 1):
        q = q_map(activation, 1.0 if normalized else q, gain, bias_variance)
        curve.append(q)
    return tuple(curve)


def feature_norm_gradient_rate(
    activation: str, group_size: int, centred: bool, gain: float = 1.0, bias_variance: float = 0.0
) -> float:
    """Factor per layer of the squared gradient norm when a norm over features stands before each activation.

    Dividing ``group_size`` = m independent Gaussian features of variance s² by their own standard
    deviation multiplies an independent gradient's squared norm by E[m/χ²_{m−1}]·(m−2)/m =
    (m−2)/(m−3) over s², the projection taking out the mean and the radial direction; without
    centring by (m−1)/(m−2). The rest is χ₁ at q = 1. It is the argument of Yang et al. 2019 for
    linear batch norm, with the features of a sample in the place of the samples of a batch. As m
    grows the factor tends to E[φ'²]/E[φ²]. For ReLU and identity it depends on the norm alone; for
    other activations a small m makes the normalized features visibly non-Gaussian, which is left out.

    Raises
    ------
    ValueError
        If the group is so small that the mean does not exist.
    """
    least = 4 if centred else 3
    if group_size < least:
        raise ValueError(f"group_size={group_size}: the expected gradient is infinite below {least} features")
    free = group_size - 1 if centred else group_size
    variance = q_map(activation, 1.0, gain, bias_variance)
    return (free - 1) / (free - 2) * chi(activation, 1.0, gain) / variance


def batch_norm_gradient_rate(activation: str, batch_size: int) -> float | None:
    """Factor per layer of the squared gradient norm with batch norm, deep inside a wide network.

    Linear: (B−2)/(B−3). ReLU: π/(π−1), its limit for large batches; small batches explode faster
    (Yang et al. 2019, arXiv:1902.08129). Both hold at every initialization scale and for widths far
    above the batch size.

    Returns
    -------
    float or None
        ``None`` where no closed form is given here.
    """
    if activation == "relu":
        return math.pi / (math.pi - 1.0)
    if activation == "identity" and batch_size > 3:
        return (batch_size - 2) / (batch_size - 3)
    return None
