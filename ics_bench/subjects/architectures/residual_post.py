"""A residual perceptron whose norms follow the additions instead of standing in the branches."""

from __future__ import annotations

import torch
from torch import nn

from ics_bench.subjects.initializers import Initializer
from ics_bench.subjects.mlp import Hidden, NormPosition, Residual
from ics_bench.subjects.norm import NormLayer


class PostResidual(Residual):
    """activation(norm(x + linear(x))), the order that He et al. 2016 (arXiv:1603.05027, table 2) name
    "BN after addition"; or norm(activation(x + linear(x))).
    """  # noqa: D205

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(N, width)`` to the same shape."""
        z = x + self.linear(x)
        y: torch.Tensor = self.activation(self.norm(z)) if self.norm_first else self.norm(self.activation(z))
        return y


def build(
    in_features: int,
    num_classes: int,
    depth: int,
    width: int,
    norm_layer: NormLayer,
    initialize: Initializer,
    generator: torch.Generator,
    activation: str = "relu",
    norm_position: NormPosition = "before",
) -> nn.Sequential:
    """Return a residual perceptron of ``depth`` weight matrices, one a block, without a norm inside a branch.

    Raises
    ------
    ValueError
        For a depth below 3: stem, block, head.
    """
    if depth < 3:
        raise ValueError(f"depth={depth}: a residual MLP needs at least 3")
    net = nn.Sequential(
        Hidden(in_features, width, norm_layer, activation, norm_position),
        *(PostResidual(width, norm_layer, activation, norm_position) for _ in range(depth - 2)),
        nn.Linear(width, num_classes),
    )
    for module in net.modules():
        if isinstance(module, nn.Linear):
            initialize(module, generator)
    return net
