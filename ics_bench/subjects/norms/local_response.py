"""Local response normalization."""

from __future__ import annotations

import torch
from torch import nn

from ics_bench.subjects.norm import Norm

NEIGHBOURS, OFFSET, ALPHA, BETA = 5, 2.0, 1e-4, 0.75
"""n, k, α and β of Krizhevsky et al. 2012, section 3.3."""


class LocalResponseNorm(nn.LocalResponseNorm):
    """y_i = x_i / (k + α Σ x_j²)^β, the sum over the n features around i at the same position."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalize ``(N, C, *)``."""
        if input.dim() > 2:
            return super().forward(input)
        return super().forward(input.unsqueeze(-1)).squeeze(-1)


def build(num_features: int) -> nn.Module:
    """Return torch's layer with AlexNet's constants; torch takes n·α where the paper writes α."""
    del num_features
    return LocalResponseNorm(NEIGHBOURS, NEIGHBOURS * ALPHA, BETA, OFFSET)


NORM = Norm(
    build,
    summary="divided by the response of the five features around; no mean, no parameters",
    source="Krizhevsky et al. 2012, section 3.3",
)
