"""Apex's fused norms, where it is installed: with parameters in the type of x, as its mixed norms return theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.kernels.differentiable import Differentiable
from ics_bench.kernels.provider import Tensors
from ics_bench.kernels.spec import Problem

if TYPE_CHECKING:
    from ics_bench.kernels.differentiable import Function


class Apex(Differentiable):
    """`apex.normalization`."""

    summary = "Apex"
    module = "apex.normalization"
    remedy = "build it from github.com/NVIDIA/apex"
    norms = frozenset({"layer", "rms"})
    narrow = norms

    def function(self, problem: Problem, tensors: Tensors) -> Function:
        """Return the norm of the problem."""
        from apex.normalization import fused_layer_norm

        del tensors
        size = (problem.num_features,)
        if problem.norm == "layer":
            return lambda x, w, b: fused_layer_norm.fused_layer_norm_affine(x, w, b, size, eps=problem.eps)
        return lambda x, w, b: fused_layer_norm.fused_rms_norm_affine(x, w, size, eps=problem.eps)


PROVIDER = Apex()
