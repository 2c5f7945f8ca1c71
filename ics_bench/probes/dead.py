"""Zero entries, and units that are zero on every sample."""

from __future__ import annotations

import math

import torch


def zero_fraction(activations: torch.Tensor) -> float:
    """Share of entries that are exactly zero; NaN if any entry is NaN.

    About one half after any symmetric ReLU layer, however healthy: see `dead_fraction` for units
    that do nothing.
    """
    if bool(activations.isnan().any()):
        return math.nan
    return float((activations == 0).to(torch.float64).mean())


def dead_fraction(activations: torch.Tensor) -> float:
    """Share of units that are zero on all samples and positions; NaN if any entry is NaN.

    Parameters
    ----------
    activations : Tensor
        Shape ``(N, C, *)``; a unit is one of the C features.
    """
    if bool(activations.isnan().any()):
        return math.nan
    by_unit = activations.movedim(1, 0).flatten(1)
    return float((by_unit == 0).all(dim=1).to(torch.float64).mean())
