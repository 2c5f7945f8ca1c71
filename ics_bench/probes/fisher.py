"""Spectrum of one layer's Fisher block, and of the two factors that K-FAC approximates it by."""

from __future__ import annotations

import math

import torch

from ics_bench.probes.conditioning import Conditioning, conditioning, from_singular_values


def input_factor(h: torch.Tensor, bias: bool = True) -> torch.Tensor:
    """Return A = E[h̄h̄ᵀ], h̄ the layer's input with a 1 put before it (Martens & Grosse 2015, §3).

    Parameters
    ----------
    h : Tensor
        Inputs of the layer ``(N, in)``.
    bias : bool
        Whether the layer has a bias.

    Returns
    -------
    Tensor ``(in + 1, in + 1)``, or ``(in, in)`` without a bias; float64
    """
    z = _with_ones(h) if bias else h.detach().to(torch.float64)
    return z.T @ z / len(z)


def gradient_factor(delta: torch.Tensor) -> torch.Tensor:
    """Return G = E[δδᵀ] ``(out, out)``, in float64.

    Parameters
    ----------
    delta : Tensor
        Gradients of each sample's own loss with respect to the layer's output, ``(N, out)``. With
        labels drawn from the model's predictions they give the Fisher information, with the data's
        labels the empirical Fisher, which is another matrix (Martens 2020, §11).
    """
    d = delta.detach().to(torch.float64)
    return d.T @ d / len(d)


def fisher_block(h: torch.Tensor, delta: torch.Tensor, bias: bool = True) -> Conditioning:
    """Spectrum of E[ggᵀ], g = vec(δh̄ᵀ), without forming it.

    Its eigenvalues that are not zero are those of the N×N matrix (H̄H̄ᵀ)∘(ΔΔᵀ)/N, since the inner
    product of two rank-one gradients is the product of the inner products of their factors. There are
    N of them at most: with fewer samples than weights the block is singular, and says so.

    Parameters
    ----------
    h, delta : Tensor
        As in `input_factor` and `gradient_factor`; rows belong together.
    """
    if len(h) != len(delta):
        raise ValueError(f"{len(h)} inputs and {len(delta)} gradients: rows must belong together")
    z, d = (_with_ones(h) if bias else h.detach().to(torch.float64)), delta.detach().to(torch.float64)
    kernel = (z @ z.T) * (d @ d.T) / len(z)
    values = torch.linalg.eigvalsh(kernel).flip(0).clamp(min=0)
    size = z.shape[1] * d.shape[1]
    # The kernel's own rounding is relative to its largest eigenvalue, so roots resolve √ε of it at best.
    floor = len(z) * torch.finfo(torch.float64).eps * float(values[0])
    values = torch.where(values > floor, values, torch.zeros_like(values))
    return from_singular_values(values.sqrt()[:size], size, max(len(z), size))


def kronecker_condition(h: torch.Tensor, delta: torch.Tensor, bias: bool = True) -> float:
    """Condition number of K-FAC's A⊗G: the product of those of its factors; ``inf`` if one is singular."""
    return conditioning(h, bias).condition * conditioning(delta, bias=False).condition


def _with_ones(h: torch.Tensor) -> torch.Tensor:
    if h.ndim != 2 or not math.prod(h.shape):
        raise ValueError(f"expected a matrix (N, in), got shape {tuple(h.shape)}")
    z = h.detach().to(torch.float64)
    return torch.cat([torch.ones(len(z), 1, dtype=z.dtype, device=z.device), z], dim=1)
