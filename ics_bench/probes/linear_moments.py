"""Mean and variance of z = Wh + b, as predicted from the moments of h."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class UnitMoments:
    """Mean and population variance of every unit, ``(units,)`` in float64."""

    mean: torch.Tensor
    variance: torch.Tensor

    @property
    def std(self) -> torch.Tensor:
        """Standard deviation of every unit."""
        return self.variance.sqrt()


def unit_moments(z: torch.Tensor) -> UnitMoments:
    """Take the moments of each column of ``z``, ``(N, units)``, over the samples."""
    z = z.detach().to(torch.float64)
    mean = z.mean(dim=0)
    return UnitMoments(mean, (z - mean).square().mean(dim=0))


def predict_independent(weight: torch.Tensor, bias: torch.Tensor, h: UnitMoments) -> UnitMoments:
    """E[z] = W E[h] + b and Var[z_j] = Σ_i W_ji² Var[h_i].

    The first holds always, the second for uncorrelated inputs alone.

    Parameters
    ----------
    weight : Tensor
        ``(out, in)``.
    bias : Tensor
        ``(out,)``.
    h : UnitMoments
        Of the inputs.
    """
    w = weight.detach().to(torch.float64)
    return UnitMoments(w @ h.mean + bias.detach().to(torch.float64), w.square() @ h.variance)


def predict_correlated(weight: torch.Tensor, bias: torch.Tensor, h: torch.Tensor) -> UnitMoments:
    """E[z] = W E[h] + b and Var[z_j] = (W Cov[h] Wᵀ)_jj, which holds for any inputs ``(N, in)``."""
    w, h = weight.detach().to(torch.float64), h.detach().to(torch.float64)
    mean = h.mean(dim=0)
    covariance = (h - mean).T @ (h - mean) / len(h)
    return UnitMoments(w @ mean + bias.detach().to(torch.float64), (w @ covariance * w).sum(dim=1))


def mean_error(predicted: UnitMoments, found: UnitMoments) -> float:
    """Root mean square over units of the error of the mean, in standard deviations of the unit."""
    return _rms((predicted.mean - found.mean) / found.std)


def variance_error(predicted: UnitMoments, found: UnitMoments) -> float:
    """Root mean square over units of the relative error of the variance."""
    return _rms(predicted.variance / found.variance - 1.0)


def _rms(errors: torch.Tensor) -> float:
    return math.sqrt(float(errors.square().mean()))
