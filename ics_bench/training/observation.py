"""Looking at replicas while they train, without touching them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import nn

from ics_bench.core import derive_seed
from ics_bench.subjects.randomness import seeded
from ics_bench.training.recipe import Replica


@dataclass(frozen=True, slots=True)
class Observation:
    """One replica at one step, as handed to an observer.

    Parameters
    ----------
    step : int
        Optimizer steps taken so far: 0 at the initial weights, ``recipe.steps`` at the end.
    replica : Replica
    module : nn.Module
        A private copy of the replica's net with its buffers, in training mode. The observer may do
        anything to it.
    x, y : Tensor ``(B, *features)``, ``(B, ...)``
        The mini-batch that the next step takes; at the end, one more batch of the same order.
    """

    step: int
    replica: Replica
    module: nn.Module = field(repr=False)
    x: torch.Tensor = field(repr=False)
    y: torch.Tensor = field(repr=False)


Observer = Callable[[Observation], object]


class Watch:
    """Calls an observer at the steps asked for.

    Parameters
    ----------
    observe : callable, optional
        Called once for every replica still in training at every step of ``at``.
    at : iterable of int
    steps : int
        Budget of the recipe.

    Raises
    ------
    ValueError
        If a step lies outside of the budget, or there are steps and nobody to call, or the reverse.
    """

    def __init__(self, observe: Observer | None, at: Iterable[int], steps: int) -> None:
        self.observe, self.at = observe, frozenset(at)
        outside = sorted(step for step in self.at if not 0 <= step <= steps)
        if outside:
            raise ValueError(f"observe_at={outside}: steps to observe lie in 0 … {steps}")
        if (observe is None) == bool(self.at):
            raise ValueError("observe and observe_at go together: give both or neither")

    def __bool__(self) -> bool:
        return bool(self.at)

    def call(self, observation: Observation, order_seed: int) -> None:
        """Hand an observation over; torch's random state afterwards is what it was.

        The observer's own draws depend on the replica's seed and the step alone.
        """
        assert self.observe is not None
        seed = derive_seed(order_seed, "observe", observation.step)
        with seeded(seed, observation.x.device), torch.enable_grad():
            self.observe(observation)
