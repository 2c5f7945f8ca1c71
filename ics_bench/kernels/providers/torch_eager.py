"""PyTorch's own kernels, called as operators: no module, and no autograd where the operator allows it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ics_bench.kernels.functional import functional_norm, others_of
from ics_bench.kernels.provider import Chains, Kernel, Provider, Recorder, Tensors, any_order, recording
from ics_bench.kernels.spec import OPTIONS, ROW_NORMS, Problem

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


def _rms_forward(problem: Problem, t: Tensors) -> Kernel:
    from torch.nn import functional

    size = [problem.num_features]
    with warnings.catch_warnings():  # said once a process, of a fused kernel that exists on GPUs only
        warnings.filterwarnings("ignore", message="Mismatch dtype between input and weight")
        functional.rms_norm(t.x, size, t.weight, problem.eps)
    if problem.options:
        return _variant_forward(problem, t, lambda s, w: functional.rms_norm(s, size, w, problem.eps))
    return lambda: (functional.rms_norm(t.x, size, t.weight, problem.eps),)


def _rms_backward(problem: Problem, t: Tensors) -> Kernel:
    """Through autograd: on the CPU, RMS norm is composed of other operators and has no backward of its own."""
    import torch

    _rms_forward(problem, t)
    x, weight = t.x.requires_grad_(), t.weight.requires_grad_()
    s = _stream(problem, t)
    y = torch.nn.functional.rms_norm(s, [problem.num_features], _scale(problem, t), problem.eps)
    if problem.residual:
        return lambda: torch.autograd.grad((y, s), (x, weight), (t.dy, t.ds), retain_graph=True)
    return lambda: torch.autograd.grad(y, (x, weight), t.dy, retain_graph=True)


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


def _batch_forward(problem: Problem, t: Tensors) -> Kernel:
    import torch

    statistics = (t.running_mean, t.running_var)
    y = torch.empty_like(t.x)
    saved = torch.empty_like(t.running_mean), torch.empty_like(t.running_mean)
    returned = (y, *statistics) if problem.training else (y,)

    def call() -> tuple[Any, ...]:
        torch.ops.aten.native_batch_norm.out(
            t.x, t.weight, t.bias, *statistics, problem.training, problem.momentum, problem.eps,
            out=y, save_mean=saved[0], save_invstd=saved[1],
        )  # fmt: skip
        return returned

    return call


def _batch_backward(problem: Problem, t: Tensors) -> Kernel:
    import torch

    mask = [True, problem.training, problem.training]
    running = t.running_mean.clone(), t.running_var.clone()
    _, mean, rstd = torch.native_batch_norm(
        t.x, t.weight, t.bias, *running, problem.training, problem.momentum, problem.eps
    )
    call = torch.ops.aten.native_batch_norm_backward.default
    arguments = t.dy, t.x, t.weight, t.running_mean, t.running_var, mean, rstd, problem.training, problem.eps, mask
    return (lambda: call(*arguments)) if problem.training else (lambda: call(*arguments)[:1])


_BUILDERS: dict[tuple[str, str], Callable[[Problem, Tensors], Kernel]] = {
    ("layer", "forward"): _layer_forward,
    ("layer", "backward"): _layer_backward,
    ("rms", "forward"): _rms_forward,
    ("rms", "backward"): _rms_backward,
    ("group", "forward"): _group_forward,
    ("group", "backward"): _group_backward,
    ("instance", "forward"): _group_forward,
    ("instance", "backward"): _group_backward,
    ("batch", "forward"): _batch_forward,
    ("batch", "backward"): _batch_backward,
}


class TorchEager(Provider):
    """PyTorch's operators as a training step calls them."""

    summary = "PyTorch's operators, called directly"
    devices = frozenset({"cpu", "cuda"})
    options = frozenset(OPTIONS)

    def chains(self, problem: Problem, device: str) -> Chains:
        """Count the additions in ATen's CPU loops; elsewhere, no order of n additions exceeds n."""
        if device == "cpu":
            return replace(_cpu_chains(problem), rounds_first=problem.residual)
        return any_order(problem)

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        """Return the operator's closure; see the functions above for which one."""
        return _BUILDERS[problem.norm, problem.direction](problem, tensors)

    def recorder(self, problem: Problem, tensors: Tensors) -> Recorder:
        """Record `torch.nn.functional`, which calls the same operators."""
        if problem.norm == "rms":
            _rms_forward(problem, tensors)  # its warning is said once a process
        norm, others = functional_norm(problem), others_of(problem, tensors)
        return recording(problem, tensors, lambda *inputs: norm(*inputs, *others))


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
    if problem.norm == "layer":
        return Chains(_moments(features, problem.dtype), _vector(features), _split(samples))
    if problem.norm == "rms":
        return Chains(_cascade(features), _cascade(features), _cascade(samples))
    if problem.norm not in ROW_NORMS and problem.norm != "batch":
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
