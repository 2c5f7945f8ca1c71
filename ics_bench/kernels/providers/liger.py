"""Liger-Kernel's Triton norms, where it is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.kernels.differentiable import Differentiable
from ics_bench.kernels.provider import Tensors
from ics_bench.kernels.spec import OPTIONS, Problem

if TYPE_CHECKING:
    from ics_bench.kernels.differentiable import Function


class Liger(Differentiable):
    """`liger_kernel.transformers.functional`, with gradients that are not written over dy.

    RMS norm is taken in its casting mode ``gemma``, which rounds y once: its default, ``llama``, rounds x/rms(x) to the
    dtype of x before it multiplies by γ.
    """

    summary = "Liger-Kernel"
    module = "liger_kernel.transformers"
    remedy = "pip install liger-kernel"
    norms = frozenset({"layer", "rms", "group"})
    options = frozenset(OPTIONS)

    def why_not(self, problem: Problem, device: str) -> str | None:
        """Add that the options are RMS norm's alone."""
        reason = super().why_not(problem, device)
        if reason is None and problem.options and problem.norm != "rms":
            return f"{self.summary} has {' and '.join(problem.options)} for RMS norm alone"
        return reason

    def function(self, problem: Problem, tensors: Tensors) -> Function:
        """Return the norm of the problem."""
        from liger_kernel.transformers import functional

        eps, features, groups = problem.eps, problem.num_features, problem.num_groups
        if problem.norm == "layer":
            return lambda x, weight, bias: functional.liger_layer_norm(x, weight, bias, eps)
        if problem.norm == "group":
            return lambda x, weight, bias: functional.liger_group_norm(x, weight, bias, features, groups, eps)
        offset = problem.weight_offset
        if problem.residual:
            residual, add = tensors.required_residual(), functional.liger_fused_add_rms_norm
            return lambda x, weight, bias: add(x, residual, weight, eps, offset, "gemma", in_place=False)
        return lambda x, weight, bias: functional.liger_rms_norm(x, weight, eps, offset, "gemma", in_place=False)


PROVIDER = Liger()
