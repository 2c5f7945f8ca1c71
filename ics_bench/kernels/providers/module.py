"""Any normalization layer as its user calls it: the module forward, autograd backward. Unchecked: no reference."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ics_bench.core import UsageError
from ics_bench.kernels.provider import Chains, Kernel, Provider, Recorder, Tensors
from ics_bench.kernels.spec import KERNEL_NORMS, Problem

if TYPE_CHECKING:
    import torch


class Module(Provider):
    """A layer of `ics_bench.subjects.NORMS`, or ``module:Name``, that has no reference here.

    The module is cast to the problem's dtype, and to training or evaluation mode. Backward, the forward
    pass is done once beforehand and `torch.autograd.grad` is timed, for x and every parameter.
    """

    summary = "any nn.Module, with autograd backward"
    norms = frozenset({"any norm without a reference"})
    devices = frozenset({"cpu", "cuda"})

    def takes(self, norm: str) -> bool:
        """Whether the norm is one that the other providers know nothing of."""
        return norm not in KERNEL_NORMS

    def why_not(self, problem: Problem, device: str) -> str | None:
        """Add what the layer itself declines: it is tried on a few positions of the same features."""
        reason = super().why_not(problem, device)
        if reason is not None:
            return reason
        if problem.norm == "none":
            return "the identity moves no bytes: the copy itself is its ceiling"
        import torch

        from ics_bench.subjects.norm import load_norm

        if load_norm(problem.norm).acts_on_weights:
            return f"norm {problem.norm!r} acts on weights: there is no layer to time"
        small = (2, problem.num_features, *(3 for _ in problem.shape[2:]))
        try:
            layer = _build(problem, problem.num_features)
            with torch.no_grad():
                y = layer(torch.linspace(-1.0, 1.0, math.prod(small)).reshape(small).to(_dtype(problem)))
        except Exception as error:
            return f"norm {problem.norm!r} does not take {problem.dtype} input of shape {small}: {error!r}"
        if y.shape != small:
            return f"norm {problem.norm!r} turns shape {small} into {tuple(y.shape)}"
        if y.dtype != _dtype(problem):
            return f"norm {problem.norm!r} turns {problem.dtype} into {str(y.dtype).removeprefix('torch.')}"
        return None

    def chains(self, problem: Problem, device: str) -> Chains:
        """Nothing is known of the layer's sums, and no bound is asked for.

        Raises
        ------
        UsageError
            Always.
        """
        raise UsageError(f"norm {problem.norm!r} has no reference on {device}, so its error has no bound")

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        """Return the layer's forward under ``no_grad``, or the gradient of a forward already done."""
        import torch

        layer = _build(problem, problem.num_features).to(tensors.x.device)
        if problem.direction == "forward":

            def forward() -> tuple[torch.Tensor, ...]:
                with torch.no_grad():
                    return (layer(tensors.x),)

            return forward
        x = tensors.x.requires_grad_()
        wanted = (x, *(parameter for parameter in layer.parameters() if parameter.requires_grad))
        y = layer(x)
        return lambda: torch.autograd.grad(y, wanted, tensors.dy, retain_graph=True, allow_unused=True)

    def recorder(self, problem: Problem, tensors: Tensors) -> Recorder:
        """Record the layer, whose parameters and buffers are its own."""
        layer = _build(problem, problem.num_features).to(tensors.x.device)
        x = tensors.x.detach().requires_grad_()
        return Recorder(lambda: layer(x), (*layer.parameters(), *layer.buffers()))


def _dtype(problem: Problem) -> torch.dtype:
    import torch

    found: torch.dtype = getattr(torch, problem.dtype)
    return found


def _build(problem: Problem, num_features: int) -> torch.nn.Module:
    from ics_bench.subjects.norm import load_norm

    layer = load_norm(problem.norm).build(num_features)
    return layer.to(_dtype(problem)).train(problem.training)


PROVIDER = Module()
