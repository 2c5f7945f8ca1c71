"""What is trained, how, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from ics_bench.training.losses import CROSS_ENTROPY, Loss


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a replica is trained.

    Parameters
    ----------
    steps : int
        Budget of optimizer steps.
    batch_size : int
        Samples a step, drawn without replacement within an epoch.
    target : float
        Accuracy on the full training set, in evaluation mode, that counts as trained.
    optimizer : str
        A name in `ics_bench.subjects.OPTIMIZERS`.
    check_every : int
        Steps between checks of the target. It counts as reached at the first of two successful
        checks running.
    divergence_factor : float
        A loss above this multiple of the initial one, at any step, is divergence; so is a loss that
        is not finite. Where losses below zero are usual, only the latter; see `Loss.signed`.
    warmup : int
        Steps over which the learning rate grows linearly, from 1/warmup of itself at the first.
    target_loss : float, optional
        Mean loss on the full training set, in evaluation mode, at or below which the replica counts as
        trained; instead of ``target``.
    """

    steps: int = 200
    batch_size: int = 128
    target: float = 0.9
    optimizer: str = "sgd"
    check_every: int = 10
    divergence_factor: float = 10.0
    warmup: int = 0
    target_loss: float | None = None

    def checks(self, step: int) -> bool:
        """Whether the target is checked after ``step`` steps."""
        return step % self.check_every == 0

    def rate_factor(self, step: int) -> float:
        """Share of the learning rate that the step after ``step`` steps takes.

        Examples
        --------
        >>> [Recipe(warmup=4).rate_factor(step) for step in range(6)]
        [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
        """
        return (step + 1) / self.warmup if step + 1 < self.warmup else 1.0


@dataclass(frozen=True, slots=True, order=True)
class Replica:
    """One net to be trained: its learning rate and its seed."""

    learning_rate: float
    seed: int


@dataclass(frozen=True)
class Problem:
    """Data and a way to build a net for a seed.

    Parameters
    ----------
    x : Tensor
        Training inputs ``(N, *features)``, on the nets' device.
    y : Tensor
        Targets ``(N, ...)`` as ``loss`` takes them: for cross-entropy, labels ``(N,)`` in int64.
    build : callable
        ``build(seed) -> nn.Module``, mapping ``(B, *features)`` to what ``loss`` takes: for cross-entropy,
        logits ``(B, classes)``. It may start from any weights; those with ``requires_grad=False`` stay.
    order_seed : callable
        Seed of the order in which a replica of a given seed sees the data.
    loss : Loss
    """

    x: torch.Tensor
    y: torch.Tensor
    build: Callable[[int], nn.Module]
    order_seed: Callable[[int], int]
    loss: Loss = CROSS_ENTROPY


@dataclass(slots=True)
class Trajectory:
    """What became of a replica.

    Attributes
    ----------
    replica : Replica
    losses : list of float
        Mini-batch loss before each step.
    reached_at : float
        Steps to target, ``inf`` if it was not reached.
    diverged_at : float
        Step at which the loss diverged, ``inf`` if it did not.
    steps : int
        Steps taken.
    cancelled : bool
        Whether training was ended before budget, target and divergence, as no longer needed.
    warnings : tuple of str
    """

    replica: Replica
    losses: list[float] = field(default_factory=list, repr=False)
    reached_at: float = math.inf
    diverged_at: float = math.inf
    steps: int = 0
    cancelled: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def reached(self) -> bool:
        """Whether the target was reached."""
        return math.isfinite(self.reached_at)

    @property
    def diverged(self) -> bool:
        """Whether the loss diverged."""
        return math.isfinite(self.diverged_at)


Needed = Callable[[Sequence[Trajectory]], Sequence[bool]]
"""Asked after every check, with all trajectories so far: can training each of them further still matter?"""
