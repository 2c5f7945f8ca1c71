"""Spectral normalization."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import normalize
from torch.nn.utils.parametrize import register_parametrization

from ics_bench.subjects.norm import Norm, OfWeights

STARTING_ITERATIONS = 50
"""Power iterations on the initial weights; in training, each step adds one (Miyato et al. 2018, algorithm 1)."""


class SpectralNorm(nn.Module):
    """W/σ(W), σ the largest singular value of the weights as a matrix ``(out, in·kernel)``, by power iteration.

    The singular vectors are buffers and constants to autograd. In evaluation they are left as they are.

    Parameters
    ----------
    weight : Tensor ``(out, in, *)``
    """

    left: torch.Tensor
    right: torch.Tensor

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        matrix = weight.flatten(1)
        # From the sum of the rows: no random draw, so that nets of one seed stay alike, and not 0 by chance.
        self.register_buffer("right", normalize(matrix.sum(0), dim=0))
        self.register_buffer("left", normalize(matrix @ self.right, dim=0))
        for _ in range(STARTING_ITERATIONS):
            self._iterate(matrix)

    def _iterate(self, matrix: torch.Tensor) -> None:
        with torch.no_grad():
            right = normalize(matrix.mT @ self.left, dim=0)
            left = normalize(matrix @ right, dim=0)
        self.right, self.left = right, left

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Divide by the largest singular value."""
        matrix = weight.flatten(1)
        if self.training:
            self._iterate(matrix.detach())
        largest = torch.dot(self.left, matrix @ self.right)
        return weight / largest.clamp_min(torch.finfo(weight.dtype).tiny)


def reparametrize(layer: nn.Module) -> None:
    """Hold a layer's weights to a largest singular value of 1 from now on."""
    weight = layer.weight
    assert isinstance(weight, torch.Tensor)
    register_parametrization(layer, "weight", SpectralNorm(weight.detach()))


NORM = Norm(
    OfWeights(reparametrize),
    summary="weights divided by their largest singular value; no layer",
    source="Miyato et al. 2018, arXiv:1802.05957",
)
