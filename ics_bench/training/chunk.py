"""Replicas in training together: their steps, their checks, and who is still among them."""

from __future__ import annotations

import math

import torch

from ics_bench.subjects.optimizer import StackedOptimizer
from ics_bench.training.observation import Observation, Watch
from ics_bench.training.recipe import Needed, Problem, Recipe, Trajectory
from ics_bench.training.stack import Stack


class Chunk:
    """The state of one batch of replicas in training."""

    def __init__(
        self,
        problem: Problem,
        recipe: Recipe,
        chunk: list[Trajectory],
        everything: list[Trajectory],
        stack: Stack,
        orders: torch.Tensor,
        optimizer: StackedOptimizer,
        needed: Needed | None,
        watch: Watch,
    ) -> None:
        self.watch = watch
        self.problem, self.recipe, self.everything, self.needed = problem, recipe, everything, needed
        self.active, self.stack, self.orders, self.optimizer = chunk, stack, orders, optimizer
        rates = [trajectory.replica.learning_rate for trajectory in chunk]
        dtype = next(iter(stack.trainable or stack.parameters.values())).dtype  # inputs may be tokens
        self.learning_rate = torch.tensor(rates, dtype=dtype, device=problem.x.device)
        self.limit = torch.full_like(self.learning_rate, math.inf)
        self.passed_last_check = [False] * len(chunk)
        answers = problem.loss.count(problem.y)
        self.allowed = answers - math.ceil(recipe.target * answers)

    def run(self) -> None:
        """Train until every replica is done."""
        self._drop_where_not(self._wanted())
        for step in range(self.recipe.steps):
            if not self.active:
                return
            self._observe(step)
            self._step(step)
            if self.recipe.checks(step + 1):
                self._check(step + 1)
        self._observe(self.recipe.steps)

    def _observe(self, step: int) -> None:
        if step not in self.watch.at:
            return
        for place, trajectory in enumerate(self.active):
            index = self.orders[place, step]
            module, replica = self.stack.copy_of(place), trajectory.replica
            observation = Observation(step, replica, module, self.problem.x[index], self.problem.y[index])
            self.watch.call(observation, self.problem.order_seed(replica.seed))

    def _step(self, step: int) -> None:
        index = self.orders[:, step]
        losses, gradients = self.stack.losses_and_gradients(self.problem.x[index], self.problem.y[index])
        if step == 0 and not self.problem.loss.signed:
            self.limit = losses * self.recipe.divergence_factor
        factor = self.recipe.rate_factor(step)
        rate = self.learning_rate if factor == 1 else self.learning_rate * factor
        with torch.no_grad():
            self.optimizer.step(self.stack.trainable, gradients, rate)
        fine = (losses <= self.limit) & torch.isfinite(losses)
        for trajectory, loss, survives in zip(self.active, losses.tolist(), fine.tolist(), strict=True):
            trajectory.losses.append(loss)
            trajectory.steps = step + 1
            if not survives:
                trajectory.diverged_at = step
        self._drop_where_not(fine.tolist())

    def _check(self, step: int) -> None:
        open_places = [place for place, trajectory in enumerate(self.active) if not trajectory.reached]
        if open_places:
            which = torch.tensor(open_places, device=self.problem.x.device)
            for place, passed in zip(open_places, self._at_target(which), strict=True):
                if passed and self.passed_last_check[place]:
                    self.active[place].reached_at = step - self.recipe.check_every
                self.passed_last_check[place] = passed
        if step < self.recipe.steps:
            self._drop_where_not(self._wanted())

    def _at_target(self, which: torch.Tensor) -> list[bool]:
        """Whether each of some replicas is good enough, in evaluation mode."""
        x, y, target_loss = self.problem.x, self.problem.y, self.recipe.target_loss
        if target_loss is not None:
            return [loss <= target_loss for loss in self.stack.mean_losses(which, x, y).tolist()]
        if not self.problem.loss.counts_accuracy:
            return [False] * len(which)
        return [wrong <= self.allowed for wrong in self.stack.errors(which, x, y, self.allowed).tolist()]

    def _wanted(self) -> list[bool]:
        if self.needed is None:
            return [bool(self.watch) or not trajectory.reached for trajectory in self.active]
        by_replica = dict(zip((t.replica for t in self.everything), self.needed(self.everything), strict=True))
        wanted = [by_replica[trajectory.replica] for trajectory in self.active]
        for trajectory, still in zip(self.active, wanted, strict=True):
            trajectory.cancelled = not still and not trajectory.reached
        return wanted

    def _drop_where_not(self, keep: list[bool]) -> None:
        if all(keep):
            return
        places = [place for place, stays in enumerate(keep) if stays]
        self.active = [self.active[place] for place in places]
        self.passed_last_check = [self.passed_last_check[place] for place in places]
        if not places:
            return
        index = torch.tensor(places, device=self.problem.x.device)
        self.stack.keep(index)
        self.optimizer.keep(index)
        self.orders, self.learning_rate, self.limit = self.orders[index], self.learning_rate[index], self.limit[index]
