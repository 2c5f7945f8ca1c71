"""Share of activations on the flat ends of tanh and sigmoid."""

from __future__ import annotations

import math

import torch

SATURATION_LEVEL = 0.97
"""Output beyond which a bounded activation counts as saturated: |a| for tanh, a or 1 − a for sigmoid."""

BOUNDED = ("tanh", "sigmoid")
"""Activations that saturate."""


def saturated_fraction(activations: torch.Tensor, activation: str) -> float:
    """Share of entries with |a| > 0.97 (tanh) or outside [0.03, 0.97] (sigmoid); NaN if any is NaN.

    Parameters
    ----------
    activations : Tensor
        Outputs of the activation, any shape.
    activation : {"tanh", "sigmoid"}

    Raises
    ------
    ValueError
        For an activation without a bound to saturate at.
    """
    if activation not in BOUNDED:
        raise ValueError(f"activation {activation!r} does not saturate; expected one of {BOUNDED}")
    if bool(activations.isnan().any()):
        return math.nan
    values = activations.to(torch.float64)
    distance = values.abs() if activation == "tanh" else torch.maximum(values, 1.0 - values)
    return float((distance > SATURATION_LEVEL).to(torch.float64).mean())
