"""What an optimizer is to this suite, over stacked replicas, and how a foreign one is checked.

Every tensor leads with the replica axis, and so does the learning rate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, cast

import torch

from ics_bench.core.errors import UsageError
from ics_bench.subjects import OPTIMIZERS

UNKNOWN_STATE = 2
"""Tensors of a parameter's size that an optimizer is taken to keep when it does not say."""


class StackedOptimizer(Protocol):
    """Updates ``(R, *shape)`` parameters with ``(R,)`` learning rates, replica by replica.

    An attribute ``state_tensors`` may say how many tensors of a parameter's size it keeps.
    """

    def step(
        self, parameters: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor], learning_rate: torch.Tensor
    ) -> None:
        """Update the parameters in place."""

    def keep(self, index: torch.Tensor) -> None:
        """Keep the state of the replicas in ``index`` alone."""


def per_replica(rate: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """Shape ``(R,)`` rates to multiply an ``(R, *shape)`` parameter."""
    return rate.view(-1, *[1] * (parameter.dim() - 1))


def load_optimizer(name: str) -> Callable[[], StackedOptimizer]:
    """Find the factory of an optimizer by name.

    Raises
    ------
    UsageError
        If it is unknown, cannot be imported or cannot be called.
    """
    return cast("Callable[[], StackedOptimizer]", OPTIMIZERS.load(name))


def state_tensors(name: str) -> int:
    """Tensors of a parameter's size that an optimizer keeps."""
    return int(getattr(load_optimizer(name)(), "state_tensors", UNKNOWN_STATE))


def check_optimizer(name: str) -> None:
    """Take steps with two replicas, drop one, and compare with the other alone.

    Raises
    ------
    UsageError
        If the optimizer cannot be built, its step raises, or replicas influence each other.
    """
    try:
        together, alone = _updated(name, 2, drop=1), _updated(name, 1, drop=0)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"optimizer {name!r}: stepping two stacked parameters raised {error!r}") from error
    if not torch.allclose(together, alone, rtol=1e-6, atol=0.0):
        raise UsageError(f"optimizer {name!r}: a replica is updated differently in company than alone")


def _updated(name: str, replicas: int, drop: int) -> torch.Tensor:
    """Return the first replica's parameter after four steps, the last ``drop`` replicas leaving after two."""
    optimizer = load_optimizer(name)()
    rates, kept = torch.tensor([0.1, 0.3])[:replicas], torch.arange(replicas - drop)
    parameter = torch.linspace(-1.0, 1.0, 6).repeat(replicas, 1) * torch.arange(1.0, replicas + 1)[:, None]
    for step in range(4):
        if step == 2:
            parameter, rates = parameter[kept], rates[kept]
            optimizer.keep(kept)
        optimizer.step([parameter], [parameter.square() + 0.1], rates)
    return parameter[0]
