"""Correctness before speed: a kernel against the float64 oracle, within derived bounds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ics_bench.kernels.bounds import UnboundedError, error_bounds
from ics_bench.kernels.inputs import KINDS, Kind, draw, exact_inputs, memory_format, widen
from ics_bench.kernels.provider import Provider
from ics_bench.kernels.reference import Array, evaluate
from ics_bench.kernels.spec import ROW_NORMS, Problem

MAX_ELEMENTS = 2**22
"""Larger problems are checked on their first samples: the oracle needs some 15 float64 arrays of that size."""

ROW_SHAPES = ((1, 64), (3, 2041), (33, 127))
"""One row; a row length that no vector width divides; more rows than columns divide evenly."""

SPATIAL_SHAPES = ((1, 8, 5, 7), (2, 24, 9, 11), (5, 16, 3, 3))
FEATURE_SHAPES = ((2, 3), (33, 17), (130, 64))


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a kernel compares with its error bounds.

    Parameters
    ----------
    error_over_bound : float
        Largest |computed − exact| ÷ bound over all outputs, elements and inputs; above 1 the kernel is
        wrong. ``inf`` for NaN where a number was due, a wrong shape or a missing output.
    worst : str
        Where that was.
    shrunk_to : tuple of int or None
        The shape checked in place of the problem's own, where that was too large.
    unbounded : int
        Adversarial inputs left out: the chains that the provider declares bound nothing there.
    layout_lost : bool
        Whether y or dx came back in another memory layout than x had.
    """

    error_over_bound: float
    worst: str
    shrunk_to: tuple[int, ...] | None = None
    unbounded: int = 0
    layout_lost: bool = False

    @property
    def correct(self) -> bool:
        """Whether every element was within its bound."""
        return self.error_over_bound <= 1.0

    def warnings(self) -> tuple[str, ...]:
        """Say what a reader of the number must know."""
        found = []
        if not self.correct:
            found.append(f"wrong, so not timed: {self.worst} is {self.error_over_bound:.3g} × its error bound away")
        if self.shrunk_to is not None:
            shape = "x".join(str(size) for size in self.shrunk_to)
            found.append(f"correctness was checked at shape {shape}")
        if self.unbounded:
            found.append(f"{self.unbounded} adversarial inputs have no error bound for sums as long as the provider's")
        if self.layout_lost:
            found.append("the result has another memory layout than x: whoever reads it next pays for that")
        return tuple(found)


def excess(actual: Array, exact: Array, bound: Array) -> float:
    """Largest error in units of its bound; ``inf`` if the shapes differ or a value is not a number."""
    if actual.shape != exact.shape:
        return math.inf
    if actual.size == 0:
        return 0.0
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.abs(actual - exact) / bound
    ratio[actual == exact] = 0.0
    worst = float(ratio.max())
    return math.inf if math.isnan(worst) else worst


def run_once(provider: Provider, problem: Problem, kind: Kind, seed: int, device: str) -> dict[str, float]:
    """Run a kernel on fresh inputs and return each output's `excess`.

    The kernel runs twice: what the first call returned is overwritten with NaN and the running statistics
    are restored, so that an output which the second call leaves untouched, wholly or in part, is seen.
    """
    tensors = draw(problem, kind, seed, device)
    before = tensors.clone()
    inputs = exact_inputs(tensors)
    kernel = provider.prepare(problem, tensors)
    for output in kernel():
        output.detach().fill_(math.nan)
    tensors.running_mean.copy_(before.running_mean)
    tensors.running_var.copy_(before.running_var)
    outputs = kernel()
    if len(outputs) != len(problem.outputs):
        return dict.fromkeys(problem.outputs, math.inf)
    exact = evaluate(problem, inputs)
    bounds = error_bounds(problem, inputs, provider.chains(problem, device))
    return {
        name: excess(widen(output), exact[name], bounds[name])
        for name, output in zip(problem.outputs, outputs, strict=True)
    }


def loses_layout(provider: Provider, problem: Problem, seed: int, device: str) -> bool:
    """Whether a kernel returns y or dx in another memory layout than the problem's."""
    tensors = draw(problem, "normal", seed, device)
    result = provider.prepare(problem, tensors)()[0]
    return result.shape == tensors.x.shape and not result.is_contiguous(memory_format=memory_format(problem))


def adversaries(problem: Problem) -> Iterator[tuple[Problem, Kind]]:
    """Small problems of the same norm that kernels get wrong, each with every kind of input."""
    from ics_bench.subjects.norms.group import group_count

    if problem.norm in ROW_NORMS:
        shapes: tuple[tuple[int, ...], ...] = ROW_SHAPES
    else:
        shapes = FEATURE_SHAPES if len(problem.shape) == 2 else SPATIAL_SHAPES
    for shape in shapes:
        groups = group_count(shape[1]) if problem.norm == "group" else 1
        for kind in KINDS:
            yield replace(problem, shape=shape, groups=groups), kind


def shrink(problem: Problem, most: int = MAX_ELEMENTS) -> Problem:
    """Keep as many leading samples as ``most`` elements allow, two at least."""
    per_sample = problem.elements // problem.shape[0]
    samples = min(problem.shape[0], max(2, most // per_sample))
    return replace(problem, shape=(samples, *problem.shape[1:]))


def check(
    provider: Provider,
    problem: Problem,
    seed: int,
    device: str,
    most: int = MAX_ELEMENTS,
    adversarial: bool = True,
) -> Verdict:
    """Check a kernel on the adversarial problems and on the problem itself.

    Adversarial problems that the provider declines (`Provider.why_not`) are left out: they are a declared
    limit. A problem of more than ``most`` elements is checked on its first samples, which the verdict records.
    Whoever has checked another shape of the same kind need not see the adversarial ones again. A provider that
    takes parameters in the dtype of x alone (`Provider.adapted`) is held against the oracle of those very numbers.
    """
    problem = provider.adapted(problem, device)
    own = shrink(problem, most)
    worst, where, unbounded = 0.0, "nowhere", 0
    others = list(adversaries(problem)) if adversarial else []
    for candidate, kind in [*others, (own, "normal")]:
        if provider.why_not(candidate, device) is not None:
            continue
        try:
            found = run_once(provider, candidate, kind, seed, device)
        except UnboundedError:
            if candidate is own:
                raise
            unbounded += 1
            continue
        for name, value in found.items():
            if value > worst:
                shape = "x".join(str(size) for size in candidate.shape)
                worst, where = value, f"{name} at {shape}, {kind} input"
    lost = problem.layout != "contiguous" and loses_layout(provider, own, seed, device)
    return Verdict(worst, where, None if own == problem else own.shape, unbounded, lost)
