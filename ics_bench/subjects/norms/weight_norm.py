"""Weight normalization."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.parametrize import register_parametrization

from ics_bench.subjects.norm import Norm, OfWeights


def _row_norms(weight: torch.Tensor) -> torch.Tensor:
    """Norm of the weights into each output, ``(out, 1, ...)``."""
    return weight.square().sum(dim=tuple(range(1, weight.dim())), keepdim=True).sqrt()


class WeightNorm(nn.Module):
    """W = g·v/‖v‖, a length and a direction for each output (Salimans & Kingma 2016, eq. 2)."""

    def forward(self, length: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        """Compose weights ``(out, in, *)`` from lengths ``(out, 1, ...)`` and directions of the weights' shape."""
        return direction * (length / _row_norms(direction))

    def right_inverse(self, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Split weights so that they start as they are. An output without weights has no direction: it gets ones."""
        length = _row_norms(weight)
        return length, torch.where(length > 0, weight, torch.ones_like(weight))


def reparametrize(layer: nn.Module) -> None:
    """Give a layer lengths and directions in place of its weights, which keep their values."""
    register_parametrization(layer, "weight", WeightNorm())


NORM = Norm(
    OfWeights(reparametrize),
    summary="weights as length times direction, for each output; no layer",
    source="Salimans & Kingma 2016, arXiv:1602.07868",
)
