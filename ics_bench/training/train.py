"""The training loop: replicas together, each with its own rate and order, dropped when done."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import nn

from ics_bench.core import derive_seed
from ics_bench.subjects.optimizer import load_optimizer, state_tensors
from ics_bench.training.chunk import Chunk
from ics_bench.training.modes import choose_mode
from ics_bench.training.observation import Observer, Watch
from ics_bench.training.recipe import Needed, Problem, Recipe, Replica, Trajectory
from ics_bench.training.stack import Mode, Stack

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
        `ics_bench.training.modes.choose_mode`. Where that is looping over replicas, every trajectory
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
        self.optimizer = load_optimizer(recipe.optimizer)
        self.warnings: tuple[str, ...] = ()
        self._modules: dict[int, nn.Module] = {}
        self._orders: dict[int, torch.Tensor] = {}
        self._chunk_size = 0

    def train(
        self,
        replicas: Sequence[Replica],
        needed: Needed | None = None,
        observe: Observer | None = None,
        observe_at: Iterable[int] = (),
    ) -> list[Trajectory]:
        """Train replicas together and return what became of each, in the order given.

        Parameters
        ----------
        replicas : sequence of Replica
            Distinct pairs of learning rate and seed. Replicas of one seed start from the same weights
            and see the data in the same order.
        needed : callable, optional
            Called before the first step and after every check with all trajectories so far; answers
            for each whether training it further can still matter. By default a replica is trained
            until it diverges, spends the budget or, unless there is an observer, reaches the target.
        observe : callable, optional
            Called with an `Observation` of every replica still in training at every step of
            ``observe_at``, chunk by chunk. Nothing it does changes a trajectory.
        observe_at : iterable of int
            Steps taken, 0 … ``recipe.steps``. At the end, the weights after the last step are observed
            of every replica whose last loss had not diverged.
        """
        watch = Watch(observe, observe_at, self.recipe.steps)
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
            stack = Stack(modules, draws, self.problem.x.device, mode, self.problem.loss)
            orders = torch.stack([self._orders[seed] for seed in seeds])
            optimizer = self.optimizer()
            Chunk(self.problem, self.recipe, chunk, trajectories, stack, orders, optimizer, needed, watch).run()
        return trajectories

    def _prepare(self, seed: int) -> None:
        if seed not in self._modules:
            with torch.random.fork_rng(devices=[]):  # torch's own layers draw from the global state as they are built
                self._modules[seed] = self.problem.build(seed)
            self._orders[seed] = data_order(self.problem, self.recipe, seed, extra=1)

    def _try_out(self) -> Mode:
        """Choose the mode and the size of a chunk on the first seeds, once."""
        if self.mode is None:
            seeds = (list(self._modules) * 2)[:2]
            index = torch.stack([self._orders[seed][0] for seed in seeds])
            modules = [self._modules[seed] for seed in seeds]
            self.mode, reason = choose_mode(modules, self.problem.x[index], self.problem.y[index], self.problem.loss)
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


def data_order(problem: Problem, recipe: Recipe, seed: int, extra: int = 0) -> torch.Tensor:
    """Return the order in which a seed's replicas see the data: whole batches of shuffled epochs.

    Parameters
    ----------
    problem : Problem
    recipe : Recipe
    seed : int
    extra : int
        Batches beyond the budget, to look at the weights after the last step.

    Returns
    -------
    Tensor ``(steps + extra, batch_size)`` of int64
    """
    steps = recipe.steps + extra
    generator = torch.Generator().manual_seed(problem.order_seed(seed))
    per_epoch = len(problem.x) // recipe.batch_size
    epochs = [
        torch.randperm(len(problem.x), generator=generator)[: per_epoch * recipe.batch_size]
        for _ in range(math.ceil(steps / per_epoch))
    ]
    return torch.cat(epochs).view(-1, recipe.batch_size)[:steps].to(problem.x.device)


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
        stack.outputs(problem.x[index][None], training=True)
    states = 2 + state_tensors(recipe.optimizer)
    return states * parameters + buffers + 2 * sum(saved.values())
