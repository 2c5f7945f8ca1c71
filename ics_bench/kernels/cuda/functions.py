"""Our kernels for a user: functions that autograd differentiates, and plain ones below them.

They read torch's tensors where they are and run on torch's current stream. x is float32, bfloat16 or
float16 in either memory format, and is copied only if its strides fit neither. Parameters are computed
with in float32. Gradients of gradients are not offered.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch

from ics_bench.core import UsageError
from ics_bench.kernels.cuda.launch import engine_of
from ics_bench.kernels.cuda.operation import bind
from ics_bench.kernels.spec import CHANNELS_LAST_RANKS, DTYPE_BYTES, Layout, Problem

Optional = torch.Tensor | None


def layer_norm(
    x: torch.Tensor,
    weight: Optional = None,
    bias: Optional = None,
    eps: float = 1e-5,
    zero_centered: bool = False,
) -> torch.Tensor:
    """Normalize the last dimension of ``(*, N)`` (Ba et al. 2016); the scale is 1 + weight if ``zero_centered``."""
    return _rows("layer", x, weight, bias, eps, zero_centered)


def rms_norm(x: torch.Tensor, weight: Optional = None, eps: float = 1e-5, zero_centered: bool = False) -> torch.Tensor:
    """Divide the last dimension of ``(*, N)`` by its root mean square (Zhang & Sennrich 2019).

    The scale is 1 + weight if ``zero_centered``, as in Gemma.
    """
    return _rows("rms", x, weight, None, eps, zero_centered)


def add_layer_norm(
    x: torch.Tensor,
    residual: torch.Tensor,
    weight: Optional = None,
    bias: Optional = None,
    eps: float = 1e-5,
    zero_centered: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the layer norm of s = x + residual, and s, in one pass; both of one shape ``(*, N)`` and dtype.

    y may be changed in place. s may not where gradients are wanted, as it is what is kept: autograd refuses then.
    """
    return _add("layer", x, residual, weight, bias, eps=eps, zero_centered=zero_centered)


def add_rms_norm(
    x: torch.Tensor, residual: torch.Tensor, weight: Optional = None, eps: float = 1e-5, zero_centered: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the RMS norm of s = x + residual, and s, in one pass; both of one shape ``(*, N)`` and dtype.

    y may be changed in place. s may not where gradients are wanted, as it is what is kept: autograd refuses then.
    """
    return _add("rms", x, residual, weight, None, eps=eps, zero_centered=zero_centered)


def group_norm(
    x: torch.Tensor, num_groups: int, weight: Optional = None, bias: Optional = None, eps: float = 1e-5
) -> torch.Tensor:
    """Normalize groups of channels of each sample of ``(B, C, *)`` (Wu & He 2018)."""
    return record(_problem("group", x, groups=num_groups, eps=eps), x, weight, bias)


def instance_norm(x: torch.Tensor, weight: Optional = None, bias: Optional = None, eps: float = 1e-5) -> torch.Tensor:
    """Normalize each channel of each sample of ``(B, C, *)`` (Ulyanov et al. 2016)."""
    return record(_problem("instance", x, eps=eps), x, weight, bias)


def batch_norm(
    x: torch.Tensor,
    running_mean: torch.Tensor,
    running_var: torch.Tensor,
    weight: Optional = None,
    bias: Optional = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> torch.Tensor:
    """Normalize each channel of ``(B, C, *)`` over the batch (Ioffe & Szegedy 2015).

    In training, ``running_mean`` and ``running_var`` are updated in place; else they are the statistics,
    and gradients go to x alone: to train the parameters of frozen statistics, apply them outside.
    """
    if not training and any(t is not None and t.requires_grad for t in (weight, bias)) and torch.is_grad_enabled():
        raise UsageError("batch norm with running statistics has no gradients of weight and bias; detach them")
    problem = _problem("batch", x, training=training, momentum=momentum, eps=eps)
    return record(problem, x, weight, bias, running_mean, running_var)


def forward(
    problem: Problem,
    x: torch.Tensor,
    weight: Optional = None,
    bias: Optional = None,
    running_mean: Optional = None,
    running_var: Optional = None,
) -> tuple[torch.Tensor, Optional, Optional]:
    """Return y and what `backward` needs: the mean of each reduction set, and its 1/√(variance + eps).

    RMS norm has no mean, and batch norm in evaluation neither.
    """
    inputs = {"x": x, "weight": weight, "bias": bias}
    if problem.norm == "batch":
        inputs |= {"running_mean": running_mean, "running_var": running_var}
    operation = bind(replace(problem, direction="forward"), inputs, engine_of(x.device))
    operation()
    if problem.norm == "batch" and not problem.training:
        return operation["y"], None, None
    _count_version(running_mean, running_var)
    return operation["y"], None if problem.norm == "rms" else operation["mean"], operation["rstd"]


def forward_with_residual(
    problem: Problem, x: torch.Tensor, residual: torch.Tensor, weight: Optional = None, bias: Optional = None
) -> tuple[torch.Tensor, torch.Tensor, Optional, Optional]:
    """Return y, the stream s = x + residual, and the mean and 1/√(variance + eps) of each row of s."""
    inputs = {"x": x, "residual": residual, "weight": weight, "bias": bias}
    operation = bind(replace(problem, direction="forward"), inputs, engine_of(x.device))
    operation()
    return operation["y"], operation["s"], None if problem.norm == "rms" else operation["mean"], operation["rstd"]


def backward(
    problem: Problem,
    dy: torch.Tensor,
    x: torch.Tensor,
    weight: Optional = None,
    mean: Optional = None,
    rstd: Optional = None,
    running_var: Optional = None,
    ds: Optional = None,
) -> tuple[torch.Tensor, Optional, Optional]:
    """Return dx, dweight and dbias from what `forward` left; ``running_var`` for batch norm in evaluation.

    With a residual, x is the stream s that `forward_with_residual` returned, and ``ds`` is added to its gradient.
    """
    problem = replace(problem, direction="backward")
    inputs = {"x": x, "dy": dy, "weight": weight}
    if problem.norm == "batch" and not problem.training:
        inputs |= {"running_var": running_var}
    else:
        inputs |= {"rstd": rstd} if problem.norm == "rms" else {"mean": mean, "rstd": rstd}
    inputs |= {"ds": ds} if problem.residual or ds is not None else {}
    operation = bind(problem, inputs, engine_of(x.device))
    operation()
    found = [operation[name] if name in problem.outputs else None for name in ("dx", "dweight", "dbias")]
    return operation["dx"], found[1], found[2]


class Norm(torch.autograd.Function):
    """Any of the norms, by its `Problem`."""

    @staticmethod
    def forward(
        ctx: Any,
        problem: Problem,
        x: torch.Tensor,
        weight: Optional,
        bias: Optional,
        running_mean: Optional,
        running_var: Optional,
    ) -> torch.Tensor:
        """Compute y, and keep x, the weight and the statistics."""
        y, mean, rstd = forward(problem, x, weight, bias, running_mean, running_var)
        ctx.problem = problem
        frozen = running_var if mean is None and rstd is None else None
        ctx.save_for_backward(x, weight, mean, rstd, frozen)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: torch.Tensor) -> tuple[Any, ...]:
        """Compute the gradients of x, weight and bias."""
        x, weight, mean, rstd, frozen = ctx.saved_tensors
        found = backward(ctx.problem, laid_out(dy, ctx.problem.layout), x, weight, mean, rstd, frozen)
        wanted = ctx.needs_input_grad[1:4]
        return None, *(one if want else None for one, want in zip(found, wanted, strict=True)), None, None


class AddNorm(torch.autograd.Function):
    """A norm of the sum of x and a residual, both ``(*, N)``; it returns y and the sum as rows.

    It sees its inputs as rows by itself: leaves that got their gradients through views would share one storage. Its
    outputs are no views, or autograd would refuse to have them changed in place.
    """

    @staticmethod
    def forward(
        ctx: Any, problem: Problem, x: torch.Tensor, residual: torch.Tensor, weight: Optional, bias: Optional
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute y and s, and keep s, the weight and the statistics."""
        rows, others = (tensor.reshape(problem.shape).contiguous() for tensor in (x, residual))
        y, s, mean, rstd = forward_with_residual(problem, rows, others, weight, bias)
        ctx.problem, ctx.shape = problem, x.shape
        ctx.save_for_backward(s, weight, mean, rstd)
        ctx.set_materialize_grads(False)
        return y, s

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Optional, ds: Optional) -> tuple[Any, ...]:
        """Compute the gradients of x, residual, weight and bias; where nothing reaches s, nothing is added."""
        ds = None if ds is None else ds.contiguous()
        if dy is None:
            dx = None if ds is None else ds.view(ctx.shape)
            return None, dx, dx, None, None
        s, weight, mean, rstd = ctx.saved_tensors
        problem = replace(ctx.problem, residual=ds is not None)
        dx, dweight, dbias = backward(problem, dy.contiguous(), s, weight, mean, rstd, ds=ds)
        dx, wanted = dx.view(ctx.shape), ctx.needs_input_grad[1:]
        return None, *(one if want else None for one, want in zip((dx, dx, dweight, dbias), wanted, strict=True))


def record_with_residual(
    problem: Problem, x: torch.Tensor, residual: torch.Tensor, weight: Optional, bias: Optional
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute y and s so that autograd can differentiate them."""
    weight, bias = (None if parameter is None else parameter.float() for parameter in (weight, bias))
    arguments = (problem, x, residual, weight, bias)
    y, s = AddNorm.apply(*arguments)  # type: ignore[no-untyped-call]
    return y.view(x.shape), s.view(x.shape)


def record(
    problem: Problem,
    x: torch.Tensor,
    weight: Optional,
    bias: Optional,
    running_mean: Optional = None,
    running_var: Optional = None,
) -> torch.Tensor:
    """Compute y so that autograd can differentiate it: what the functions above do for a `Problem`."""
    weight, bias = (None if parameter is None else parameter.float() for parameter in (weight, bias))
    arguments = (problem, laid_out(x, problem.layout), weight, bias, running_mean, running_var)
    y: torch.Tensor = Norm.apply(*arguments)  # type: ignore[no-untyped-call]
    return y


def _count_version(*written: Optional) -> None:
    """Tell autograd of tensors that were written by address: whoever kept one must not use it unawares."""
    for tensor in written:
        if tensor is not None and not tensor.is_inference():  # which have no version
            torch.autograd.graph.increment_version(tensor)


def layout_of(x: torch.Tensor) -> Layout:
    """Name the layout in which a tensor is to be read."""
    if x.dim() in CHANNELS_LAST_RANKS and not x.is_contiguous():
        last = torch.channels_last if x.dim() == CHANNELS_LAST_RANKS[0] else torch.channels_last_3d
        if x.is_contiguous(memory_format=last):
            return "channels_last"
    return "contiguous"


def laid_out(x: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Give a tensor a layout, without a copy if it has it."""
    if layout == "contiguous":
        return x.contiguous()
    return x.contiguous(
        memory_format=torch.channels_last if x.dim() == CHANNELS_LAST_RANKS[0] else torch.channels_last_3d
    )


def _problem(norm: str, x: torch.Tensor, **options: Any) -> Problem:
    dtype = str(x.dtype).removeprefix("torch.")
    if dtype not in DTYPE_BYTES:
        raise UsageError(f"the CUDA kernels have no dtype {dtype!r}; they have {', '.join(DTYPE_BYTES)}")
    options = {"shape": tuple(x.shape), "layout": layout_of(x), **options}
    try:
        return Problem(norm, "forward", dtype=dtype, **options)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _rows(
    norm: str, x: torch.Tensor, weight: Optional, bias: Optional, eps: float, zero_centered: bool
) -> torch.Tensor:
    rows = x.reshape(_row_shape(norm, x))
    return record(_problem(norm, rows, eps=eps, zero_centered=zero_centered), rows, weight, bias).view(x.shape)


def _add(
    norm: str, x: torch.Tensor, residual: torch.Tensor, weight: Optional, bias: Optional, **options: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    if x.shape != residual.shape:
        raise UsageError(f"x is {tuple(x.shape)} and its residual {tuple(residual.shape)}: expand one to the other")
    problem = _problem(norm, x, shape=_row_shape(norm, x), layout="contiguous", residual=True, **options)
    return record_with_residual(problem, x, residual, weight, bias)


def _row_shape(norm: str, x: torch.Tensor) -> tuple[int, int]:
    if x.dim() == 0:
        raise UsageError(f"{norm} norm takes tensors (*, N); this one has no dimension")
    return math.prod(x.shape[:-1]), x.shape[-1]
