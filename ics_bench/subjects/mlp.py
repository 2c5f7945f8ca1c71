"""Multilayer perceptrons, plain and residual, with any norm before or after the activation."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Literal

import torch
from torch import nn

from ics_bench.subjects.initializers import Initializer
from ics_bench.subjects.norm import NormLayer

NormPosition = Literal["before", "after"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "identity": nn.Identity,
}


class Hidden(nn.Module):
    """Linear → norm → activation (``before``) or linear → activation → norm (``after``)."""

    any_leading_axes = True

    def __init__(
        self, fan_in: int, width: int, norm_layer: NormLayer, activation: str, norm_position: NormPosition
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(fan_in, width)
        self.norm = norm_layer(width)
        self.activation = ACTIVATIONS[activation]()
        self.norm_first = norm_position == "before"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(N, fan_in)`` to ``(N, width)``."""
        z = self.linear(x)
        y: torch.Tensor = self.activation(self.norm(z)) if self.norm_first else self.norm(self.activation(z))
        return y


class Residual(nn.Module):
    """x + linear(activation(norm(x))), the pre-activation order of He et al. 2016; or norm last of the two."""

    any_leading_axes = True
    residual_block = True

    def __init__(self, width: int, norm_layer: NormLayer, activation: str, norm_position: NormPosition) -> None:
        super().__init__()
        self.norm = norm_layer(width)
        self.activation = ACTIVATIONS[activation]()
        self.linear = nn.Linear(width, width)
        self.norm_first = norm_position == "before"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(N, width)`` to the same shape."""
        h = self.activation(self.norm(x)) if self.norm_first else self.norm(self.activation(x))
        y: torch.Tensor = x + self.linear(h)
        return y


class MLP(nn.Module):
    """A perceptron with ``depth`` weight matrices, the output layer included.

    Parameters
    ----------
    in_features, num_classes, width : int
    depth : int
        Weight matrices on the longest path; at least 2 (3 when residual: stem, block, head).
    norm_layer : callable
        ``norm_layer(num_features) -> nn.Module``.
    activation : {"relu", "tanh", "sigmoid", "identity"}
    norm_position : {"before", "after"}
        Side of the activation on which the norm stands.
    residual : bool
        Blocks ``x + f(x)`` of one matrix each instead of a chain.
    initialize, generator
        Fills every linear layer, in order, from one generator: nets that differ in their norm alone
        draw the same weights.
    """

    any_leading_axes = True
    """Forward treats input with further leading axes alike, so that replicas can be stacked along one."""

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        depth: int,
        width: int,
        norm_layer: NormLayer,
        initialize: Initializer,
        generator: torch.Generator,
        activation: str = "relu",
        norm_position: NormPosition = "before",
        residual: bool = False,
    ) -> None:
        super().__init__()
        least = 3 if residual else 2
        if depth < least:
            raise ValueError(f"depth={depth}: {'a residual' if residual else 'an'} MLP needs at least {least}")
        layers: list[nn.Module]
        if residual:
            blocks = [Residual(width, norm_layer, activation, norm_position) for _ in range(depth - 2)]
            layers = [nn.Linear(in_features, width), *blocks, norm_layer(width), ACTIVATIONS[activation]()]
        else:
            sizes = [in_features] + [width] * (depth - 1)
            layers = [
                Hidden(fan_in, fan_out, norm_layer, activation, norm_position)
                for fan_in, fan_out in itertools.pairwise(sizes)
            ]
        self.hidden = nn.Sequential(*layers)
        self.head = nn.Linear(width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                initialize(module, generator)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(N, in_features)`` to logits ``(N, num_classes)``."""
        logits: torch.Tensor = self.head(self.hidden(x))
        return logits
