"""Kernels that leave their memory or their type are wrong; those that stay in it are right."""

import math
import re

import pytest
import torch
from rounded_oracle import Rounded, problem_of

from ics_bench.kernels.check import check, edges
from ics_bench.kernels.provider import PROMISES, Kernel, Provider, Tensors
from ics_bench.kernels.spec import KERNEL_NORMS, Problem


class Overwrites(Rounded):
    """Writes its result over its input."""

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        kernel = super().prepare(problem, tensors)
        return lambda: (tensors.x.copy_(kernel()[0]),)


def test_a_kernel_that_destroys_its_input_fails() -> None:
    assert not check(Overwrites(), problem_of("layer", "forward"), seed=0, device="cpu").correct


class Allocating(Rounded):
    """Writes into memory that it allocates, as libraries do."""

    promises = frozenset(PROMISES)

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        kernel = super().prepare(problem, tensors)
        first = torch.empty_like(tensors.x)

        def call() -> tuple[torch.Tensor, ...]:
            results = kernel()
            first.copy_(results[0])
            self.finish(tensors, first)
            return (first, *results[1:])

        return call

    def finish(self, tensors: Tensors, first: torch.Tensor) -> None:
        pass


def _beyond(tensor: torch.Tensor) -> torch.Tensor:
    """Return the element behind a tensor's last, if its memory has one."""
    behind = tensor.storage_offset() + tensor.numel()
    held = tensor.untyped_storage().nbytes() // tensor.element_size()
    return tensor.as_strided((min(1, held - behind),), (1,), behind)


class BeyondItsOutput(Allocating):
    def finish(self, tensors: Tensors, first: torch.Tensor) -> None:
        _beyond(first).fill_(0.0)


class BeyondItsInput(Allocating):
    def finish(self, tensors: Tensors, first: torch.Tensor) -> None:
        _beyond(tensors.dy).fill_(0.0)


class Needy(Allocating):
    """Wrong at addresses that wide loads cannot read."""

    def finish(self, tensors: Tensors, first: torch.Tensor) -> None:
        if any(tensor.data_ptr() % 16 for tensor in (tensors.x, first)):
            first.add_(1.0)


class Wide(Rounded):
    """Returns every output in float32."""

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        kernel = super().prepare(problem, tensors)
        return lambda: tuple(output.float() for output in kernel())


class NeverEmpty(Allocating):
    """Leaves the gradients of the parameters alone where there are no samples."""

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        kernel = super().prepare(problem, tensors)
        if problem.elements:
            return kernel
        return lambda: tuple(output.fill_(math.nan) for output in kernel())


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("norm", KERNEL_NORMS)
def test_a_kernel_that_stays_in_its_memory_wherever_that_is_passes(norm: str, direction: str) -> None:
    problem = problem_of(norm, direction)
    verdict = check(Allocating(), problem, seed=1, device="cpu")
    assert verdict.correct, verdict.worst
    some = list(edges(Allocating(), problem))
    assert {shift for _, shift in some} == {0, 1}
    assert (0 in {candidate.shape[0] for candidate, _ in some}) == (norm != "batch")
    assert {shift for _, shift in edges(Rounded(), problem)} == {0}


@pytest.mark.parametrize(
    ("provider", "dtype", "worst"),
    [
        (BeyondItsOutput(), "float32", "memory beyond dx"),
        (BeyondItsInput(), "bfloat16", "memory beyond dy"),
        (Needy(), "bfloat16", "dx at .* at an odd address"),
        (Wide(), "bfloat16", "torch.float32 for the bfloat16 of dx"),
        (NeverEmpty(), "float32", "dweight at 0x64"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Provider) else str(value),
)
def test_a_kernel_that_leaves_its_memory_or_type_is_wrong(provider: Provider, dtype: str, worst: str) -> None:
    problem = problem_of("layer", "backward", dtype)
    verdict = check(provider, problem, seed=1, device="cpu")
    assert not verdict.correct
    assert re.match(worst, verdict.worst), verdict.worst
