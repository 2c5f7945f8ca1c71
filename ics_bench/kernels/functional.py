"""PyTorch's norms as one function of x, parameters and running statistics, for those that compile or record them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from ics_bench.kernels.provider import Tensors
from ics_bench.kernels.spec import Problem

if TYPE_CHECKING:
    import torch


def others_of(problem: Problem, tensors: Tensors) -> tuple[torch.Tensor, ...]:
    """Return what `functional_norm` takes after x, weight and bias."""
    running = (tensors.running_mean, tensors.running_var)
    return (*running, tensors.required_residual()) if problem.residual else running


NARROW = frozenset({"layer", "rms", "group"})
"""Norms whose γ and β PyTorch takes on a GPU in the dtype of x: its kernels for two types are for processors, and its
fused RMS norm has none. Batch norm, which instance norm is made of, takes float32 beside any."""


def torch_declines(problem: Problem) -> str | None:
    """Say what PyTorch's functions refuse: instance norm of single numbers, whose deviation is zero."""
    if problem.norm == "instance" and math.prod(problem.shape[2:]) == 1:
        return "PyTorch's instance norm takes more than one position"
    return None


def functional_norm(problem: Problem) -> Callable[..., torch.Tensor | tuple[torch.Tensor, torch.Tensor]]:
    """Return what a module calls, as a function of x, weight, bias, running mean and running variance.

    Batch norm alone reads the last two. With a residual, it takes r besides, last, and returns y and s = x + r.
    """
    from torch.nn import functional

    size, eps, groups = [problem.num_features], problem.eps, problem.num_groups
    training, momentum = problem.training, problem.momentum
    offset = problem.weight_offset

    def scale(weight: torch.Tensor) -> torch.Tensor:
        return offset + weight if offset else weight

    def layer(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(x, size, scale(weight), bias, eps)

    def rms(x: torch.Tensor, weight: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(x, size, scale(weight), eps)

    def group(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        return functional.group_norm(x, groups, weight, bias, eps)

    def batch(
        x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor
    ) -> torch.Tensor:
        return functional.batch_norm(x, mean, variance, weight, bias, training, momentum, eps)

    def instance(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        return functional.instance_norm(x, None, None, weight, bias, True, momentum, eps)

    norms: dict[str, Callable[..., torch.Tensor]] = {
        "layer": layer, "rms": rms, "group": group, "instance": instance, "batch": batch
    }  # fmt: skip
    norm = norms[problem.norm]

    def add(
        x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, *others: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        s = x + others[-1]
        return norm(s, weight, bias, *others[:-1]), s

    return add if problem.residual else norm
