"""Times training steps of a net with a norm and of the same net without, which take turns."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from ics_bench.core import Case, Workload
from ics_bench.kernels.clock import Call, interleave
from ics_bench.subjects.optimizer import load_optimizer
from ics_bench.training import Problem
from ics_bench.training.stack import Stack
from ics_bench.workloads._problem import problem_of


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Seconds a step; equal positions are from the same round.

    Parameters
    ----------
    subject, identity : tuple of float
        With the norm, and with the identity in its place.
    warnings : tuple of str
    """

    subject: tuple[float, ...]
    identity: tuple[float, ...]
    warnings: tuple[str, ...]


def time_steps(workload: Workload, case: Case, seed: int, learning_rate: float, count: int, device: str) -> StepTimes:
    """Time steps of a case's net and of the same net without norm, from the same weights on the same batch.

    Each takes ``count`` steps in a row; the mean of them is one time.
    """
    without = Case.of({**case, "norm": "none"})
    subject, identity = (problem_of(workload, arm, device) for arm in (case, without))
    arms = {
        name: [_steps(problem, case, seed, learning_rate, count, workload.seed_for(case, seed, "forward"))]
        for name, problem in (("subject", subject), ("identity", identity))
    }
    samples = interleave(arms, random.Random(workload.seed_for(case, seed, "timing")))
    subject_times, identity_times = (
        tuple(seconds / count for seconds in samples.seconds[name]) for name in ("subject", "identity")
    )
    return StepTimes(subject_times, identity_times, samples.load.warnings())


def _steps(problem: Problem, case: Case, seed: int, learning_rate: float, count: int, forward_seed: int) -> Call:
    """Build a closure that takes ``count`` more steps, always on the same batch."""
    generator = torch.Generator().manual_seed(problem.order_seed(seed))
    index = torch.randperm(len(problem.x), generator=generator)[: case.integer("batch_size")].to(problem.x.device)
    x, y = problem.x[index][None], problem.y[index][None]
    # Looped, so that torch's own layers are timed, as anyone's training runs them, not their lifted forms.
    stack = Stack([_built(problem.build, seed)], [forward_seed], problem.x.device, "looped", problem.loss)
    optimizer = load_optimizer(case.text("optimizer"))()
    rate = torch.tensor([learning_rate], dtype=torch.float32, device=problem.x.device)

    def steps() -> None:
        for _ in range(count):
            _, gradients = stack.losses_and_gradients(x, y)
            with torch.no_grad():
                optimizer.step(stack.trainable, gradients, rate)

    return steps


def _built(build: Callable[[int], nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        return build(seed)
