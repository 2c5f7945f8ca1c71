"""How far the second moment of a layer's weight gradients is from the product of its factors' moments."""

from __future__ import annotations

import math

import torch

_ROWS = 512
"""Samples whose inner products with all others are held at once."""


def kronecker_error(h: torch.Tensor, delta: torch.Tensor, centred: bool = False) -> float:
    """Relative Frobenius distance of E[ggᵀ] from c·E[hhᵀ]⊗E[δδᵀ], g = vec(δhᵀ), at the best scalar c.

    With M = E[ggᵀ], K the product and ⟨·,·⟩ the Frobenius product, the best c is ⟨M,K⟩/⟨K,K⟩ and the
    distance √(1 − ⟨M,K⟩²/(⟨M,M⟩⟨K,K⟩)): 0 where the two are proportional, 1 where they are orthogonal.
    Neither matrix, of (in·out)² entries, is formed: all three products come from inner products of
    samples, ⟨M,M⟩ = E_ab[(h_a·h_b)²(δ_a·δ_b)²] and ⟨M,K⟩ = E_a[(h_aᵀAh_a)(δ_aᵀDδ_a)].

    A finite sample has such a distance even under independence, of about the root of the effective
    number of dimensions over N; pairs that are shuffled show how much.

    Parameters
    ----------
    h : Tensor
        Inputs of the layer ``(N, in)``.
    delta : Tensor
        Gradients with respect to its output ``(N, out)``, one a sample.
    centred : bool
        Whether to take the covariance of g, E[ggᵀ] − E[g]E[g]ᵀ, for M.

    Returns
    -------
    float
        NaN where one of the matrices is zero.

    Source: Martens & Grosse 2015, eq. 1 (the approximation); the identities follow from vec(δhᵀ) = h⊗δ.

    Raises
    ------
    ValueError
        If the rows do not belong together.
    """
    if h.ndim != 2 or delta.ndim != 2 or len(h) != len(delta) or not len(h):
        raise ValueError(f"inputs {tuple(h.shape)} and gradients {tuple(delta.shape)} are no rows of pairs")
    h, delta = h.detach().to(torch.float64), delta.detach().to(torch.float64)
    scales = float(h.abs().max()), float(delta.abs().max())
    if 0.0 in scales or not all(map(math.isfinite, scales)):
        return math.nan
    h, delta = h / scales[0], delta / scales[1]  # the answer has no scale, its fourth powers have
    n = len(h)
    a, d = h.T @ h / n, delta.T @ delta / n
    mm = sum(
        float(((h[i : i + _ROWS] @ h.T).square() * (delta[i : i + _ROWS] @ delta.T).square()).sum())
        for i in range(0, n, _ROWS)
    ) / (n * n)
    mk = float((((h @ a) * h).sum(dim=1) * ((delta @ d) * delta).sum(dim=1)).mean())
    kk = float(a.square().sum() * d.square().sum())
    if centred:
        mean = delta.T @ h / n
        along = ((delta @ mean) * h).sum(dim=1)
        mm += float(mean.square().sum()) ** 2 - 2 * float(along.square().mean())
        mk -= float((d @ mean @ a * mean).sum())
    if mm <= 0 or kk <= 0:
        return math.nan
    return math.sqrt(max(0.0, 1.0 - mk * mk / (mm * kk)))


def weight_gradient_error(gradient: torch.Tensor, h: torch.Tensor, delta: torch.Tensor) -> float:
    """Relative Frobenius distance of a layer's weight gradient from Σ_a δ_a h_aᵀ.

    Parameters
    ----------
    gradient : Tensor
        ∂L/∂W ``(out, in)``.
    h : Tensor
        Inputs ``(N, in)``.
    delta : Tensor
        ∂L/∂z ``(N, out)`` of the same loss.
    """
    product = delta.detach().to(torch.float64).T @ h.detach().to(torch.float64)
    found = gradient.detach().to(torch.float64)
    scale = float(found.norm())
    return float((found - product).norm()) / scale if scale else float(product.norm())
