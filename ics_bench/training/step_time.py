"""How long a training step takes, for several nets in turn, so that whatever slows one slows all."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch

from ics_bench.subjects.optimizer import load_optimizer
from ics_bench.training.recipe import Problem, Recipe
from ics_bench.training.stack import Stack
from ics_bench.training.train import data_order

ROUNDS = 60
WARM_UP = 5

HARMLESS_RATE = 1e-6
"""Timed steps move the weights hardly: a net that diverges would be timed on infinities."""


def step_seconds(
    problems: Sequence[Problem], recipe: Recipe, seed: int, rounds: int = ROUNDS
) -> list[tuple[float, ...]]:
    """Time one optimizer step of each net, again and again in turn, each net first as often as last.

    A step is a forward pass, a backward pass and an update of one ordinary module: what normalization costs
    a single net, rather than one of many that train together.

    Parameters
    ----------
    problems : sequence of Problem
    recipe : Recipe
        Its batch size and optimizer.
    seed : int
    rounds : int

    Returns
    -------
    list of tuple of float
        CPU seconds of this process on a CPU, wall seconds on a GPU; one tuple a round, one value a problem.
        The rounds that warm up are left out.
    """
    steps = [_step(problem, recipe, seed) for problem in problems]
    cuda = any(problem.x.device.type == "cuda" for problem in problems)
    clock = _synchronized if cuda else time.process_time
    times = []
    for number in range(WARM_UP + rounds):
        taken = [0.0] * len(steps)
        places = range(len(steps)) if number % 2 else reversed(range(len(steps)))
        for place in places:
            start = clock()
            steps[place]()
            taken[place] = clock() - start
        times.append(tuple(taken))
    return times[WARM_UP:]


def _step(problem: Problem, recipe: Recipe, seed: int) -> Callable[[], None]:
    module = problem.build(seed)
    stack = Stack([module], [0], problem.x.device, "looped", problem.loss)
    optimizer = load_optimizer(recipe.optimizer)()
    index = data_order(problem, recipe, seed)[:1]
    x, y = problem.x[index], problem.y[index]
    rate = torch.full((1,), HARMLESS_RATE, dtype=stack.trainable[0].dtype, device=problem.x.device)

    def step() -> None:
        _, gradients = stack.losses_and_gradients(x, y)
        with torch.no_grad():
            optimizer.step(stack.trainable, gradients, rate)

    return step


def _synchronized() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()
