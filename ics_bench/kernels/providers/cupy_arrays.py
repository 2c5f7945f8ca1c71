"""CuPy as a NumPy user writes it: array expressions in float32, a kernel and a temporary for nearly each."""

from __future__ import annotations

import importlib.util
from typing import Any

from ics_bench.kernels.provider import Chains, Kernel, Provider, Tensors, any_order
from ics_bench.kernels.spec import OPTIONS, Problem, view


class CupyArrays(Provider):
    """The formulas of the reference over `cupy.ndarray`, which shares memory with torch's tensors.

    CuPy has no bfloat16 of its own. It allocates as it goes, from its own memory.
    """

    summary = "CuPy array expressions"
    dtypes = frozenset({"float32", "float16"})
    layouts = frozenset({"contiguous"})
    devices = frozenset({"cuda"})
    options = frozenset(OPTIONS)
    capturable = False

    def why_not(self, problem: Problem, device: str) -> str | None:
        """Add that CuPy is not installed."""
        reason = super().why_not(problem, device)
        if reason is None and importlib.util.find_spec("cupy") is None:
            return "CuPy is not installed: pip install 'ics-bench[cuda]'"
        return reason

    def chains(self, problem: Problem, device: str) -> Chains:
        """Allow any order."""
        del device
        return any_order(problem)

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        """Return a closure over CuPy's view of the tensors, on torch's stream."""
        import cupy
        import torch
        from torch.utils.dlpack import from_dlpack

        arrays = {name: cupy.from_dlpack(tensor.detach()) for name, tensor in tensors.named().items()}
        arrays = stream_kept(problem, arrays)
        stream = cupy.cuda.Stream.from_external(torch.cuda.current_stream(tensors.x.device))

        def kernel() -> tuple[torch.Tensor, ...]:
            with stream:
                outputs = self.evaluate(cupy, problem, arrays)
            return tuple(from_dlpack(output) for output in outputs)

        return kernel

    def evaluate(self, xp: Any, problem: Problem, arrays: dict[str, Any]) -> tuple[Any, ...]:
        """Compute the outputs with the functions of ``xp``, which is `cupy` or, in the tests, `numpy`."""
        return evaluate(xp, problem, arrays)


def stream_kept(problem: Problem, arrays: dict[str, Any]) -> dict[str, Any]:
    """Give a backward pass what its forward pass kept: s = x + r, in the place of x."""
    if problem.residual and problem.direction == "backward":
        return {**arrays, "x": arrays["x"] + arrays["residual"]}
    return arrays


def evaluate(xp: Any, problem: Problem, arrays: dict[str, Any]) -> tuple[Any, ...]:
    """Compute the outputs of a problem; see `ics_bench.kernels.reference` for the formulas."""
    seen = view(problem)
    over = {"axis": seen.reduced, "keepdims": True}
    added = problem.residual and problem.direction == "forward"
    s = arrays["x"] + arrays["residual"] if added else arrays["x"]
    x = s.reshape(seen.shape).astype(xp.float32)
    weight, bias = scale_of(xp, problem, arrays).reshape(seen.parameters), arrays["bias"].reshape(seen.parameters)
    frozen = problem.norm == "batch" and not problem.training
    if frozen:
        mean, variance = (arrays[name].reshape(seen.parameters) for name in ("running_mean", "running_var"))
    elif problem.norm == "rms":
        mean, variance = xp.float32(0.0), xp.square(x).mean(**over)
    else:
        mean = x.mean(**over)
        variance = xp.square(x - mean).mean(**over)
    rstd = 1.0 / xp.sqrt(variance + xp.float32(problem.eps))
    normalized = (x - mean) * rstd
    dtype = arrays["x"].dtype
    if problem.direction == "forward":
        y = normalized * weight if problem.norm == "rms" else normalized * weight + bias
        updated = _update(problem, arrays, mean, variance) if "running_mean" in problem.outputs else ()
        return (y.reshape(problem.shape).astype(dtype), *((s,) if added else ()), *updated)
    dy = arrays["dy"].reshape(seen.shape).astype(xp.float32)
    inner = g = dy * weight
    if not frozen:
        inner = g - normalized * (g * normalized).mean(**over)
        if problem.norm != "rms":
            inner = inner - g.mean(**over)
    dx = (inner * rstd).reshape(problem.shape)
    dx = (dx + arrays["ds"] if problem.residual else dx).astype(dtype)
    parameters = {"dweight": dy * normalized, "dbias": dy}
    return (dx, *(parameters[name].sum(axis=seen.summed).ravel() for name in problem.outputs[1:]))


def scale_of(xp: Any, problem: Problem, arrays: dict[str, Any]) -> Any:
    """Make the scale of γ: an expression of its own where γ is zero-centred."""
    return arrays["weight"] + xp.float32(1.0) if problem.zero_centered else arrays["weight"]


def _update(problem: Problem, arrays: dict[str, Any], mean: Any, variance: Any) -> tuple[Any, Any]:
    """Move the running statistics in place."""
    count = problem.elements // problem.num_features
    running_mean, running_var = arrays["running_mean"], arrays["running_var"]
    running_mean += problem.momentum * (mean.ravel() - running_mean)
    running_var += problem.momentum * (variance.ravel() * (count / (count - 1)) - running_var)
    return running_mean, running_var


PROVIDER = CupyArrays()
