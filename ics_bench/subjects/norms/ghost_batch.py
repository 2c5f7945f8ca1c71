"""Ghost batch normalization."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import batch_norm

from ics_bench.subjects.norm import Norm
from ics_bench.subjects.norms.batch import BatchNorm

GHOST_SIZE = 32
"""Samples that a ghost batch has at least; a batch of fewer than twice as many is one ghost batch."""


class GhostBatchNorm(BatchNorm):
    """In training, batch norm of equal parts of the batch, each by itself; running statistics take them in turn.

    Hoffer et al. 2017, algorithm 1. In evaluation it is batch norm.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalize ``(N, C, *)`` over N/parts samples and the positions."""
        if not self.training:
            return super().forward(input)
        self._check_input_dim(input)
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        parts = input.tensor_split(max(1, len(input) // GHOST_SIZE))
        normalized = [
            batch_norm(part, self.running_mean, self.running_var, self.weight, self.bias, True, self.momentum, self.eps)
            for part in parts
        ]
        return torch.cat(normalized)


def build(num_features: int) -> nn.Module:
    """Return ghost batch norm with ghost batches of 32 samples or a few more."""
    return GhostBatchNorm(num_features)


NORM = Norm(
    build,
    summary="batch norm over parts of 32 samples; running statistics in evaluation",
    source="Hoffer et al. 2017, arXiv:1705.08741",
    uses_batch=True,
)
