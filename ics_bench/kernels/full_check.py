"""A kernel at its full size, once: the parts of its results that the float64 oracle can follow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from ics_bench.kernels.bounds import (
    HALF_SUBNORMAL,
    UNIT_ROUNDOFF,
    amplification,
    error_bounds,
    gamma,
    normalized_scale,
)
from ics_bench.kernels.check import chains_of, excess
from ics_bench.kernels.inputs import draw, exact_inputs, widen
from ics_bench.kernels.provider import Chains, Provider, Tensors
from ics_bench.kernels.reference import Array, Statistics, evaluate
from ics_bench.kernels.spec import ROW_NORMS, TENSOR_OUTPUTS, Problem

ENDS = 2
"""Rows, or columns of the parameters' gradients, that are compared at either end."""

CHUNK_ELEMENTS = 2**24
"""Elements whose statistics are taken at a time, in float64 and on the device."""


def full_error(provider: Provider, problem: Problem, seed: int, device: str) -> tuple[float, str]:
    """Run a problem at its full size on plain inputs; return the largest error in units of its bound, and where.

    Of the norms of rows, that is over the first and last rows of y, s and dx, and a few columns of dγ and dβ, which
    depend on all rows. Of the others, over the first and last channel or group of every output, in all samples:
    nothing else takes part in their statistics. As in `ics_bench.kernels.check.run_once` what a first call returned is
    overwritten before a second, so that what the kernel leaves unwritten is seen.

    Raises
    ------
    UnboundedError
        If the provider's sums are too long for a bound.
    """
    problem = provider.adapted(problem, device)
    tensors = draw(problem, "normal", seed, device)
    before = tensors.clone(shared=("x", "dy", "residual", "ds"))
    kernel, chains = provider.prepare(problem, tensors), chains_of(provider, problem, device)
    for output in kernel():
        output.detach().fill_(math.nan)
    tensors.running_mean.copy_(before.running_mean)
    tensors.running_var.copy_(before.running_var)
    outputs = dict(zip(problem.outputs, kernel(), strict=True))
    found = (_rows if problem.norm in ROW_NORMS else _channels)(problem, before, outputs, chains)
    worst = max(found, key=lambda name: found[name])
    return found[worst], f"{worst} at full size"


def _ends(size: int, width: int = 1) -> list[int]:
    """Positions of the first and last ``width`` of ``size``, each once."""
    return sorted({*range(min(width, size)), *range(max(0, size - width), size)})


def _take(tensors: Tensors, axis: int, places: Sequence[int]) -> Tensors:
    """Cut samples (axis 0) or features (axis 1) out of every tensor that has them."""
    index = torch.tensor(places, device=tensors.x.device)
    whole = {"x", "dy", "residual", "ds"}
    cut = {
        name: tensor.detach().index_select(axis if name in whole else 0, index) if name in whole or axis else tensor
        for name, tensor in tensors.named().items()
    }
    return Tensors(**cut)


def _channels(problem: Problem, tensors: Tensors, outputs: dict[str, torch.Tensor], chains: Chains) -> dict[str, float]:
    members = problem.num_features // problem.num_groups if problem.norm == "group" else 1
    places = _ends(problem.num_features, members)
    shape = (problem.shape[0], len(places), *problem.shape[2:])
    part = replace(problem, shape=shape, groups=max(1, len(places) // members), layout="contiguous")
    inputs = exact_inputs(_take(tensors, 1, places))
    exact, bounds = evaluate(part, inputs), error_bounds(part, inputs, chains)
    return {
        name: excess(widen(_at(output, 1 if name in TENSOR_OUTPUTS else 0, places)), exact[name], bounds[name])
        for name, output in outputs.items()
    }


def _rows(problem: Problem, tensors: Tensors, outputs: dict[str, torch.Tensor], chains: Chains) -> dict[str, float]:
    places = _ends(problem.shape[0], ENDS)
    part = replace(problem, shape=(len(places), problem.num_features))
    inputs = exact_inputs(_take(tensors, 0, places))
    exact, bounds = evaluate(part, inputs), error_bounds(part, inputs, chains)
    found = {
        name: excess(widen(_at(output, 0, places)), exact[name], bounds[name])
        for name, output in outputs.items()
        if name in TENSOR_OUTPUTS
    }
    columns = _ends(problem.num_features, ENDS)
    summed = _summed(problem, tensors, columns, chains) if problem.direction == "backward" else {}
    for name in set(outputs) & set(summed):
        found[name] = excess(widen(_at(outputs[name], 0, columns)), *summed[name])
    return found


def _at(output: torch.Tensor, axis: int, places: Sequence[int]) -> torch.Tensor:
    return output.detach().index_select(axis, torch.tensor(places, device=output.device))


def _summed(
    problem: Problem, tensors: Tensors, columns: Sequence[int], chains: Chains
) -> dict[str, tuple[Array, Array]]:
    """Sum columns of dγ and dβ over all rows, with their bounds (see `ics_bench.kernels.bounds`)."""
    x = tensors.x.detach()
    stream = x + tensors.required_residual() if problem.residual else x
    taken = _statistics(problem, stream)
    own, dy = widen(_at(stream, 1, columns)), widen(_at(tensors.dy, 1, columns))
    scale = normalized_scale(problem, taken, own, amplification(problem, taken))
    exact = {"dweight": (dy * (own - taken.mean) * taken.rstd).sum(0), "dbias": dy.sum(0)}
    terms = {"dweight": (np.abs(dy) * scale).sum(0), "dbias": np.abs(dy).sum(0)}
    u, tau = UNIT_ROUNDOFF[problem.parameter_dtype], HALF_SUBNORMAL[problem.parameter_dtype]
    g = gamma(chains.moments + chains.parameters)
    return {name: (exact[name], u * np.abs(exact[name]) + tau + (1.0 + u) * g * terms[name]) for name in exact}


def _statistics(problem: Problem, stream: torch.Tensor) -> Statistics:
    """Take every row's statistics in float64, a few rows at a time, in two passes."""
    rows = max(1, CHUNK_ELEMENTS // problem.num_features)
    parts = []
    for start in range(0, len(stream), rows):
        x = stream[start : start + rows].double()
        mean_square = x.square().mean(1)
        mean = torch.zeros_like(mean_square) if problem.norm == "rms" else x.mean(1)
        variance = (x - mean[:, None]).square().mean(1)
        parts.append(torch.stack([mean, variance, x.abs().mean(1), mean_square]).cpu())
    mean, variance, magnitude, mean_square = (row.numpy()[:, None] for row in torch.cat(parts, 1))
    rstd = 1.0 / np.sqrt(variance + problem.eps)
    return Statistics(mean, variance, rstd, magnitude, np.sqrt(mean_square))
