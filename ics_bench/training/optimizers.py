"""Optimizers over stacked replicas: every tensor leads with the replica axis, and so does the rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from ics_bench.core import unknown


class StackedOptimizer(Protocol):
    """Updates ``(R, *shape)`` parameters with ``(R,)`` learning rates, replica by replica."""

    def step(
        self, parameters: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor], learning_rate: torch.Tensor
    ) -> None:
        """Update the parameters in place."""

    def keep(self, index: torch.Tensor) -> None:
        """Keep the state of the replicas in ``index`` alone."""


def _per_replica(rate: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    return rate.view(-1, *[1] * (parameter.dim() - 1))


class SGD:
    """w ← w - η g."""

    STATE = 0
    """Tensors of a parameter's size that the optimizer keeps."""

    def step(
        self, parameters: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor], learning_rate: torch.Tensor
    ) -> None:
        """Update the parameters in place."""
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.addcmul_(gradient, _per_replica(learning_rate, parameter), value=-1)

    def keep(self, index: torch.Tensor) -> None:
        """Keep nothing: there is no state."""


class Momentum:
    """v ← 0.9 v + g; w ← w - η v, as `torch.optim.SGD` with momentum 0.9."""

    STATE = 1

    def __init__(self, momentum: float = 0.9) -> None:
        self.momentum = momentum
        self.velocity: list[torch.Tensor] = []

    def step(
        self, parameters: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor], learning_rate: torch.Tensor
    ) -> None:
        """Update the parameters in place."""
        if not self.velocity:
            self.velocity = [torch.zeros_like(parameter) for parameter in parameters]
        for parameter, gradient, velocity in zip(parameters, gradients, self.velocity, strict=True):
            velocity.mul_(self.momentum).add_(gradient)
            parameter.addcmul_(velocity, _per_replica(learning_rate, parameter), value=-1)

    def keep(self, index: torch.Tensor) -> None:
        """Keep the velocities of the replicas in ``index``."""
        self.velocity = [velocity[index] for velocity in self.velocity]


class Adam:
    """Adam with bias correction and torch's defaults (Kingma & Ba 2015, algorithm 1)."""

    STATE = 2

    def __init__(self, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> None:
        self.beta1, self.beta2, self.eps = beta1, beta2, eps
        self.steps = 0
        self.first: list[torch.Tensor] = []
        self.second: list[torch.Tensor] = []

    def step(
        self, parameters: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor], learning_rate: torch.Tensor
    ) -> None:
        """Update the parameters in place."""
        if not self.first:
            self.first = [torch.zeros_like(parameter) for parameter in parameters]
            self.second = [torch.zeros_like(parameter) for parameter in parameters]
        self.steps += 1
        correction1, correction2 = 1 - self.beta1**self.steps, 1 - self.beta2**self.steps
        for parameter, gradient, m, v in zip(parameters, gradients, self.first, self.second, strict=True):
            m.lerp_(gradient, 1 - self.beta1)
            v.mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
            denominator = (v.sqrt() / correction2**0.5).add_(self.eps)
            update = m / denominator
            parameter.addcmul_(update, _per_replica(learning_rate / correction1, parameter), value=-1)

    def keep(self, index: torch.Tensor) -> None:
        """Keep the moments of the replicas in ``index``."""
        self.first = [m[index] for m in self.first]
        self.second = [v[index] for v in self.second]


OPTIMIZERS: dict[str, type[SGD] | type[Momentum] | type[Adam]] = {"sgd": SGD, "momentum": Momentum, "adam": Adam}


def optimizer_class(name: str) -> type[SGD] | type[Momentum] | type[Adam]:
    """Find an optimizer by name.

    Raises
    ------
    UsageError
        If there is none of that name.
    """
    if name not in OPTIMIZERS:
        raise unknown("optimizer", name, OPTIMIZERS)
    return OPTIMIZERS[name]
