"""QuACK's CuTe norms, where it is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ics_bench.kernels.differentiable import Differentiable
from ics_bench.kernels.provider import Kernel, Recorder, Tensors
from ics_bench.kernels.spec import OPTIONS, Problem

if TYPE_CHECKING:
    from ics_bench.kernels.differentiable import Function


class Quack(Differentiable):
    """`quack.rmsnorm`: RMS norm through autograd, and layer norm, whose two passes it has as plain functions."""

    summary = "QuACK"
    module = "quack.rmsnorm"
    remedy = "pip install 'quack-kernels>=0.6.2'"
    norms = frozenset({"layer", "rms"})
    options = frozenset(OPTIONS)

    def why_not(self, problem: Problem, device: str) -> str | None:
        """Add that options are RMS norm's alone, and that a residual is normalized before it is rounded."""
        reason = super().why_not(problem, device)
        if reason is not None:
            return reason
        if problem.options and problem.norm != "rms":
            return f"{self.summary} has {' and '.join(problem.options)} for RMS norm alone"
        if problem.residual and problem.dtype != "float32":
            return f"QuACK normalizes x + r before it is rounded to {problem.dtype}: not the s that it returns"
        return None

    def function(self, problem: Problem, tensors: Tensors) -> Function:
        """Return the norm of the problem."""
        from quack.rmsnorm import layernorm_fwd, rmsnorm

        eps = problem.eps
        if problem.norm == "layer":
            return lambda x, weight, bias: layernorm_fwd(x, weight, bias, eps)
        options: dict[str, Any] = {"eps": eps}
        if problem.residual:
            options |= {"residual": tensors.required_residual(), "prenorm": True}
        if problem.zero_centered:  # older versions have plain RMS norm alone
            options |= {"weight_offset": problem.weight_offset}
        return lambda x, weight, bias: rmsnorm(x, weight, **options)

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        """Return the function, or its gradient, which autograd does not know for layer norm."""
        if problem.norm != "layer" or problem.direction == "forward":
            return super().prepare(problem, tensors)
        from quack.rmsnorm import layernorm_bwd, layernorm_fwd

        x, weight, dy = tensors.x, tensors.weight, tensors.dy
        _, rstd, mean = layernorm_fwd(x, weight, tensors.bias, problem.eps, return_rstd=True, return_mean=True)
        return lambda: layernorm_bwd(x, weight, dy, rstd, mean)

    def recorder(self, problem: Problem, tensors: Tensors) -> Recorder | None:
        """Record RMS norm."""
        return super().recorder(problem, tensors) if problem.norm == "rms" else None


PROVIDER = Quack()
