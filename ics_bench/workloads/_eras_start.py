"""Weights that were trained before: layer by layer without labels, or within a shallower net."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import nn

from ics_bench.subjects.belief import BeliefNet, BoltzmannMachine, GreedyStep
from ics_bench.subjects.vgg import VGG, start_from
from ics_bench.training import Observation, Problem, Recipe, Replica, Trainer
from ics_bench.training.losses import MEAN_OUTPUT


@dataclass(frozen=True, slots=True)
class Pretraining:
    """How Boltzmann machines are trained: steps for each, and the rate on real and on binary input."""

    steps: int
    batch_size: int
    gaussian_rate: float
    binary_rate: float


def pretrain_greedily(problem: Problem, seeds: Sequence[int], pretraining: Pretraining) -> dict[int, nn.Module]:
    """Train the hidden layers of every seed's belief net as a stack of Boltzmann machines, from below.

    Parameters
    ----------
    problem : Problem
        Builds belief nets; its labels are not looked at.
    seeds : sequence of int
    pretraining : Pretraining

    Returns
    -------
    dict of int to BeliefNet
        A net for each seed; one whose machine diverged keeps the weights that were drawn from that layer up.
    """
    nets = {seed: cast("BeliefNet", problem.build(seed)) for seed in seeds}
    layers = next(iter(nets.values())).hidden
    for place in range(len(layers)):
        recipe = Recipe(pretraining.steps, pretraining.batch_size)
        rate = pretraining.binary_rate if place else pretraining.gaussian_rate

        def build(seed: int, place: int = place) -> GreedyStep:
            return GreedyStep(list(nets[seed].hidden)[:place], nets[seed].machine(place))

        step = replace(problem, build=build, loss=MEAN_OUTPUT)
        for seed, trained in final_modules(step, recipe, dict.fromkeys(seeds, rate)).items():
            nets[seed].start_layer(place, cast("BoltzmannMachine", trained.machine))
    return dict(nets)


def final_modules(problem: Problem, recipe: Recipe, rates: dict[int, float]) -> dict[int, nn.Module]:
    """Train each seed at its rate to the end of the budget and return those nets that did not diverge."""
    found: dict[int, nn.Module] = {}

    def keep(seen: Observation) -> None:
        found[seen.replica.seed] = seen.module

    replicas = [Replica(rate, seed) for seed, rate in rates.items()]
    Trainer(problem, recipe).train(replicas, observe=keep, observe_at=(recipe.steps,))
    return found


def start_staged(
    shallow: Problem, deep: Problem, recipe: Recipe, seeds: Sequence[int], rate: float
) -> dict[int, nn.Module]:
    """Train a shallow VGG net for every seed and return deeper ones that start from them.

    A seed whose shallow net diverged starts from the weights that were drawn.
    """
    trained = final_modules(shallow, recipe, dict.fromkeys(seeds, rate))
    nets = {seed: cast("VGG", deep.build(seed)) for seed in seeds}
    for seed, net in trained.items():
        start_from(nets[seed], cast("VGG", net))
    return dict(nets)


def flops_per_step(problem: Problem, batch_size: int, seed: int) -> int:
    """Count multiplications and additions in the matrix products of one step, forward and backward."""
    from torch.utils.flop_counter import FlopCounterMode

    module = problem.build(seed).train()
    with torch.random.fork_rng(devices=[]), FlopCounterMode(display=False) as counter:
        output = module(problem.x[:batch_size])
        torch.autograd.backward(problem.loss.mean(output[None], problem.y[None, :batch_size]).sum())
    return int(counter.get_total_flops())


def relative_gradients(problem: Problem, batch_size: int, seed: int) -> tuple[float, ...]:
    """‖∂L/∂W‖/‖W‖ of each weight matrix or kernel that is not 0, first layer first, in float64 and training mode.

    Parameters
    ----------
    problem : Problem
    batch_size : int
        The first samples of the data.
    seed : int
        Of the net, and of what it draws in training.

    Returns
    -------
    tuple of float
        ``inf`` where a gradient is not finite.
    """
    module = problem.build(seed).to(torch.float64).train()
    x = problem.x[:batch_size]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        output = module(x.to(torch.float64) if x.is_floating_point() else x)
    matrices = [p for p in module.parameters() if p.dim() > 1 and bool(p.detach().any())]
    gradients = torch.autograd.grad(problem.loss.mean(output[None], problem.y[None, :batch_size]).sum(), matrices)
    ratios = [float(g.norm() / p.detach().norm()) for g, p in zip(gradients, matrices, strict=True)]
    return tuple(ratio if math.isfinite(ratio) else math.inf for ratio in ratios)
