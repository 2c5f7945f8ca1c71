"""Dynamic tanh, a point-wise stand-in for a norm."""

from __future__ import annotations

import torch
from torch import nn

from ics_bench.subjects.norm import Norm

INITIAL_ALPHA = 0.5


class DyT(nn.Module):
    """y = w·tanh(αx) + b with one trained α (Zhu et al. 2025, section 4)."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.full((1,), INITIAL_ALPHA))
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Squash ``(N, C, *)``."""
        shape = (-1, *[1] * (x.dim() - 2))
        return torch.tanh(self.alpha * x) * self.weight.view(shape) + self.bias.view(shape)


def build(num_features: int) -> nn.Module:
    """Return dynamic tanh with α = 0.5 at the start."""
    return DyT(num_features)


NORM = Norm(
    build,
    summary="tanh(αx), point by point; no statistics",
    source="Zhu et al. 2025, arXiv:2503.10622",
)
