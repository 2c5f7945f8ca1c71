"""Adam with bias correction and torch's defaults."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ics_bench.subjects.optimizer import per_replica


class Adam:
    """Adam with bias correction, without weight decay (Kingma & Ba 2015, algorithm 1)."""

    state_tensors = 2

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
            parameter.addcmul_(update, per_replica(learning_rate / correction1, parameter), value=-1)

    def keep(self, index: torch.Tensor) -> None:
        """Keep the moments of the replicas in ``index``."""
        self.first = [m[index] for m in self.first]
        self.second = [v[index] for v in self.second]


OPTIMIZER = Adam
