"""PyTorch's norms as one function of x, parameters and running statistics, for those that compile or record them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ics_bench.kernels.spec import Problem

if TYPE_CHECKING:
    import torch


def functional_norm(problem: Problem) -> Callable[..., torch.Tensor]:
    """Return a function of x, weight, bias, running mean and running variance, which batch norm alone reads."""
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

    norms: dict[str, Callable[..., torch.Tensor]] = {"layer": layer, "rms": rms, "batch": batch}
    return norms.get(problem.norm, group)
