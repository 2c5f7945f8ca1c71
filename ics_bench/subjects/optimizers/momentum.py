"""Gradient descent with momentum 0.9."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ics_bench.subjects.optimizer import per_replica


class Momentum:
    """v ← m v + g; w ← w - η v, as `torch.optim.SGD` with momentum m."""

    state_tensors = 1

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
            parameter.addcmul_(velocity, per_replica(learning_rate, parameter), value=-1)

    def keep(self, index: torch.Tensor) -> None:
        """Keep the velocities of the replicas in ``index``."""
        self.velocity = [velocity[index] for velocity in self.velocity]


OPTIMIZER = Momentum
