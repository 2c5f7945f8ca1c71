"""How far the distribution of each unit moves from one set of values to the next."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ics_bench.probes.gaussian_kl import gaussian_kl
from ics_bench.probes.wasserstein import wasserstein


@dataclass(frozen=True, slots=True)
class Drift:
    """Shift of a layer, taken unit by unit, then the median over units.

    Parameters
    ----------
    mean : float
        |Δμ|/σ, σ of the values before.
    log_std : float
        |Δ ln σ|.
    wasserstein : float
        Wasserstein-1 distance over σ.
    kl : float
        KL(before ‖ after) between the Gaussians of the same moments, in nats.
    excluded : int
        Units without variance before or after. They have no scale to measure by and take no part.
    units : int
        All units.

    The four are NaN if a value is not finite or no unit is left.
    """

    mean: float
    log_std: float
    wasserstein: float
    kl: float
    excluded: int
    units: int


def drift(before: torch.Tensor, after: torch.Tensor) -> Drift:
    """Measure how far ``after`` lies from ``before``, in float64.

    Between the pre-activations of one batch at steps t and t+1 this is the drift of a layer; between
    those of two disjoint batches at one step it is sampling noise alone.

    Parameters
    ----------
    before, after : Tensor
        ``(N, C, *)`` and ``(M, C, *)``. A unit is one of the C features; positions count as samples.

    Raises
    ------
    ValueError
        If a sample is empty, or the two differ in their units.
    """
    first, second = _by_unit(before), _by_unit(after)
    if first.shape[1] != second.shape[1] or not len(first) or not len(second):
        raise ValueError(f"no drift from shape {tuple(before.shape)} to shape {tuple(after.shape)}")
    units = first.shape[1]
    if not bool(first.isfinite().all() and second.isfinite().all()):
        return Drift(math.nan, math.nan, math.nan, math.nan, 0, units)
    varies = (first.amax(dim=0) > first.amin(dim=0)) & (second.amax(dim=0) > second.amin(dim=0))
    first, second = first[:, varies], second[:, varies]
    excluded = units - first.shape[1]
    if excluded == units:
        return Drift(math.nan, math.nan, math.nan, math.nan, excluded, units)
    mean, other_mean = first.mean(dim=0), second.mean(dim=0)
    std, other_std = first.std(dim=0, correction=0), second.std(dim=0, correction=0)
    means, log_stds, distances, divergences = _medians(
        (other_mean - mean).abs() / std,
        (other_std.log() - std.log()).abs(),
        wasserstein(first, second) / std,
        gaussian_kl(mean, std, other_mean, other_std),
    )
    return Drift(means, log_stds, distances, divergences, excluded, units)


def _by_unit(values: torch.Tensor) -> torch.Tensor:
    """``(N, C, *)`` as ``(N·positions, C)`` in float64."""
    return values.detach().to(torch.float64).movedim(1, -1).flatten(0, -2)


def _medians(*by_unit: torch.Tensor) -> list[float]:
    """Medians over units, the mean of the middle two where their number is even."""
    found: list[float] = torch.stack(by_unit).quantile(0.5, dim=1).tolist()
    return found
