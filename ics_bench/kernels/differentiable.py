"""Anyone's differentiable function as a provider: its forward pass, and autograd for its backward pass."""

from __future__ import annotations

import importlib.util
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from ics_bench.kernels.provider import Chains, Kernel, Provider, Recorder, Tensors, any_order, recording
from ics_bench.kernels.spec import Problem

if TYPE_CHECKING:
    import torch

    Function = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor | tuple[torch.Tensor, ...]]


class Differentiable(Provider):
    """Kernels of a library that offers them as functions of x, weight and bias.

    Backward, the forward pass is done once beforehand and `torch.autograd.grad` is timed.

    Attributes
    ----------
    module : str
        Dotted name of what is imported: another package may go by its first part.
    remedy : str
        How to install it.
    """

    module: ClassVar[str]
    remedy: ClassVar[str]
    devices: ClassVar[frozenset[str]] = frozenset({"cuda"})
    layouts: ClassVar[frozenset[str]] = frozenset({"contiguous"})

    def why_not(self, problem: Problem, device: str) -> str | None:
        """Add that the library is not installed."""
        reason = super().why_not(problem, device)
        if reason is None and not _is_installed(self.module):
            return f"{self.module} is not installed: {self.remedy}"
        return reason

    def chains(self, problem: Problem, device: str) -> Chains:
        """Allow any order: the library does not tell."""
        del device
        return any_order(problem)

    @abstractmethod
    def function(self, problem: Problem, tensors: Tensors) -> Function:
        """Return the library's function of x, weight and bias; with a residual, it returns y and s."""

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        """Return the function under ``no_grad``, or the gradient of a forward pass already done."""
        return kernel_of(problem, tensors, self.function)

    def recorder(self, problem: Problem, tensors: Tensors) -> Recorder | None:
        """Record the library's function."""
        return recording(problem, tensors, self.function(problem, tensors))


def kernel_of(problem: Problem, tensors: Tensors, build: Callable[[Problem, Tensors], Function]) -> Kernel:
    """Return a built function under ``no_grad``, or, backward, the gradient of a forward pass already done."""
    import torch

    if problem.direction == "backward":  # whoever restores the running statistics must not touch what autograd keeps
        tensors = replace(tensors, running_mean=tensors.running_mean.clone(), running_var=tensors.running_var.clone())
    function = build(problem, tensors)
    x, weight, bias = tensors.x, tensors.weight, tensors.bias
    if problem.direction == "forward":
        updated = tuple(getattr(tensors, name) for name in problem.outputs if name.startswith("running"))

        def forward() -> tuple[torch.Tensor, ...]:
            with torch.no_grad():
                found = function(x, weight, bias)
                return (*found, *updated) if isinstance(found, tuple) else (found, *updated)

        return forward
    wanted = [tensor.requires_grad_() for tensor in (x, weight, bias)[: len(problem.outputs)]]
    results = function(x, weight, bias)
    gradients = (tensors.dy, tensors.ds) if problem.residual else tensors.dy
    return lambda: torch.autograd.grad(results, wanted, gradients, retain_graph=True)


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of what contains it
        return False
