"""What `torch.compile` makes of PyTorch's norms: Triton on a GPU, C++ on the processor."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ics_bench.kernels.differentiable import Differentiable
from ics_bench.kernels.functional import NARROW, functional_norm, others_of, torch_declines
from ics_bench.kernels.provider import Kernel, Tensors
from ics_bench.kernels.spec import OPTIONS, Problem

if TYPE_CHECKING:
    from ics_bench.kernels.differentiable import Function


class TorchCompile(Differentiable):
    """`torch.nn.functional` compiled for one shape, as a model's author would."""

    summary = "torch.compile of PyTorch's norms"
    module = "torch"
    remedy = "pip install torch"
    devices = frozenset({"cpu", "cuda"})
    options = frozenset(OPTIONS)
    layouts = frozenset({"contiguous", "channels_last"})
    narrow = NARROW

    def why_not(self, problem: Problem, device: str) -> str | None:
        """Add what PyTorch refuses, and that a residual is summed in float32, and normalized before it is rounded."""
        reason = super().why_not(problem, device) or torch_declines(problem)
        if reason is None and problem.residual and problem.dtype != "float32":
            return f"torch.compile normalizes x + r before it is rounded to {problem.dtype}: not the s that it returns"
        return reason

    def function(self, problem: Problem, tensors: Tensors) -> Function:
        """Return the compiled norm; its running statistics are the tensors' own."""
        compiled, others = _compiled(problem), others_of(problem, tensors)
        return lambda x, weight, bias: compiled(x, weight, bias, *others)

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        """Compile here, not in the clock, and let the backward pass keep what it reads, to be run again."""
        from torch._functorch import config

        kept = tensors.running_mean.clone(), tensors.running_var.clone()
        with config.patch(donated_buffer=False):
            kernel = super().prepare(problem, tensors)
            kernel()
        tensors.running_mean.copy_(kept[0])
        tensors.running_var.copy_(kept[1])
        return kernel


@lru_cache(maxsize=1)
def _compiled(problem: Problem) -> Callable[..., Any]:
    """Compile for one problem at a time: what was compiled for another is no change of this one's."""
    import torch

    torch.compiler.reset()
    compiled: Callable[..., Any] = torch.compile(functional_norm(problem), fullgraph=True, dynamic=False)
    return compiled


PROVIDER = TorchCompile()
