"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ics_bench.subjects.optimizer import per_replica


class SGD:
    """w ← w - η g."""

    state_tensors = 0

    def step(
        self, parameters: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor], learning_rate: torch.Tensor
    ) -> None:
        """Update the parameters in place."""
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.addcmul_(gradient, per_replica(learning_rate, parameter), value=-1)

    def keep(self, index: torch.Tensor) -> None:
        """Keep nothing: there is no state."""


OPTIMIZER = SGD
