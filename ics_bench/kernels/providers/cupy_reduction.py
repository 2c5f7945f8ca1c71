"""CuPy as its documentation teaches it: `ReductionKernel` for the sums, `ElementwiseKernel` for what follows."""

from __future__ import annotations

from functools import cache
from typing import Any

from ics_bench.kernels.provider import Provider
from ics_bench.kernels.providers.cupy_arrays import CupyArrays, scale_of
from ics_bench.kernels.spec import Problem, view


class CupyReduction(CupyArrays):
    """Each sum is one pass over its inputs, and each result one more; nothing else is written to memory.

    For the norms of rows, whose sums run along the last axis.
    """

    summary = "CuPy ReductionKernel and ElementwiseKernel"
    norms = frozenset({"layer", "rms"})

    def evaluate(self, xp: Any, problem: Problem, arrays: dict[str, Any]) -> tuple[Any, ...]:
        """Compute the outputs with `cupy`."""
        x, weight, bias = arrays["x"], scale_of(xp, problem, arrays), arrays["bias"]
        kernels, over = _kernels(), {"axis": 1, "keepdims": True}
        if problem.residual and problem.direction == "forward":
            x = x + arrays["residual"]
        n, eps = xp.float32(problem.num_features), xp.float32(problem.eps)
        mean = xp.zeros((len(x), 1), xp.float32) if problem.norm == "rms" else kernels["mean"](x, n, **over)
        rstd = kernels["rstd"](x, mean, n, eps, **over)
        if problem.norm == "rms":
            bias = xp.zeros_like(bias)
        if problem.direction == "forward":
            return (kernels["apply"](x, mean, rstd, weight, bias), *((x,) if problem.residual else ()))
        dy, summed = arrays["dy"], view(problem).summed
        second = kernels["second"](x, dy, mean, rstd, weight, n, **over)
        first = xp.zeros_like(second) if problem.norm == "rms" else kernels["first"](dy, weight, n, **over)
        dx = kernels["dx"](x, dy, mean, rstd, weight, first, second)
        dx = dx + arrays["ds"] if problem.residual else dx
        dweight = kernels["dweight"](x, dy, mean, rstd, axis=summed)
        return (dx, dweight) if problem.norm == "rms" else (dx, dweight, kernels["dbias"](dy, axis=summed))


@cache
def _kernels() -> dict[str, Any]:
    """Build the kernels, which CuPy compiles for each type when they are first called."""
    import cupy

    def reduction(name: str, parameters: str, term: str, finish: str) -> Any:
        return cupy.ReductionKernel(parameters, "float32 out", term, "a + b", finish, "0", f"norm_{name}")

    normalized = "((float)x - mean) * rstd"
    return {
        "mean": reduction("mean", "T x, float32 n", "(float)x", "out = a / n"),
        "rstd": reduction(
            "rstd",
            "T x, float32 mean, float32 n, float32 eps",
            "((float)x - mean) * ((float)x - mean)",
            "out = 1 / sqrtf(a / n + eps)",
        ),
        "first": reduction("first", "T dy, float32 weight, float32 n", "(float)dy * weight", "out = a / n"),
        "second": reduction(
            "second",
            "T x, T dy, float32 mean, float32 rstd, float32 weight, float32 n",
            f"(float)dy * weight * {normalized}",
            "out = a / n",
        ),
        "dweight": reduction(
            "dweight", "T x, T dy, float32 mean, float32 rstd", f"(float)dy * {normalized}", "out = a"
        ),
        "dbias": reduction("dbias", "T dy", "(float)dy", "out = a"),
        "apply": cupy.ElementwiseKernel(
            "T x, float32 mean, float32 rstd, float32 weight, float32 bias",
            "T y",
            f"y = (T)({normalized} * weight + bias)",
            "norm_apply",
        ),
        "dx": cupy.ElementwiseKernel(
            "T x, T dy, float32 mean, float32 rstd, float32 weight, float32 first, float32 second",
            "T dx",
            f"dx = (T)(rstd * ((float)dy * weight - first - {normalized} * second))",
            "norm_dx",
        ),
    }


PROVIDER: Provider = CupyReduction()
