"""What `torch.compile` makes of PyTorch's norms: Triton on a GPU, C++ on the processor."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from ics_bench.kernels.differentiable import Differentiable
from ics_bench.kernels.provider import Kernel, Tensors
from ics_bench.kernels.spec import Problem

if TYPE_CHECKING:
    import torch

    from ics_bench.kernels.differentiable import Function


class TorchCompile(Differentiable):
    """`torch.nn.functional` compiled for one shape, as a model's author would."""

    summary = "torch.compile of PyTorch's norms"
    module = "torch"
    remedy = "pip install torch"
    devices = frozenset({"cpu", "cuda"})
    layouts = frozenset({"contiguous", "channels_last"})

    def function(self, problem: Problem, tensors: Tensors) -> Function:
        """Return the compiled norm; its running statistics are the tensors' own."""
        compiled, running = _compiled(problem), (tensors.running_mean, tensors.running_var)
        return lambda x, weight, bias: compiled(x, weight, bias, *running)

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
def _compiled(problem: Problem) -> Callable[..., torch.Tensor]:
    """Compile for one problem at a time: what was compiled for another is no change of this one's."""
    import torch

    torch.compiler.reset()
    compiled: Callable[..., torch.Tensor] = torch.compile(_norm(problem), fullgraph=True, dynamic=False)
    return compiled


def _norm(problem: Problem) -> Callable[..., torch.Tensor]:
    from torch.nn import functional

    size, eps, groups = [problem.num_features], problem.eps, problem.num_groups
    training, momentum = problem.training, problem.momentum

    def layer(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(x, size, weight, bias, eps)

    def rms(x: torch.Tensor, weight: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(x, size, weight, eps)

    def group(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        return functional.group_norm(x, groups, weight, bias, eps)

    def batch(
        x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor
    ) -> torch.Tensor:
        return functional.batch_norm(x, mean, variance, weight, bias, training, momentum, eps)

    norms: dict[str, Callable[..., torch.Tensor]] = {"layer": layer, "rms": rms, "batch": batch}
    return norms.get(problem.norm, group)


PROVIDER = TorchCompile()
