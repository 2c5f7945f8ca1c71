"""Times training steps of a net with a norm and of the same net without, which take turns.

The clock is an ordinary training loop, as anyone's is, around torch's own layers. Nothing is learned in it, so it is
none of the suite's training: that runs replicas together and copies the buffers of a net at every step, which only
nets with batch norm have, and so would charge them for the suite's own bookkeeping.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from ics_bench.core import Case, Workload
from ics_bench.kernels.clock import BUDGET_SECONDS, Call, interleave
from ics_bench.subjects.optimizer import load_optimizer
from ics_bench.training import Problem
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


def time_steps(
    workload: Workload,
    case: Case,
    seed: int,
    learning_rate: float,
    count: int,
    device: str,
    budget_seconds: float = BUDGET_SECONDS,
) -> StepTimes:
    """Time steps of a case's net and of the same net without norm, from the same weights on the same batch.

    Each takes ``count`` steps in a row; the mean of them is one time.
    """
    without = Case.of({**case, "norm": "none"})
    subject, identity = (problem_of(workload, arm, device) for arm in (case, without))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(workload.seed_for(case, seed, "forward"))
        arms = {
            name: [_steps(problem, case, seed, learning_rate, count)]
            for name, problem in (("subject", subject), ("identity", identity))
        }
        order = random.Random(workload.seed_for(case, seed, "timing"))
        samples = interleave(arms, order, budget_seconds)
    subject_times, identity_times = (
        tuple(seconds / count for seconds in samples.seconds[name]) for name in ("subject", "identity")
    )
    return StepTimes(subject_times, identity_times, samples.load.warnings())


def _steps(problem: Problem, case: Case, seed: int, learning_rate: float, count: int) -> Call:
    """Build a closure that takes ``count`` more steps, always on the same batch."""
    generator = torch.Generator().manual_seed(problem.order_seed(seed))
    index = torch.randperm(len(problem.x), generator=generator)[: case.integer("batch_size")].to(problem.x.device)
    x, y = problem.x[index], problem.y[index]
    net = problem.build(seed).to(problem.x.device).train()
    update = _update(case.text("optimizer"), list(net.parameters()), learning_rate)

    def steps() -> None:
        for _ in range(count):
            net.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(net(x), y))
            update()

    return steps


def _update(optimizer: str, parameters: list[nn.Parameter], learning_rate: float) -> Callable[[], object]:
    """Make torch's own update; of an optimizer that torch has not, ours for replicas, of which there is one."""
    if optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=learning_rate).step
    if optimizer == "momentum":
        return torch.optim.SGD(parameters, lr=learning_rate, momentum=0.9).step
    if optimizer == "adam":
        return torch.optim.Adam(parameters, lr=learning_rate).step
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    views = [parameter.detach()[None] for parameter in trained]
    rate = torch.tensor([learning_rate], dtype=torch.float32, device=views[0].device)
    stacked = load_optimizer(optimizer)()

    def step() -> None:
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
        with torch.no_grad():
            stacked.step(views, [gradient[None] for gradient in gradients], rate)

    return step
