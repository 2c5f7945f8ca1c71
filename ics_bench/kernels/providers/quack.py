"""QuACK's CuTe norms, where it is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.kernels.differentiable import Differentiable
from ics_bench.kernels.provider import Tensors
from ics_bench.kernels.spec import Problem

if TYPE_CHECKING:
    from ics_bench.kernels.differentiable import Function


class Quack(Differentiable):
    """`quack.rmsnorm`: RMS norm, both ways."""

    summary = "QuACK"
    module = "quack.rmsnorm"
    remedy = "pip install quack-kernels"
    norms = frozenset({"rms"})
    options = frozenset({"residual"})

    def why_not(self, problem: Problem, device: str) -> str | None:
        """Add that a residual is summed in float32, and normalized before it is rounded."""
        reason = super().why_not(problem, device)
        if reason is None and problem.residual and problem.dtype != "float32":
            return f"QuACK normalizes x + r before it is rounded to {problem.dtype}: not the s that it returns"
        return reason

    def function(self, problem: Problem, tensors: Tensors) -> Function:
        """Return the norm of the problem."""
        from quack.rmsnorm import rmsnorm

        if problem.residual:
            residual = tensors.required_residual()
            return lambda x, weight, bias: rmsnorm(x, weight, residual=residual, eps=problem.eps, prenorm=True)
        return lambda x, weight, bias: rmsnorm(x, weight, eps=problem.eps)


PROVIDER = Quack()
