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

    def function(self, problem: Problem, tensors: Tensors) -> Function:
        """Return the norm of the problem."""
        from quack.rmsnorm import rmsnorm

        del tensors
        return lambda x, weight, bias: rmsnorm(x, weight, eps=problem.eps)


PROVIDER = Quack()
