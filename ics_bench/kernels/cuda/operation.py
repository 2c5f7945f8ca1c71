"""A problem bound to tensors: outputs and scratch allocated, the plan made, ready to run again and again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from ics_bench.core import UsageError
from ics_bench.kernels.cuda.geometry import VECTOR_BYTES, Device, Plan
from ics_bench.kernels.cuda.plan import plan
from ics_bench.kernels.provider import Kernel, Tensors
from ics_bench.kernels.spec import TENSOR_OUTPUTS, Problem

Buffers = Mapping[str, torch.Tensor | None]


class Engine(ABC):
    """Runs plans: on a GPU through CuPy, or, in the tests, on the processor.

    Attributes
    ----------
    device : Device
    """

    device: Device

    @abstractmethod
    def run(self, plan: Plan, buffers: Buffers) -> None:
        """Queue every launch of a plan on the current stream; ``None`` stands for the null pointer."""

    def empty_like(self, tensor: torch.Tensor) -> torch.Tensor:
        """Allocate an output of a tensor's shape, strides and dtype."""
        return torch.empty_like(tensor)

    def floats(self, count: int, device: torch.device) -> torch.Tensor:
        """Allocate float32 numbers: gradients of parameters, statistics, scratch."""
        return torch.empty(count, device=device)


@dataclass(frozen=True, slots=True)
class Operation:
    """A plan with its buffers; calling it does the work once."""

    plan: Plan
    buffers: Buffers
    engine: Engine

    def __call__(self) -> None:
        """Run it on the current stream."""
        self.engine.run(self.plan, self.buffers)

    def __getitem__(self, name: str) -> torch.Tensor:
        """Return a buffer by name."""
        found = self.buffers[name]
        if found is None:
            raise KeyError(name)
        return found


def bind(problem: Problem, inputs: Buffers, engine: Engine) -> Operation:
    """Bind a problem to its inputs.

    Parameters
    ----------
    problem : Problem
    inputs : mapping of str to Tensor
        ``x`` and, backward, ``dy`` in the problem's shape, dtype and layout; float32 ``weight`` and ``bias``,
        either of which may be ``None`` for ones and zeros; for batch norm ``running_mean`` and
        ``running_var``, updated in place in training; backward, the ``mean`` and ``rstd`` of the forward pass.
        With a residual, ``residual`` forward, and backward ``ds`` and, for ``x``, the forward pass's ``s``.
    engine : Engine

    Returns
    -------
    Operation
        Its buffers also hold the outputs, and the ``mean`` and ``rstd`` that the forward pass leaves.

    Raises
    ------
    UsageError
        If a tensor is not what the kernels read, is missing, or has no place in the problem.
    """
    for name in _needed(problem):
        if inputs.get(name) is None:
            raise UsageError(f"{problem.norm} norm {problem.direction} needs {name!r}{_where_from(name)}")
    x = inputs["x"]
    assert x is not None
    for name, tensor in inputs.items():
        if name in ("residual", "ds") and name not in _needed(problem):
            why = f"{problem.norm} norm {problem.direction}, residual={problem.residual}, takes no {name!r}"
            raise UsageError(f"{why}: leave it out, or set the problem's residual and direction")
        if tensor is not None:
            _require(problem, name, tensor, x.device)
    buffers: dict[str, torch.Tensor | None] = {"weight": None, "bias": None, **inputs}
    for name in problem.outputs:
        if name in TENSOR_OUTPUTS:
            buffers[name] = engine.empty_like(x)
        elif name in ("dweight", "dbias"):
            buffers[name] = engine.floats(problem.num_features, x.device)
    if problem.direction == "forward":
        for name in ("mean", "rstd"):
            buffers[name] = engine.floats(problem.reduction_sets, x.device)
    tensors = [tensor for tensor in buffers.values() if tensor is not None]
    aligned = all(tensor.data_ptr() % VECTOR_BYTES == 0 for tensor in tensors)
    made = plan(problem, engine.device, aligned)
    for name, count in made.scratch.items():
        buffers[name] = engine.floats(count, x.device)
    return Operation(made, buffers, engine)


def prepare(problem: Problem, tensors: Tensors, engine: Engine) -> Kernel:
    """Bind a problem to a benchmark's tensors, backward with the statistics of a forward pass done here."""
    inputs: dict[str, torch.Tensor | None] = {name: getattr(tensors, name) for name in ("x", "weight", "bias")}
    if problem.norm == "batch":
        inputs |= {"running_mean": tensors.running_mean, "running_var": tensors.running_var}
    if problem.residual:
        inputs["residual"] = tensors.residual
    if problem.direction == "backward":
        if problem.training or problem.norm != "batch":
            running = ("running_mean", "running_var") if problem.norm == "batch" else ()
            kept = {name: getattr(tensors, name).clone() for name in running}
            forward = bind(replace(problem, direction="forward"), {**inputs, **kept}, engine)
            forward()
            inputs |= {"mean": forward["mean"], "rstd": forward["rstd"]}
        inputs |= {"dy": tensors.dy}
        if problem.residual:
            del inputs["residual"]
            inputs |= {"x": forward["s"], "ds": tensors.ds}
    operation = bind(problem, inputs, engine)
    outputs = tuple(operation[name] for name in problem.outputs)

    def kernel() -> tuple[torch.Tensor, ...]:
        operation()
        return outputs

    return kernel


def _needed(problem: Problem) -> tuple[str, ...]:
    """Name the inputs that there must be: γ and β may be missing, and the mean where there is none."""
    forward, frozen = problem.direction == "forward", problem.norm == "batch" and not problem.training
    stream = (("residual",) if forward else ("ds",)) if problem.residual else ()
    if forward:
        return ("x", *stream, *(("running_mean", "running_var") if problem.norm == "batch" else ()))
    if frozen:
        return ("x", "dy", "running_var")
    return ("x", "dy", *stream, *(() if problem.norm == "rms" else ("mean",)), "rstd")


def _where_from(name: str) -> str:
    kept = "the forward pass returns it"
    stream = "give it, or take a problem without a residual"
    remedy = {"residual": stream, "ds": stream, "mean": kept, "rstd": kept}.get(name, "")
    return f": {remedy}" if remedy else ""


def _require(problem: Problem, name: str, tensor: torch.Tensor, device: torch.device) -> None:
    if tensor.device != device:
        raise UsageError(f"{name!r} is on {tensor.device} and 'x' on {device}; move it with .to('{device}')")
    if name in ("x", "dy", "residual", "ds"):
        shape, dtype = problem.shape, getattr(torch, problem.dtype)
        layout = torch.contiguous_format
        if problem.layout == "channels_last":
            layout = torch.channels_last if len(shape) == 4 else torch.channels_last_3d
        if not tensor.is_contiguous(memory_format=layout):
            raise UsageError(f"{name!r} has strides {tensor.stride()}; the kernels read {problem.layout} tensors")
    else:
        sets = problem.reduction_sets if name in ("mean", "rstd") else problem.num_features
        shape, dtype = (sets,), torch.float32
        if not tensor.is_contiguous():
            raise UsageError(f"{name!r} has strides {tensor.stride()}; make it contiguous")
    if tuple(tensor.shape) != shape or tensor.dtype != dtype:
        found = f"{tuple(tensor.shape)} of {tensor.dtype}"
        raise UsageError(f"{name!r} is {found}; {problem.norm} norm of shape {problem.shape} takes {shape} of {dtype}")
