"""Correctness before speed: a kernel against the float64 oracle, within derived bounds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch

from ics_bench.kernels.bounds import UnboundedError, error_bounds, require_bounded
from ics_bench.kernels.guards import Guards
from ics_bench.kernels.inputs import KINDS, Kind, draw, exact_inputs, memory_format, widen
from ics_bench.kernels.provider import Chains, Provider, any_order
from ics_bench.kernels.reference import Array, evaluate
from ics_bench.kernels.spec import GROUP_NORMS, ROW_NORMS, Problem

MAX_ELEMENTS = 2**22
"""Larger problems are checked on their first samples: the oracle needs some 15 float64 arrays of that size."""

MOST_WHOLE = 16
"""Times as many elements in a problem that is checked whole because its provider declines the first samples of it."""

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
        wrong. ``inf`` for NaN where a number was due, a wrong shape or dtype, a missing output, or a write beyond
        a tensor. ``nan`` where nothing was wrong that was seen and the problem itself was not.
    worst : str
        Where that was.
    shrunk_to : tuple of int or None
        The shape checked in place of the problem's own, where that was too large.
    unbounded : int
        Adversarial inputs left out: the chains that the provider declares bound nothing there.
    layout_lost : bool
        Whether y or dx came back in another memory layout than x had.
    partly : bool
        Whether some rows, channels or groups of the results were compared, and no others.
    spared : bool
        Whether adversarial inputs were left out.
    unchecked : str or None
        Why the problem itself could not be checked; such a kernel is not correct, so it is not scored.
    """

    error_over_bound: float
    worst: str
    shrunk_to: tuple[int, ...] | None = None
    unbounded: int = 0
    layout_lost: bool = False
    partly: bool = False
    spared: bool = False
    unchecked: str | None = None

    @property
    def correct(self) -> bool:
        """Whether the problem was checked, and every element was within its bound."""
        return self.unchecked is None and self.error_over_bound <= 1.0

    def warnings(self) -> tuple[str, ...]:
        """Say what a reader of the number must know."""
        found = []
        if self.unchecked is not None:
            found.append(f"could not be checked, so not timed: {self.unchecked}")
        if self.error_over_bound > 1.0:
            found.append(f"wrong, so not timed: {self.worst} is {self.error_over_bound:.3g} × its error bound away")
        if self.shrunk_to is not None:
            shape = "x".join(str(size) for size in self.shrunk_to)
            found.append(f"correctness was checked at shape {shape}")
        if self.partly:
            found.append("correctness was checked on some rows, channels or groups of the results")
        if self.spared:
            found.append("correctness was checked without adversarial inputs")
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


def chains_of(provider: Provider, problem: Problem, device: str) -> Chains:
    """Return the chains that a provider is held to: those that it declares, or `any_order`'s where it declares more."""
    return provider.chains(problem, device).at_most(any_order(problem))


def run_once(
    provider: Provider, problem: Problem, kind: Kind, seed: int, device: str, guarded: bool = False, shift: int = 0
) -> dict[str, float]:
    """Run a kernel on fresh inputs and return each output's `excess`.

    The kernel runs twice: what the first call returned is overwritten with NaN and the running statistics
    are restored, so that an output which the second call leaves untouched, wholly or in part, is seen. Inputs lie
    between guard bytes; ``inf`` is also what is found of memory that was written beyond, and of another dtype.

    Parameters
    ----------
    provider : Provider
    problem : Problem
    kind : {"normal", "offset", "constant", "small"}
    seed : int
    device : str
    guarded : bool
        Whether what is allocated meanwhile lies between guard bytes, too (see `Guards`).
    shift : int
        Elements that guarded memory begins beyond an aligned address.

    Raises
    ------
    UnboundedError
        If the provider's chains bound nothing there; the kernel is not run then.
    """
    chains = chains_of(provider, problem, device)
    require_bounded(problem, chains)
    before = draw(problem, kind, seed, device)
    inputs = exact_inputs(before)
    exact = evaluate(problem, inputs)
    bounds = error_bounds(problem, inputs, chains, exact)
    guards = Guards(shift)
    tensors = guards.tensors(before)
    with guards if guarded else nullcontext():
        kernel = provider.prepare(problem, tensors)
        for output in kernel():
            output.detach().fill_(math.nan)
        tensors.running_mean.copy_(before.running_mean)
        tensors.running_var.copy_(before.running_var)
        outputs = kernel()
    if len(outputs) != len(problem.outputs):
        return dict.fromkeys(problem.outputs, math.inf)
    named = dict(zip(problem.outputs, outputs, strict=True))
    found = {f"memory beyond {name}": math.inf for name in guards.broken(named)}
    for name, output in named.items():
        dtype = problem.dtype_of(name)
        if output.dtype != getattr(torch, dtype):
            found[f"{output.dtype} for the {dtype} of {name}"] = math.inf
        found[name] = excess(widen(output), exact[name], bounds[name])
    return found


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


def edges(provider: Provider, problem: Problem) -> Iterator[tuple[Problem, int]]:
    """Small problems whose every allocation is guarded, with the elements by which their memory is shifted.

    Shifted memory, and no samples at all, are for providers that promise to take them. Batch norm in training has no
    result without samples.
    """
    smallest = {candidate.shape: candidate for candidate, _ in adversaries(problem)}
    for candidate in smallest.values():
        yield candidate, 0
        if "any_address" in provider.promises:
            yield candidate, 1
    if "no_samples" in provider.promises and (problem.norm != "batch" or not problem.training):
        first = next(iter(smallest.values()))
        yield replace(first, shape=(0, *first.shape[1:])), 0


def shrink(problem: Problem, most: int = MAX_ELEMENTS) -> Problem:
    """Keep as many leading samples as ``most`` elements allow, two at least.

    Where samples are normalized alone and two are too many, keep one, and as many leading groups of it as ``most``
    allows, one at least.
    """
    per_sample = problem.elements // max(1, problem.shape[0])
    samples = min(problem.shape[0], max(2, most // max(1, per_sample)))
    if problem.norm not in GROUP_NORMS or samples * per_sample <= most:
        return replace(problem, shape=(samples, *problem.shape[1:]))
    groups = min(problem.num_groups, max(1, most * problem.num_groups // per_sample))
    features = groups * (problem.num_features // problem.num_groups)
    kept = groups if problem.norm == "group" else problem.groups
    return replace(problem, shape=(1, features, *problem.shape[2:]), groups=kept)


def representative(provider: Provider, problem: Problem, device: str, most: int) -> tuple[Problem, str | None]:
    """Return the problem that stands for one in the check, and why it cannot be checked, or ``None``.

    It is shrunk to ``most`` elements; where the provider declines that, it is whole, unless it is too large.
    """
    own = shrink(problem, most)
    reason = provider.why_not(own, device)
    if reason is not None and own != problem:
        shape = "x".join(map(str, own.shape))
        if problem.elements > MOST_WHOLE * most:
            return own, f"the provider declines its smaller likeness {shape} ({reason}) and the oracle the whole"
        own, reason = problem, provider.why_not(problem, device)
    if reason is not None:
        return own, f"the provider declines it: {reason}"
    try:
        require_bounded(own, chains_of(provider, own, device))
    except UnboundedError as error:
        return own, f"no error bound: {error}"
    return own, None


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
    limit. A problem of more than ``most`` elements is checked on its first samples, which the verdict records, or
    whole if the provider declines those. If it can be checked neither way, the verdict says why. Whoever has checked
    another shape of the same kind need not see the adversarial ones again. A provider that takes parameters in the
    dtype of x alone (`Provider.adapted`) is held against the oracle of those very numbers.
    """
    problem = provider.adapted(problem, device)
    own, unchecked = representative(provider, problem, device, most)
    trials: list[tuple[Problem, Kind, bool, int]] = []
    if adversarial:
        trials += [(candidate, kind, False, 0) for candidate, kind in adversaries(problem)]
        trials += [(candidate, "normal", True, shift) for candidate, shift in edges(provider, problem)]
    trials = [trial for trial in trials if provider.why_not(trial[0], device) is None]
    if unchecked is None:
        trials.append((own, "normal", False, 0))
    worst, where, unbounded = 0.0, "nowhere", 0
    for candidate, kind, guarded, shift in trials:
        try:
            found = run_once(provider, candidate, kind, seed, device, guarded, shift)
        except UnboundedError as error:
            if candidate is own:
                unchecked = f"no error bound: {error}"
            else:
                unbounded += 1
            continue
        for name, value in found.items():
            if value > worst:
                shape = "x".join(str(size) for size in candidate.shape)
                worst, where = value, f"{name} at {shape}, {kind} input{' at an odd address' if shift else ''}"
    if unchecked is not None:
        return Verdict(worst if worst > 1.0 else math.nan, where, unbounded=unbounded, unchecked=unchecked)
    lost = problem.layout != "contiguous" and loses_layout(provider, own, seed, device)
    return Verdict(worst, where, None if own == problem else own.shape, unbounded, lost)
