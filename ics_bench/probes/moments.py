"""Mean, standard deviation, root mean square and second moment of a tensor, in float64."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Moments:
    """Population moments over all entries of a tensor.

    Parameters
    ----------
    mean : float
    std : float
        Population standard deviation (divisor N).
    rms : float
        Square root of the second moment. It lies between 0 and the largest absolute entry, so it
        leaves float64's range only with the tensor itself.
    """

    mean: float
    std: float
    rms: float

    @property
    def second_moment(self) -> float:
        """E[x²]; 0 or inf where the true value lies outside float64, while `rms` still holds it."""
        return self.rms * self.rms


def moments(x: torch.Tensor) -> Moments:
    """Take the moments of all entries of ``x``, whatever its shape and floating dtype.

    Entries are converted to float64 and divided by the largest absolute one before they are squared,
    so nothing under- or overflows on the way. A tensor with infinite entries has infinite ``rms`` and
    no standard deviation (NaN); one with NaN entries has NaN throughout.

    Raises
    ------
    ValueError
        If ``x`` is empty.
    """
    if x.numel() == 0:
        raise ValueError(f"moments of an empty tensor of shape {tuple(x.shape)}")
    x = x.detach().to(torch.float64)
    scale = float(x.abs().max())
    if scale == 0.0:
        return Moments(0.0, 0.0, 0.0)
    if not math.isfinite(scale):
        return Moments(float(x.mean()), math.nan, scale)
    if scale < torch.finfo(torch.float64).tiny:  # a subnormal divisor: float64 has no reciprocal for it
        lifted = moments(x * _LIFT)
        return Moments(lifted.mean / _LIFT, lifted.std / _LIFT, lifted.rms / _LIFT)
    unit = x / scale
    mean = unit.mean()
    std = (unit - mean).square().mean().sqrt()
    rms = unit.square().mean().sqrt()
    return Moments(scale * float(mean), scale * float(std), scale * float(rms))


_LIFT = 2.0**100
"""Exact factor that brings float64's subnormal numbers into the normal range."""


def norm(x: torch.Tensor) -> float:
    """Euclidean norm of all entries of ``x``, taken in float64 as in `moments`."""
    return moments(x).rms * math.sqrt(x.numel())
