"""PyTorch's own kernels as a training step runs them: no module, and no autograd where one operator does the work."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ics_bench.kernels.differentiable import kernel_of
from ics_bench.kernels.functional import NARROW, functional_norm, others_of, torch_declines
from ics_bench.kernels.provider import Chains, Kernel, Provider, Recorder, Tensors, any_order, recording
from ics_bench.kernels.spec import OPTIONS, Problem

WELFORD_CHUNK = 16
"""Vectors that ATen's RowwiseMoments folds serially before it cascades (aten/src/ATen/native/cpu/moments_utils.h)."""

CASCADE_LEVELS = 4
"""Levels of ATen's cascade sum; each adds up to max(16, n^(1/4)) terms (aten/src/ATen/native/cpu/SumKernel.cpp)."""


def _stream(problem: Problem, t: Tensors) -> Any:
    """Return what is normalized: x, or x + r where there is a residual."""
    return t.x + t.required_residual() if problem.residual else t.x


def _scale(problem: Problem, t: Tensors) -> Any:
    """Make the scale of γ, as a user does who has a norm without zero-centred weights."""
    return problem.weight_offset + t.weight if problem.zero_centered else t.weight


def _variant_forward(problem: Problem, t: Tensors, norm: Callable[[Any, Any], Any]) -> Kernel:
    """Do what a user writes around a norm of x and a scale."""

    def call() -> tuple[Any, ...]:
        s = _stream(problem, t)
        y = norm(s, _scale(problem, t))
        return (y, s) if problem.residual else (y,)

    return call


def _layer_forward(problem: Problem, t: Tensors) -> Kernel:
    import torch

    size = [problem.num_features]
    if problem.options:
        return _variant_forward(problem, t, lambda s, w: torch.native_layer_norm(s, size, w, t.bias, problem.eps)[0])
    return lambda: torch.native_layer_norm(t.x, size, t.weight, t.bias, problem.eps)[:1]


def _layer_backward(problem: Problem, t: Tensors) -> Kernel:
    import torch

    size, mask = [problem.num_features], [True, True, True]
    x, scale = _stream(problem, t), _scale(problem, t)  # kept since the forward pass
    _, mean, rstd = torch.native_layer_norm(x, size, scale, t.bias, problem.eps)
    call = torch.ops.aten.native_layer_norm_backward.default
    if not problem.residual:
        return lambda: call(t.dy, x, size, mean, rstd, scale, t.bias, mask)

    def add() -> tuple[Any, ...]:
        dx, dweight, dbias = call(t.dy, x, size, mean, rstd, scale, t.bias, mask)
        return dx + t.ds, dweight, dbias

    return add


def _group_sizes(problem: Problem) -> tuple[int, int, int, int]:
    batch, features = problem.shape[:2]
    return batch, features, math.prod(problem.shape[2:]), problem.num_groups


def _group_forward(problem: Problem, t: Tensors) -> Kernel:
    import torch

    sizes = _group_sizes(problem)
    return lambda: torch.native_group_norm(t.x, t.weight, t.bias, *sizes, problem.eps)[:1]


def _group_backward(problem: Problem, t: Tensors) -> Kernel:
    import torch

    sizes, mask = _group_sizes(problem), [True, True, True]
    _, mean, rstd = torch.native_group_norm(t.x, t.weight, t.bias, *sizes, problem.eps)
    call = torch.ops.aten.native_group_norm_backward.default
    return lambda: call(t.dy, t.x, mean, rstd, t.weight, *sizes, mask)


def _functional(problem: Problem, t: Tensors) -> Kernel:
    """Call what a module calls, recorded for the backward pass.

    RMS norm is composed of other operators on the CPU. Instance norm repeats γ for every sample and calls batch
    norm, which picks cuDNN or a kernel of its own: none of them has an operator to be called both ways.
    """
    return kernel_of(problem, t, _function)


def _function(problem: Problem, t: Tensors) -> Callable[..., Any]:
    norm, others = functional_norm(problem), others_of(problem, t)
    if problem.norm == "rms" and t.x.dtype != t.weight.dtype:
        with warnings.catch_warnings():  # said once a process, of a fused kernel that exists on GPUs only
            warnings.filterwarnings("ignore", message="Mismatch dtype between input and weight")
            norm(t.x.detach(), t.weight.detach(), t.bias, *others)
    return lambda *inputs: norm(*inputs, *others)


_BUILDERS: dict[tuple[str, str], Callable[[Problem, Tensors], Kernel]] = {
    ("layer", "forward"): _layer_forward,
    ("layer", "backward"): _layer_backward,
    ("rms", "forward"): _functional,
    ("rms", "backward"): _functional,
    ("group", "forward"): _group_forward,
    ("group", "backward"): _group_backward,
    ("instance", "forward"): _functional,
    ("instance", "backward"): _functional,
    ("batch", "forward"): _functional,
    ("batch", "backward"): _functional,
}


class TorchEager(Provider):
    """What `torch.nn.functional` runs in a training step, without its overhead where that can be left out.

    Layer norm and group norm are single operators, called both ways; the others are functions, and the gradient of
    a recorded call is their backward pass.
    """

    summary = "what torch.nn.functional runs"
    devices = frozenset({"cpu", "cuda"})
    options = frozenset(OPTIONS)
    narrow = NARROW
    promises = frozenset({"any_address"})

    def why_not(self, problem: Problem, device: str) -> str | None:
        """Add what PyTorch refuses, and that it would round a scale of 1 + γ."""
        reason = super().why_not(problem, device) or torch_declines(problem)
        taken = self.adapted(problem, device).parameter_dtype
        if reason is None and problem.zero_centered and taken != "float32":
            return f"PyTorch's {problem.norm} norm takes its scale in {taken} on a GPU, to which 1 + γ would be rounded"
        return reason

    def chains(self, problem: Problem, device: str) -> Chains:
        """Count the additions in ATen's CPU loops; elsewhere, no order of n additions exceeds n."""
        if device == "cpu":
            return replace(_cpu_chains(problem), rounds_first=problem.residual)
        return any_order(problem)

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        """Return the operator's closure; see the functions above for which one."""
        return _BUILDERS[problem.norm, problem.direction](problem, tensors)

    def recorder(self, problem: Problem, tensors: Tensors) -> Recorder:
        """Record `torch.nn.functional`."""
        return recording(problem, tensors, _function(problem, tensors))


def _lanes() -> int:
    """Float32 lanes of ATen's vectors; the fewest where the processor is another."""
    import torch

    return {"AVX512": 16, "AVX2": 8}.get(torch.backends.cpu.get_cpu_capability(), 4)


def _split(terms: int) -> int:
    """Chain of a serial sum that is split over the threads, whose partial sums are then added."""
    import torch

    threads = torch.get_num_threads()
    return math.ceil(terms / threads) + threads


def _vector(terms: int) -> int:
    """Chain of a serial sum in vector lanes, which are then added one by one."""
    return math.ceil(terms / _lanes()) + 2 * _lanes()


def _cascade(terms: int) -> int:
    """Chain of ATen's cascade sum, over lanes and four-fold interleaving."""
    step = max(16, 1 << math.ceil(math.log2(max(1, terms)) / CASCADE_LEVELS))
    return min(terms, CASCADE_LEVELS * step) + 4 + 2 * _lanes()


def _moments(terms: int, dtype: str) -> int:
    """Count the roundings of ATen's RowwiseMoments: a Welford chunk, its cascade, then tail and lanes, three a step."""
    width = _lanes() if dtype == "float32" else 2 * _lanes()
    vectors, tail = divmod(terms, width)
    depth = math.ceil(math.log2(max(1, vectors / WELFORD_CHUNK)))
    return 3 * (min(vectors, WELFORD_CHUNK) + 2 * depth + tail + _lanes())


def _cpu_chains(problem: Problem) -> Chains:
    samples = problem.shape[0]
    positions = math.prod(problem.shape[2:])
    features = problem.num_features
    if problem.norm == "instance":  # batch norm of one sample with B·C channels, whose gradients are summed
        channels = (1, samples * features, *problem.shape[2:])
        one = _cpu_chains(replace(problem, norm="batch", shape=channels, layout="contiguous"))
        return replace(one, parameters=one.parameters + samples)
    if problem.norm == "layer":
        return Chains(_moments(features, problem.dtype), _vector(features), _split(samples))
    if problem.norm == "rms":
        return Chains(_cascade(features), _cascade(features), _cascade(samples))
    if problem.norm == "group":
        members = features // problem.num_groups
        over_positions = _vector(positions)
        return Chains(
            _moments(members * positions, problem.dtype), over_positions + _vector(members), over_positions + samples
        )
    if positions == 1 or problem.layout == "channels_last":
        rows = _split(samples * positions)
        return Chains(rows, rows, rows)
    if problem.dtype == "float32":  # sums over samples, and the moments, are in float64
        return Chains(2, _vector(positions), _vector(positions))
    tail = min(positions, 2 * _lanes())
    chain = samples * (math.ceil(positions / _lanes()) + tail) + _lanes()
    return Chains(chain, chain, chain)


PROVIDER = TorchEager()
