"""Distance that the mass of one sample must travel to become the other, unit by unit."""

from __future__ import annotations

import numpy as np
import torch


def wasserstein(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Exact Wasserstein-1 distance between two empirical distributions of each unit, in float64.

    W₁ = ∫ |F(t) − G(t)| dt (Vallender 1974). Samples of one size are matched in sorted order, which is
    the same number.

    Parameters
    ----------
    first, second : Tensor
        ``(N, C)`` and ``(M, C)``: N and M values of each of C units.

    Returns
    -------
    Tensor ``(C,)``
        In the units of the values; NaN where a value is NaN.

    Raises
    ------
    ValueError
        If a sample is empty, or the two differ in their units.
    """
    if first.dim() != 2 or second.dim() != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(f"samples of shapes {tuple(first.shape)} and {tuple(second.shape)}; expected (N, C), (M, C)")
    if not len(first) or not len(second):
        raise ValueError("distance from an empty sample")
    first, second = first.detach().to(torch.float64), second.detach().to(torch.float64)
    if len(first) == len(second):
        return (_sorted(first) - _sorted(second)).abs().mean(dim=0)
    values, order = torch.cat([first, second]).sort(dim=0)
    jumps = torch.full_like(values, -1.0 / len(second)).masked_fill(order < len(first), 1.0 / len(first))
    return (jumps.cumsum(dim=0)[:-1].abs() * values.diff(dim=0)).sum(dim=0)


def _sorted(values: torch.Tensor) -> torch.Tensor:
    """Sort each unit; NumPy does so several times as quickly as torch on a processor."""
    if values.device.type != "cpu":
        return values.sort(dim=0).values
    return torch.from_numpy(np.sort(values.numpy(), axis=0))
