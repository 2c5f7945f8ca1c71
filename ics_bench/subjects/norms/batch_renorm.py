"""Batch renormalization."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from ics_bench.subjects.norm import Norm


@dataclass(frozen=True, slots=True)
class Ramp:
    """A bound that rises linearly from ``low`` to ``high`` between two counts of training steps, then stays."""

    low: float
    high: float
    start: int
    end: int

    def __call__(self, steps: torch.Tensor) -> torch.Tensor:
        """Value after ``steps`` steps, a tensor of the same shape."""
        return self.low + (self.high - self.low) * ((steps - self.start) / (self.end - self.start)).clamp(0.0, 1.0)


SCALE_BOUND = Ramp(1.0, 3.0, start=50, end=400)
"""r_max. Ioffe 2017, section 4, with all counts of steps divided by 100: 5000 steps as batch norm, 3 at 40 000."""

SHIFT_BOUND = Ramp(0.0, 5.0, start=50, end=250)
"""d_max: likewise 0 for 5000 steps, 5 at 25 000."""

MOMENTUM = 0.1
"""Weight of a batch in the running statistics: batch norm's here, where the paper's 0.01 would outlast training."""


class BatchRenorm(nn.Module):
    """y = w·((x − μ_B)/σ_B·r + d) + b, r and d clipped and constant to autograd (Ioffe 2017, algorithm 1).

    r = σ_B/σ within [1/r_max, r_max] and d = (μ_B − μ)/σ within ±d_max tie the batch's statistics to the running
    μ and σ. Within the bounds the output is what evaluation computes; at r_max = 1, d_max = 0 it is batch norm.

    Parameters
    ----------
    num_features : int
    eps : float
        Added to the batch's variance.
    scale_bound, shift_bound : Ramp
        r_max and d_max by training steps.
    """

    running_mean: torch.Tensor
    running_std: torch.Tensor
    num_batches_tracked: torch.Tensor

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        scale_bound: Ramp = SCALE_BOUND,
        shift_bound: Ramp = SHIFT_BOUND,
    ) -> None:
        super().__init__()
        self.eps, self.scale_bound, self.shift_bound = eps, scale_bound, shift_bound
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_std", torch.ones(num_features))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalize ``(N, C, *)`` by feature."""
        shape = (-1, *[1] * (x.dim() - 2))
        if not self.training:
            scale = self.weight / self.running_std
            return x * scale.view(shape) + (self.bias - self.running_mean * scale).view(shape)
        dims = (0, *range(2, x.dim()))
        mean = x.mean(dims)
        centred = x - mean.view(shape)
        std = (centred.square().mean(dims) + self.eps).sqrt()
        with torch.no_grad():
            most, shift = self.scale_bound(self.num_batches_tracked), self.shift_bound(self.num_batches_tracked)
            r = torch.minimum(torch.maximum(std / self.running_std, 1.0 / most), most)
            d = torch.minimum(torch.maximum((mean - self.running_mean) / self.running_std, -shift), shift)
            self.running_mean.add_(MOMENTUM * (mean - self.running_mean))
            self.running_std.add_(MOMENTUM * (std - self.running_std))
            self.num_batches_tracked.add_(1)
        scale = self.weight * r / std
        return centred * scale.view(shape) + (self.bias + self.weight * d).view(shape)


def build(num_features: int) -> nn.Module:
    """Return batch renormalization, its bounds rising as in the paper, a hundred times as fast."""
    return BatchRenorm(num_features)


NORM = Norm(
    build,
    summary="batch norm held near its running statistics: r to 3, d to 5, after 50 steps",
    source="Ioffe 2017, arXiv:1702.03275",
    uses_batch=True,
)
