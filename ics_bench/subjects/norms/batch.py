"""Batch normalization."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ics_bench.subjects.norm import Norm


class BatchNorm(_BatchNorm):
    """torch's batch normalization for ``(N, C, *)`` with any number of positions."""

    def _check_input_dim(self, input: torch.Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"batch norm takes (N, C, *), got {tuple(input.shape)}")


def build(num_features: int, **options: Any) -> nn.Module:
    """Return a batch norm with torch's defaults: eps 1e-5, momentum 0.1, affine, running statistics."""
    return BatchNorm(num_features, **options)


NORM = Norm(
    build,
    summary="per feature over the batch; running statistics in evaluation",
    source="Ioffe & Szegedy 2015, arXiv:1502.03167",
    uses_batch=True,
)
