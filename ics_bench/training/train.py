"""The training loop: replicas together, each with its own rate and order, dropped when done."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from ics_bench.core import derive_seed
from ics_bench.training.optimizers import StackedOptimizer, optimizer_class
from ics_bench.training.recipe import Needed, Problem, Recipe, Replica, Trajectory
from ics_bench.training.stack import Mode, Stack, choose_mode

MEMORY_BUDGET = 2 << 30
"""Bytes that replicas trained together may take; a constant, so that batches never depend on the machine."""


class Trainer:
    """Trains replicas of one problem by one recipe; what is the same from call to call is made once.

    Parameters
    ----------
    problem : Problem
    recipe : Recipe
    memory_budget : int
        Bytes; replicas beyond it are trained in further chunks.
    mode : {"lifted", "vmap", "looped"}, optional
        How replicas are run together; by default the fastest that computes the same, see
        `ics_bench.training.stack.choose_mode`. Where that is looping over replicas, every trajectory
        carries a warning.

    Raises
    ------
    ValueError
        If the data hold fewer samples than one batch.
    UsageError
        For an unknown optimizer.
    """

    def __init__(
        self, problem: Problem, recipe: Recipe, memory_budget: int = MEMORY_BUDGET, mode: Mode | None = None
    ) -> None:
        if len(problem.x) < recipe.batch_size:
            raise ValueError(f"batch_size={recipe.batch_size} exceeds the {len(problem.x)} training samples")
        self.problem, self.recipe, self.memory_budget, self.mode = problem, recipe, memory_budget, mode
        self.optimizer = optimizer_class(recipe.optimizer)
        self.warnings: tuple[str, ...] = ()
        self._modules: dict[int, nn.Module] = {}
        self._orders: dict[int, torch.Tensor] = {}
        self._chunk_size = 0

    def train(self, replicas: Sequence[Replica], needed: Needed | None = None) -> list[Trajectory]:
        """Train replicas together and return what became of each, in the order given.

        Parameters
        ----------
        replicas : sequence of Replica
            Distinct pairs of learning rate and seed. Replicas of one seed start from the same weights
            and see the data in the same order.
        needed : callable, optional
            Called before the first step and after every check with all trajectories so far; answers
            for each whether training it further can still matter. By default a replica is trained
            until it reaches the target, diverges or spends the budget.
        """
        if not replicas:
            return []
        for seed in dict.fromkeys(replica.seed for replica in replicas):
            self._prepare(seed)
        mode = self._try_out()
        trajectories = [Trajectory(replica, warnings=self.warnings) for replica in replicas]
        for start in range(0, len(replicas), self._chunk_size):
            chunk = trajectories[start : start + self._chunk_size]
            seeds = [trajectory.replica.seed for trajectory in chunk]
            draws = [derive_seed(self.problem.order_seed(seed), "forward") for seed in seeds]
            modules = [self._modules[seed] for seed in seeds]
            stack = Stack(modules, draws, self.problem.x.device, mode)
            orders = torch.stack([self._orders[seed] for seed in seeds])
            _Chunk(self.problem, self.recipe, chunk, trajectories, stack, orders, self.optimizer(), needed).run()
        return trajectories

    def _prepare(self, seed: int) -> None:
        if seed not in self._modules:
            with torch.random.fork_rng(devices=[]):  # torch's own layers draw from the global state as they are built
                self._modules[seed] = self.problem.build(seed)
            self._orders[seed] = data_order(self.problem, self.recipe, seed)

    def _try_out(self) -> Mode:
        """Choose the mode and the size of a chunk on the first seeds, once."""
        if self.mode is None:
            seeds = (list(self._modules) * 2)[:2]
            index = torch.stack([self._orders[seed][0] for seed in seeds])
            modules = [self._modules[seed] for seed in seeds]
            self.mode, reason = choose_mode(modules, self.problem.x[index], self.problem.y[index])
            self.warnings = (f"trained one replica at a time: {reason}",) if reason else ()
        if not self._chunk_size:
            module = next(iter(self._modules.values()))
            self._chunk_size = max(1, self.memory_budget // bytes_per_replica(self.problem, self.recipe, module))
        return self.mode


def train(
    problem: Problem, replicas: Sequence[Replica], recipe: Recipe, needed: Needed | None = None
) -> list[Trajectory]:
    """Train replicas of a problem once; see `Trainer`."""
    return Trainer(problem, recipe).train(replicas, needed)


def data_order(problem: Problem, recipe: Recipe, seed: int) -> torch.Tensor:
    """Return the order in which a seed's replicas see the data: whole batches of shuffled epochs.

    Returns
    -------
    Tensor ``(steps, batch_size)`` of int64
    """
    generator = torch.Generator().manual_seed(problem.order_seed(seed))
    per_epoch = len(problem.x) // recipe.batch_size
    epochs = [
        torch.randperm(len(problem.x), generator=generator)[: per_epoch * recipe.batch_size]
        for _ in range(math.ceil(recipe.steps / per_epoch))
    ]
    return torch.cat(epochs).view(-1, recipe.batch_size)[: recipe.steps].to(problem.x.device)


def bytes_per_replica(problem: Problem, recipe: Recipe, module: nn.Module) -> int:
    """Estimate the peak memory of one replica: weights, gradients, optimizer state, saved activations."""
    parameters = sum(p.numel() * p.element_size() for p in module.parameters())
    buffers = sum(b.numel() * b.element_size() for b in module.buffers())
    saved: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    index = torch.arange(recipe.batch_size, device=problem.x.device)
    stack = Stack([module], [0], problem.x.device, "looped")
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        stack.logits(problem.x[index][None], training=True)
    states = 2 + optimizer_class(recipe.optimizer).STATE
    return states * parameters + buffers + 2 * sum(saved.values())


class _Chunk:
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
    ) -> None:
        self.problem, self.recipe, self.everything, self.needed = problem, recipe, everything, needed
        self.active, self.stack, self.orders, self.optimizer = chunk, stack, orders, optimizer
        rates = [trajectory.replica.learning_rate for trajectory in chunk]
        self.learning_rate = torch.tensor(rates, dtype=problem.x.dtype, device=problem.x.device)
        self.limit = torch.full_like(self.learning_rate, math.inf)
        self.passed_last_check = [False] * len(chunk)
        self.allowed = len(problem.x) - math.ceil(recipe.target * len(problem.x))

    def run(self) -> None:
        """Train until every replica is done."""
        self._drop_where_not(self._wanted())
        for step in range(self.recipe.steps):
            if not self.active:
                return
            self._step(step)
            if self.recipe.checks(step + 1):
                self._check(step + 1)

    def _step(self, step: int) -> None:
        index = self.orders[:, step]
        losses, gradients = self.stack.losses_and_gradients(self.problem.x[index], self.problem.y[index])
        if step == 0:
            self.limit = losses * self.recipe.divergence_factor
        with torch.no_grad():
            self.optimizer.step(self.stack.trainable, gradients, self.learning_rate)
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
            wrong = self.stack.errors(which, self.problem.x, self.problem.y, self.allowed).tolist()
            for place, errors in zip(open_places, wrong, strict=True):
                passed = errors <= self.allowed
                if passed and self.passed_last_check[place]:
                    self.active[place].reached_at = step - self.recipe.check_every
                self.passed_last_check[place] = passed
        if step < self.recipe.steps:
            self._drop_where_not(self._wanted())

    def _wanted(self) -> list[bool]:
        if self.needed is None:
            return [not trajectory.reached for trajectory in self.active]
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
