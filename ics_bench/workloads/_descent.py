"""Watches the loss surface while nets train: at given steps, and where the loss has fallen to a given level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ics_bench.core import Case, Curve, Measurement, Workload
from ics_bench.probes.objective import Surface, surface
from ics_bench.training import Observation, Problem, Recipe, Replica, Trainer, Trajectory
from ics_bench.workloads._problem import not_taken, problem_of

BATCH_SIZE = 128
CHECK_EVERY = 10

MATCHED_LOSS = 1.0
"""Level at which arms are compared: some way down from ln 10 = 2.3, the loss of a blind guess among ten classes."""

PROBE_SAMPLES = 256
"""Training samples, the same at every step, on which the level is looked for."""


@dataclass(frozen=True)
class View:
    """What a look is given.

    Parameters
    ----------
    surface : Surface
        In training mode.
    in_evaluation : callable
        Makes the surface of the same net and batch in evaluation mode.
    rate : float
        The learning rate.
    seed : int
        For a look's own draws.
    warn : callable
        Takes a text that shall come with all of the replica's numbers.
    """

    surface: Surface
    in_evaluation: Callable[[], Surface]
    rate: float
    seed: int
    warn: Callable[[str], None]


Values = dict[str, float]
"""Quantities by name."""

Look = Callable[[View], Values]


class Descent:
    """Trains the seeds of a case and looks at their loss surfaces in training mode, in float64.

    Two kinds of look: *scheduled* ones at given steps, and one *matched* look a seed, at the first
    observed step at which its loss on a probe batch, in training mode, is at or below `MATCHED_LOSS`.
    A seed is trained until both are done or the budget is spent.

    Parameters
    ----------
    workload : Workload
        Its `seed_for` gives the streams ``weights``, ``order``, ``probe`` and ``draws``.
    case : Case
        With a ``learning_rate`` and an ``optimizer``.
    device : {"cpu", "cuda"}
    steps : int
        Budget.
    every : int
        The loss is looked at every so many steps until it has matched.
    scheduled : mapping of step to look
        Looks at the mini-batch that the next step takes, or at the probe batch where ``on_probe``.
    matched : callable
        The look at the matched loss, always on the probe batch.
    on_probe : bool
    """

    def __init__(
        self,
        workload: Workload,
        case: Case,
        device: str,
        *,
        steps: int,
        every: int,
        scheduled: dict[int, Look],
        matched: Look,
        on_probe: bool,
    ) -> None:
        self.workload, self.case, self.steps, self.every = workload, case, steps, every
        self.scheduled, self.look, self.on_probe = scheduled, matched, on_probe
        self.problem: Problem = problem_of(workload, case, device)
        recipe = Recipe(steps, BATCH_SIZE, optimizer=case.text("optimizer"), check_every=CHECK_EVERY)
        self.trainer = Trainer(self.problem, recipe)
        self.seen: dict[int, dict[int, Values]] = {}
        self.matched: dict[int, Values] = {}
        self.matched_at: dict[int, int] = {}
        self.warnings: dict[int, tuple[str, ...]] = {}
        self._noted: dict[int, list[str]] = {}

    def run(self, seeds: Sequence[int]) -> None:
        """Train, and fill `seen` by seed and step, `matched` and `matched_at` by seed, and `warnings` by seed."""
        rate = float(self.case["learning_rate"])
        self.seen = {seed: {} for seed in seeds}
        self._noted = {seed: [] for seed in seeds}
        steps = sorted({*self.scheduled, *range(0, self.steps + 1, self.every)})
        replicas = [Replica(rate, seed) for seed in seeds]
        trajectories = self.trainer.train(replicas, self._needed, self._observe, steps)
        general = (*self.trainer.warnings, *not_taken(self.case))
        for trajectory in trajectories:
            seed = trajectory.replica.seed
            found = [*general, *dict.fromkeys(self._noted[seed])]
            if trajectory.diverged:
                found.append(f"diverged at step {trajectory.diverged_at:g}")
            if seed not in self.matched:
                found.append(f"the loss was above {MATCHED_LOSS:g} at all observed steps")
            self.warnings[seed] = tuple(found)

    def complete(self, seed: int) -> bool:
        """Whether a seed was there at every scheduled look."""
        return self.seen[seed].keys() >= self.scheduled.keys()

    def probe(self, seed: int) -> torch.Tensor:
        """Places of the probe batch of a seed."""
        generator = torch.Generator().manual_seed(self.workload.seed_for(self.case, seed, "probe"))
        return torch.randperm(len(self.problem.x), generator=generator)[:PROBE_SAMPLES].to(self.problem.x.device)

    def measurement(self, seed: int, metric: str, value: float, curve: Curve | None = None) -> Measurement:
        """Build a measurement that carries the seed's warnings."""
        return self.workload.measurement(self.case, seed, metric, value, curve, self.warnings[seed])

    def _needed(self, trajectories: Sequence[Trajectory]) -> list[bool]:
        last = max(self.scheduled)
        return [t.steps <= last or t.replica.seed not in self.matched_at for t in trajectories]

    def _observe(self, observation: Observation) -> None:
        step, seed = observation.step, observation.replica.seed
        look = self.scheduled.get(step)
        waiting = step % self.every == 0 and seed not in self.matched_at
        on_probe: View | None = None
        if waiting or (look and self.on_probe):
            index = self.probe(seed)
            on_probe = self._view(observation, self.problem.x[index], self.problem.y[index])
        if waiting and on_probe is not None:
            with torch.no_grad():
                if float(on_probe.surface(on_probe.surface.at)) <= MATCHED_LOSS:
                    self.matched_at[seed] = step
                    self.matched[seed] = self.look(on_probe)
        if look:
            view = on_probe if self.on_probe else self._view(observation, observation.x, observation.y)
            assert view is not None
            self.seen[seed][step] = look(view)

    def _view(self, observation: Observation, x: torch.Tensor, y: torch.Tensor) -> View:
        module, loss, replica = observation.module.double(), self.problem.loss, observation.replica
        inputs = x.double() if x.is_floating_point() else x

        def mean_loss(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return loss.mean(outputs[None], y[None])[0]

        def in_evaluation() -> Surface:
            module.eval()
            made = surface(module, inputs, y, mean_loss)
            module.train()
            return made

        draws = self.workload.seed_for(self.case, replica.seed, f"draws at step {observation.step}")
        warn = self._noted[replica.seed].append
        return View(surface(module, inputs, y, mean_loss), in_evaluation, replica.learning_rate, draws, warn)
