"""Dynamic erf, a point-wise stand-in for a norm."""

from __future__ import annotations

import torch
from torch import nn

from ics_bench.subjects.norm import Norm

INITIAL_ALPHA = 0.5


class Derf(nn.Module):
    """y = w·erf(αx + s) + b with one trained α and one trained s (Chen et al. 2025)."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.full((1,), INITIAL_ALPHA))
        self.shift = nn.Parameter(torch.zeros(1))
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Squash ``(N, C, *)``."""
        shape = (-1, *[1] * (x.dim() - 2))
        return torch.erf(self.alpha * x + self.shift) * self.weight.view(shape) + self.bias.view(shape)


def build(num_features: int) -> nn.Module:
    """Return dynamic erf with α = 0.5 and s = 0 at the start."""
    return Derf(num_features)


NORM = Norm(
    build,
    summary="erf(αx + s), point by point; no statistics",
    source="Chen et al. 2025, arXiv:2512.10938",
)
