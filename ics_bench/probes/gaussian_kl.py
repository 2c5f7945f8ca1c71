"""Kullback–Leibler divergence between two Gaussians, unit by unit."""

from __future__ import annotations

import torch


def gaussian_kl(
    mean: torch.Tensor, std: torch.Tensor, other_mean: torch.Tensor, other_std: torch.Tensor
) -> torch.Tensor:
    """KL(N(mean, std²) ‖ N(other_mean, other_std²)) of each unit, in nats and in float64.

    Parameters
    ----------
    mean, std, other_mean, other_std : Tensor
        One shape, ``(C,)``; standard deviations above 0, else the result is infinite or NaN.

    Returns
    -------
    Tensor ``(C,)``
        ln(σ₂/σ₁) + (σ₁² + (μ₁ − μ₂)²) / (2σ₂²) − ½ (Kullback & Leibler 1951, for normal densities).
        The difference of nearly equal terms is taken as ½(e − ln(1 + e)), e = (σ₁/σ₂)² − 1, so that
        small divergences keep their digits.
    """
    mean, std, other_mean, other_std = (t.detach().to(torch.float64) for t in (mean, std, other_mean, other_std))
    excess = (std - other_std) * (std + other_std) / other_std.square()
    distance = (mean - other_mean) / other_std
    return 0.5 * (excess - torch.log1p(excess) + distance.square())
