"""The bounds let every correct kernel through, and no wrong one."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ics_bench.kernels.bounds import EPSILON, EXTRA, HALF_SUBNORMAL, UNIT_ROUNDOFF, error_bounds, gamma
from ics_bench.kernels.check import excess
from ics_bench.kernels.inputs import KINDS, draw, exact_inputs
from ics_bench.kernels.provider import Chains
from ics_bench.kernels.reference import evaluate, scale_of, statistics, without_residual
from ics_bench.kernels.spec import DTYPE_BYTES, TENSOR_OUTPUTS, Problem, view

NO_SUMS = Chains(0, 0, 0)

PROBLEMS = [
    Problem("layer", "forward", (5, 37)),
    Problem("rms", "forward", (5, 37)),
    Problem("layer", "forward", (5, 37), zero_centered=True),
    Problem("layer", "forward", (5, 37), residual=True),
    Problem("rms", "forward", (5, 37), residual=True, zero_centered=True),
    Problem("rms", "forward", (5, 37), zero_centered=True),
    Problem("group", "forward", (3, 8, 3, 5), groups=2),
    Problem("instance", "forward", (3, 4, 5, 5)),
    Problem("batch", "forward", (6, 5, 3, 3)),
    Problem("batch", "forward", (6, 5, 3, 3), training=False),
]


def _rounded(value: np.ndarray, dtype: str) -> np.ndarray:
    return torch.tensor(value).to(getattr(torch, dtype)).double().numpy()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(PROBLEMS),
    st.sampled_from(["forward", "backward"]),
    st.sampled_from(KINDS),
    st.sampled_from(sorted(DTYPE_BYTES)),
    st.integers(0, 10**6),
)
def test_correct_rounding_is_always_within_the_bound(problem, direction, kind, dtype, seed) -> None:
    problem = replace(problem, direction=direction, dtype=dtype)
    inputs = exact_inputs(draw(problem, kind, seed))
    exact, bounds = evaluate(problem, inputs), error_bounds(problem, inputs, NO_SUMS)
    for name in problem.outputs:
        rounded = _rounded(exact[name], dtype if name in TENSOR_OUTPUTS else "float32")
        if np.isfinite(rounded).all():  # float16 ends at 65504
            assert excess(rounded, exact[name], bounds[name]) <= 1.0


def _float32(problem: Problem, inputs, welford: bool) -> dict[str, np.ndarray]:
    """A plain float32 kernel with serial sums, in the factored form that fused kernels use."""
    one = np.float32
    if problem.residual:
        found = _float32(*without_residual(problem, inputs), welford)
        if problem.direction == "forward":
            return {**found, "s": (inputs.x.astype(one) + inputs.residual.astype(one)).astype(float)}
        return {**found, "dx": (found["dx"].astype(one) + inputs.ds.astype(one)).astype(float)}
    seen = view(problem)
    order = [a for a in range(len(seen.shape)) if a not in seen.reduced] + list(seen.reduced)
    shape = [seen.shape[a] for a in order]
    sets = math.prod(shape[: len(shape) - len(seen.reduced)])
    eps = one(problem.eps)

    def flat(value: np.ndarray) -> np.ndarray:
        return np.broadcast_to(value, seen.shape).transpose(order).reshape(sets, -1).astype(one)

    def serial(terms: np.ndarray) -> np.ndarray:
        return np.cumsum(terms, axis=1, dtype=one)[:, -1:]

    x, dy = flat(inputs.x.reshape(seen.shape)), flat(inputs.dy.reshape(seen.shape))
    weight, bias = flat(inputs.weight.reshape(seen.parameters)), flat(inputs.bias.reshape(seen.parameters))
    weight = weight + one(problem.weight_offset)
    n = one(x.shape[1])
    if problem.norm == "rms":
        mean, variance = np.zeros((sets, 1), one), serial(x * x) / n
    elif welford:
        mean, square = np.zeros((sets, 1), one), np.zeros((sets, 1), one)
        for count in range(x.shape[1]):
            delta = x[:, count : count + 1] - mean
            mean = mean + delta / one(count + 1)
            square = square + delta * (x[:, count : count + 1] - mean)
        variance = square / n
    else:
        mean = serial(x) / n
        variance = serial((x - mean) ** 2) / n
    rstd = one(1) / np.sqrt(variance + eps)
    if problem.direction == "forward":
        y = x * (rstd * weight) + ((0 if problem.norm == "rms" else bias) - mean * rstd * weight)
        return {"y": _unflat(y, seen, order, shape, problem)}
    g = dy * weight
    c2 = (serial(g) * mean - serial(g * x)) * rstd * rstd * rstd / n
    c3 = -c2 * mean - (0 if problem.norm == "rms" else serial(g) * rstd / n)
    dx = _unflat(rstd * g + c2 * x + c3, seen, order, shape, problem)
    normalized = _unflat(x * rstd - mean * rstd, seen, order, shape, problem).reshape(seen.shape).astype(one)
    seen_dy = inputs.dy.reshape(seen.shape).astype(one)
    dweight = _serial_over(seen_dy * normalized, seen.summed)
    return {"dx": dx, "dweight": dweight.astype(float), "dbias": _serial_over(seen_dy, seen.summed).astype(float)}


def _unflat(value, seen, order, shape, problem) -> np.ndarray:
    return value.reshape(shape).transpose(np.argsort(order)).reshape(problem.shape).astype(np.float64)


def _serial_over(value: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    kept = [axis for axis in range(value.ndim) if axis not in axes]
    terms = value.transpose(*axes, *kept).reshape(math.prod(value.shape[a] for a in axes), -1)
    return np.cumsum(terms, axis=0, dtype=np.float32)[-1]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([p for p in PROBLEMS if p.training]),
    st.sampled_from(["forward", "backward"]),
    st.sampled_from(KINDS),
    st.booleans(),
    st.integers(0, 10**6),
)
def test_a_plain_float32_kernel_with_serial_sums_is_within_the_bound(problem, direction, kind, welford, seed) -> None:
    problem = replace(problem, direction=direction)
    inputs = exact_inputs(draw(problem, kind, seed))
    per_set = problem.elements // problem.reduction_sets
    chains = Chains((3 if welford else 1) * per_set, per_set, problem.elements // problem.num_features)
    exact, bounds = evaluate(problem, inputs), error_bounds(problem, inputs, chains)
    found = _float32(problem, inputs, welford)
    for name in problem.outputs:
        if name in found:
            assert excess(found[name], exact[name], bounds[name]) <= 1.0, name


def _perturbed(problem: Problem, inputs, chains: Chains, signs: list[int]) -> dict[str, np.ndarray]:
    """The formulas in float64, each intermediate as wrong as the derivation lets it be."""
    if problem.residual:
        found = _perturbed(*without_residual(problem, inputs), chains, signs)
        if "dx" in found:
            rounded = found["dx"] * (1.0 + signs[4] * UNIT_ROUNDOFF[problem.dtype] * chains.rounds_first)
            found["dx"] = (rounded + inputs.ds) * (1.0 + signs[3] * EPSILON)
        return found
    seen, taken = view(problem), statistics(problem, inputs)
    x, dy = inputs.x.reshape(seen.shape), inputs.dy.reshape(seen.shape)
    weight, bias = scale_of(problem, inputs).reshape(seen.parameters), inputs.bias.reshape(seen.parameters)
    if problem.zero_centered:
        weight = weight * (1.0 + signs[4] * EPSILON)
    rms = problem.norm == "rms"
    moments, sums = gamma(chains.moments), gamma(chains.sums)
    rho = 1.0 if rms else 1.0 + taken.root_mean_square * taken.rstd
    mean = taken.mean + (0.0 if rms else signs[0] * moments * taken.mean_magnitude)
    rstd = taken.rstd * (1.0 + signs[1] * moments * rho)
    normalized = (x - mean) * rstd
    if problem.direction == "forward":
        return {"y": (weight * normalized + (0.0 if rms else bias)).reshape(problem.shape)}
    g, over = weight * dy, {"axis": seen.reduced, "keepdims": True}
    first = 0.0 if rms else g.mean(**over) + signs[2] * sums * np.abs(g).mean(**over)
    second = (g * normalized).mean(**over) + signs[3] * sums * np.abs(g * normalized).mean(**over)
    dweight = (dy * normalized).sum(axis=seen.summed).ravel()
    slack = signs[4] * gamma(chains.parameters) * np.abs(dy * normalized).sum(axis=seen.summed).ravel()
    return {"dx": (rstd * (g - first - normalized * second)).reshape(problem.shape), "dweight": dweight + slack}


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([p for p in PROBLEMS if p.training]),
    st.sampled_from(["forward", "backward"]),
    st.sampled_from(KINDS),
    st.lists(st.sampled_from([-1, 0, 1]), min_size=5, max_size=5),
    st.integers(0, 10**6),
)
def test_intermediates_as_wrong_as_the_derivation_allows_are_within_the_bound(
    problem, direction, kind, signs, seed
) -> None:
    problem = replace(problem, direction=direction)
    inputs, chains = exact_inputs(draw(problem, kind, seed)), Chains(40, 400, 4000, seed % 2 == 1)
    exact, bounds = evaluate(problem, inputs), error_bounds(problem, inputs, chains)
    for name, value in _perturbed(problem, inputs, chains, signs).items():
        assert excess(value, exact[name], bounds[name]) <= 1.0, name


def test_the_bounds_are_less_than_ten_times_what_the_derivation_allows() -> None:
    chains = Chains(40, 400, 4000)
    for problem in (p for p in PROBLEMS if p.training):
        for direction in ("forward", "backward"):
            problem = replace(problem, direction=direction)
            inputs = exact_inputs(draw(problem, "normal", seed=0))
            exact, bounds = evaluate(problem, inputs), error_bounds(problem, inputs, chains)
            nearest = dict.fromkeys(problem.outputs, 0.0)
            for signs in itertools.product((-1, 1), repeat=5):
                for name, value in _perturbed(problem, inputs, chains, list(signs)).items():
                    nearest[name] = max(nearest[name], excess(value, exact[name], bounds[name]))
            assert all(share > 0.1 for name, share in nearest.items() if name in ("y", "dx", "dweight")), nearest


def test_a_bound_relative_to_the_mean_alone_would_reject_a_correct_kernel() -> None:
    """Where x and its mean are both near zero, the mean's error is not relative to the mean."""
    problem = Problem("layer", "forward", (4096, 256))
    inputs = exact_inputs(draw(problem, "normal", seed=0))
    inputs = replace(inputs, bias=np.zeros_like(inputs.bias))
    chains = Chains(256, 0, 0)
    exact, taken = evaluate(problem, inputs)["y"], statistics(problem, inputs)
    found = _float32(problem, inputs, welford=False)["y"]
    relative = np.abs(inputs.weight) * (np.abs(inputs.x) + np.abs(taken.mean)) * taken.rstd
    shorter = 2.0**-24 * np.abs(exact) + HALF_SUBNORMAL["float32"] + gamma(chains.moments) * relative
    assert excess(found, exact, shorter) > 1.0
    assert excess(found, exact, error_bounds(problem, inputs, chains)["y"]) <= 1.0


def test_bounds_grow_with_the_declared_chain_only_as_fast_as_the_chain() -> None:
    problem = Problem("layer", "backward", (5, 37))
    inputs = exact_inputs(draw(problem, "normal", seed=1))
    short, long = (error_bounds(problem, inputs, Chains(k, k, k)) for k in (10, 1000))
    for name in problem.outputs:
        growth = (long[name] / short[name]).max()
        assert 1.0 < growth < 1.1 * (3000 + EXTRA) / (30 + EXTRA)


def test_a_mean_that_float32_cannot_resolve_has_no_bound() -> None:
    problem = Problem("layer", "forward", (2, 64))
    inputs = exact_inputs(draw(problem, "normal", seed=1))
    with pytest.raises(ValueError, match="bound"):
        error_bounds(problem, replace(inputs, x=inputs.x + 1e7), Chains(64, 0, 0))
    with pytest.raises(ValueError, match="chain"):
        gamma(2**24)


def test_a_gradient_rounded_before_the_streams_is_added_is_covered_only_where_it_is_declared() -> None:
    problem = Problem("layer", "backward", (50, 64), "bfloat16", residual=True)
    inputs = exact_inputs(draw(problem, "normal", seed=0))
    exact = evaluate(problem, inputs)["dx"]
    twice = _rounded(_rounded(exact - inputs.ds, "bfloat16") + inputs.ds, "bfloat16")
    once = _rounded(exact, "bfloat16")
    found = []
    for declared in (False, True):
        bound = error_bounds(problem, inputs, Chains(16, 16, 16, declared))["dx"]
        found.append((excess(once, exact, bound) <= 1.0, excess(twice, exact, bound) <= 1.0))
    assert found == [(True, False), (True, True)]


@pytest.mark.parametrize("dtype", sorted(DTYPE_BYTES))
def test_the_next_number_beside_the_stream_is_beyond_its_bound(dtype: str) -> None:
    problem = Problem("rms", "forward", (5, 37), dtype, residual=True)
    inputs = exact_inputs(draw(problem, "normal", seed=0))
    exact, bound = evaluate(problem, inputs)["s"], error_bounds(problem, inputs, NO_SUMS)["s"]
    s = torch.tensor(exact).to(getattr(torch, dtype))
    for end in (-torch.inf, torch.inf):
        beside = torch.nextafter(s, torch.full_like(s, end)).double().numpy()
        assert (np.abs(beside - exact) >= bound).all()
