"""Tests a trained net in evaluation and in training mode, for `norm_fit`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

IGNORED = -100
"""Label of a token that has no answer."""


@dataclass(frozen=True, slots=True)
class Accuracies:
    """Shares of right answers.

    Parameters
    ----------
    all_samples : float
        On all samples, in evaluation mode.
    evaluation_mode, train_mode : float
        On the samples that fill whole batches, in either mode.
    """

    all_samples: float
    evaluation_mode: float
    train_mode: float


@torch.no_grad()
def accuracies(module: nn.Module, x: torch.Tensor, y: torch.Tensor, batch_size: int) -> Accuracies:
    """Test a net, whose buffers and mode are left changed.

    Parameters
    ----------
    module : nn.Module
        Maps ``(B, *features)`` to logits ``(B, classes)``, or ``(B, T, classes)`` for tokens.
    x, y : Tensor ``(N, *features)``, ``(N,)`` or ``(N, T)``
        A batch at least.
    batch_size : int
        In training mode, samples go through the net in as many at a time.

    Raises
    ------
    ValueError
        If the samples do not fill one batch.
    """
    whole = len(x) // batch_size * batch_size
    if not whole:
        raise ValueError(f"batch_size={batch_size} exceeds the {len(x)} test samples")
    evaluated = module.eval()(x).argmax(-1)  # first: running statistics move in training mode
    module.train()
    trained = torch.cat([module(batch).argmax(-1) for batch in torch.split(x[:whole], batch_size)])
    return Accuracies(
        _share_right(evaluated, y), _share_right(evaluated[:whole], y[:whole]), _share_right(trained, y[:whole])
    )


def _share_right(answers: torch.Tensor, y: torch.Tensor) -> float:
    asked = y != IGNORED
    return int(((answers == y) & asked).sum()) / int(asked.sum())
