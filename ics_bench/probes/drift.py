"""How far the distribution of each unit moves from one set of values to the next."""

from __future__ import annotations

import math
from collections.abc import Sequence
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
    return drifts([before], [after])[0]


def drifts(before: Sequence[torch.Tensor], after: Sequence[torch.Tensor]) -> list[Drift]:
    """Measure the drift of several layers; those of one shape are measured in one pass.

    Parameters
    ----------
    before, after : sequence of Tensor
        Of each layer, as `drift` takes them; as many before as after.

    Returns
    -------
    list of Drift
        One a layer, as `drift` gives it, up to the order in which a sum is taken.

    Raises
    ------
    ValueError
        As `drift`, or if the two differ in their number of layers.
    """
    if len(before) != len(after):
        raise ValueError(f"no drift from {len(before)} layers to {len(after)}")
    by_shape: dict[tuple[int, ...], list[int]] = {}
    samples = []
    for place, pair in enumerate(zip(before, after, strict=True)):
        first, second = (_by_unit(values) for values in pair)
        if first.shape[1] != second.shape[1] or not len(first) or not len(second):
            raise ValueError(f"no drift from shape {tuple(pair[0].shape)} to shape {tuple(pair[1].shape)}")
        samples.append((first, second))
        by_shape.setdefault((*first.shape, len(second)), []).append(place)
    found: dict[int, Drift] = {}
    for places in by_shape.values():
        together = _drifts(*(torch.stack(side, dim=1) for side in zip(*(samples[i] for i in places), strict=True)))
        found |= zip(places, together, strict=True)
    return [found[place] for place in range(len(samples))]


def _drifts(first: torch.Tensor, second: torch.Tensor) -> list[Drift]:
    """Drifts of L layers from ``(N, L, C)`` and ``(M, L, C)``."""
    layers, units = first.shape[1:]
    first, second = first.flatten(1), second.flatten(1)
    mean, other_mean = first.mean(dim=0), second.mean(dim=0)
    std, other_std = first.std(dim=0, correction=0), second.std(dim=0, correction=0)
    by_unit = torch.stack(
        (
            (other_mean - mean).abs() / std,
            (other_std.log() - std.log()).abs(),
            wasserstein(first, second) / std,
            gaussian_kl(mean, std, other_mean, other_std),
        )
    ).view(4, layers, units)
    varies = ((first.amax(dim=0) > first.amin(dim=0)) & (second.amax(dim=0) > second.amin(dim=0))).view(layers, units)
    finite = (first.isfinite().all(dim=0) & second.isfinite().all(dim=0)).view(layers, units).all(dim=1)
    by_unit[:, ~finite] = math.nan
    if bool(varies.all()):
        return _summaries(by_unit, 0, units)
    found = []
    for values, used in zip(by_unit.unbind(1), varies | ~finite[:, None], strict=True):
        found += _summaries(values[:, None, used], units - int(used.sum()), units)
    return found


def _by_unit(values: torch.Tensor) -> torch.Tensor:
    """``(N, C, *)`` as ``(N·positions, C)`` in float64."""
    return values.detach().to(torch.float64).movedim(1, -1).flatten(0, -2)


def _summaries(by_unit: torch.Tensor, excluded: int, units: int) -> list[Drift]:
    """Medians over the units of ``(4, L, C)``, the mean of the middle two where their number is even."""
    if not by_unit.shape[2]:
        by_unit = by_unit.new_full((*by_unit.shape[:2], 1), math.nan)
    medians = by_unit.quantile(0.5, dim=2).T.tolist()
    return [Drift(mean, log_std, distance, kl, excluded, units) for mean, log_std, distance, kl in medians]
