"""A kernel at its full size, once: the parts of its results that the float64 oracle can follow."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

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
from ics_bench.kernels.check import Verdict, chains_of, excess
from ics_bench.kernels.inputs import draw, exact_inputs, memory_format, widen
from ics_bench.kernels.provider import Chains, Provider, Tensors
from ics_bench.kernels.reference import Array, Inputs, Statistics, evaluate
from ics_bench.kernels.spec import ROW_NORMS, TENSOR_OUTPUTS, Problem

PART_ELEMENTS = 2**19
"""Elements of a tensor that are compared: a third at its beginning, a third at its end, and a third spread over it."""

CHUNK_ELEMENTS = 2**24
"""Elements whose statistics are taken at a time, in float64 and on the device."""


@dataclass(frozen=True, slots=True)
class _Sets:
    """Samples (axis 0) or features (axis 1) that nothing else takes part in, as a problem of their own."""

    problem: Problem
    axis: int
    places: Sequence[int]
    inputs: Inputs
    exact: Mapping[str, Array]

    @staticmethod
    def of(problem: Problem, tensors: Tensors) -> _Sets:
        """Cut sets out of a problem."""
        if problem.norm in ROW_NORMS:
            axis, places = 0, _spread(problem.shape[0], max(2, PART_ELEMENTS // 3 // max(1, problem.num_features)))
            part = replace(problem, shape=(len(places), problem.num_features))
        else:
            members = problem.num_features // problem.num_groups if problem.norm == "group" else 1
            group = members * (problem.elements // problem.num_features)
            groups = _spread(problem.num_features // members, max(1, PART_ELEMENTS // 3 // group))
            axis, places = 1, [first * members + member for first in groups for member in range(members)]
            shape = (problem.shape[0], len(places), *problem.shape[2:])
            part = replace(problem, shape=shape, groups=max(1, len(places) // members), layout="contiguous")
        inputs = exact_inputs(_take(tensors, axis, places))
        return _Sets(part, axis, places, inputs, evaluate(part, inputs))

    def compare(self, outputs: Mapping[str, torch.Tensor], chains: Chains) -> dict[str, float]:
        """Return the `excess` of each output of theirs alone: a parameter's gradient sums over all samples."""
        bounds = error_bounds(self.problem, self.inputs, chains, self.exact)
        own = [name for name in outputs if self.axis == 1 or name in TENSOR_OUTPUTS]
        axes = {name: self.axis if name in TENSOR_OUTPUTS else 0 for name in own}
        return {
            name: excess(widen(_at(outputs[name], axes[name], self.places)), self.exact[name], bounds[name])
            for name in own
        }


@dataclass(frozen=True, slots=True)
class _Sums:
    """Columns of dγ and dβ, which sum over all rows, with the terms that scale their bounds."""

    problem: Problem
    places: Sequence[int]
    exact: Mapping[str, Array]
    terms: Mapping[str, Array]

    @staticmethod
    def of(problem: Problem, tensors: Tensors) -> _Sums:
        """Sum some columns in float64 (see `ics_bench.kernels.bounds`)."""
        x = tensors.x.detach()
        stream = x + tensors.required_residual() if problem.residual else x
        taken = _statistics(problem, stream)
        places = _spread(problem.num_features, max(2, PART_ELEMENTS // 3 // max(1, problem.shape[0])))
        own, dy = widen(_at(stream, 1, places)), widen(_at(tensors.dy, 1, places))
        scale = normalized_scale(problem, taken, own, amplification(problem, taken))
        exact = {"dweight": (dy * (own - taken.mean) * taken.rstd).sum(0), "dbias": dy.sum(0)}
        terms = {"dweight": (np.abs(dy) * scale).sum(0), "dbias": np.abs(dy).sum(0)}
        return _Sums(problem, places, exact, terms)

    def compare(self, outputs: Mapping[str, torch.Tensor], chains: Chains) -> dict[str, float]:
        """Return the `excess` of each of the parameters' gradients."""
        dtype = self.problem.parameter_dtype
        u, tau = UNIT_ROUNDOFF[dtype], HALF_SUBNORMAL[dtype]
        g = gamma(chains.moments + chains.parameters)
        found = {}
        for name in outputs:
            if name in self.exact:
                exact = self.exact[name]
                bound = u * np.abs(exact) + tau + (1.0 + u) * g * self.terms[name]
                found[name] = excess(widen(_at(outputs[name], 0, self.places)), exact, bound)
        return found


class FullSize:
    """A problem at its full size on plain inputs, which are drawn once for all that are to be compared.

    Of the norms of rows, rows of y, s and dx are compared, and columns of dγ and dβ, which depend on all rows. Of the
    others, channels or groups of every output, in all samples: nothing else takes part in their statistics. They are
    the first, the last and some in between. All else must be a number.

    Parameters
    ----------
    problem : Problem
        As the providers have it (`Provider.adapted`).
    seed : int
    device : str
    """

    def __init__(self, problem: Problem, seed: int, device: str) -> None:
        self.problem, self.device = problem, device
        self.tensors = draw(problem, "normal", seed, device)
        self.sets = _Sets.of(problem, self.tensors)
        summed = problem.norm in ROW_NORMS and problem.direction == "backward"
        self.sums = _Sums.of(problem, self.tensors) if summed else None

    def verdict(self, provider: Provider) -> Verdict:
        """Run a kernel on tensors of its own and compare.

        As in `ics_bench.kernels.check.run_once` what a first call returned is overwritten before a second, so that what
        the kernel leaves unwritten is seen.

        Raises
        ------
        UnboundedError
            If the provider's sums are too long for a bound.
        """
        problem, tensors = self.problem, self.tensors.clone()
        kernel, chains = provider.prepare(problem, tensors), chains_of(provider, problem, self.device)
        for output in kernel():
            output.detach().fill_(math.nan)
        tensors.running_mean.copy_(self.tensors.running_mean)
        tensors.running_var.copy_(self.tensors.running_var)
        outputs = dict(zip(problem.outputs, kernel(), strict=True))
        found = dict.fromkeys(_malformed(problem, outputs), math.inf)
        if not found:
            found = self.sets.compare(outputs, chains)
            if self.sums is not None:
                found |= self.sums.compare(outputs, chains)
        worst = max(found, key=lambda name: found[name])
        result = outputs[problem.outputs[0]]
        lost = problem.layout != "contiguous" and not result.is_contiguous(memory_format=memory_format(problem))
        return Verdict(found[worst], f"{worst} at full size", layout_lost=lost, partly=True)


def _malformed(problem: Problem, outputs: Mapping[str, torch.Tensor]) -> list[str]:
    """Say which outputs have another dtype or shape than is due, or hold what is not a number, and where that is so."""
    found = []
    for name, output in outputs.items():
        shape = problem.shape if name in TENSOR_OUTPUTS else (problem.num_features,)
        dtype = problem.dtype_of(name)
        if output.dtype != getattr(torch, dtype):
            found.append(f"{output.dtype} for the {dtype} of {name}")
        elif tuple(output.shape) != shape:
            found.append(f"the shape of {name}")
        elif not bool(torch.isfinite(output.detach()).all()):
            found.append(f"what is no number in {name}")
    return found


def _spread(size: int, width: int) -> list[int]:
    """Positions of the first and last ``width`` of ``size``, and of as many spread over all, each once."""
    between = (number * size // width for number in range(width)) if size else ()
    return sorted({*range(min(width, size)), *range(max(0, size - width), size), *between})


def _take(tensors: Tensors, axis: int, places: Sequence[int]) -> Tensors:
    """Cut samples (axis 0) or features (axis 1) out of every tensor that has them."""
    index = torch.tensor(places, device=tensors.x.device)
    whole = {"x", "dy", "residual", "ds"}
    cut = {
        name: tensor.detach().index_select(axis if name in whole else 0, index) if name in whole or axis else tensor
        for name, tensor in tensors.named().items()
    }
    return Tensors(**cut)


def _at(output: torch.Tensor, axis: int, places: Iterable[int]) -> torch.Tensor:
    return output.detach().index_select(axis, torch.tensor(places, device=output.device))


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
