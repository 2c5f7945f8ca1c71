"""What is trained, how, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn


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
    optimizer : {"sgd", "momentum", "adam"}
    check_every : int
        Steps between checks of the target. It counts as reached at the first of two successful
        checks running.
    divergence_factor : float
        A loss above this multiple of the initial one, at any step, is divergence; so is a loss that
        is not finite.
    """

    steps: int = 200
    batch_size: int = 128
    target: float = 0.9
    optimizer: str = "sgd"
    check_every: int = 10
    divergence_factor: float = 10.0

    def checks(self, step: int) -> bool:
        """Whether the target is checked after ``step`` steps."""
        return step % self.check_every == 0


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
        Training inputs ``(N, *features)``; its dtype and device are the nets'.
    y : Tensor
        Labels ``(N,)`` in int64.
    build : callable
        ``build(seed) -> nn.Module``, mapping ``(B, *features)`` to logits ``(B, classes)``.
    order_seed : callable
        Seed of the order in which a replica of a given seed sees the data.
    """

    x: torch.Tensor
    y: torch.Tensor
    build: Callable[[int], nn.Module]
    order_seed: Callable[[int], int]


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
