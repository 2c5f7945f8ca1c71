"""Kernels against our copy on a GPU: graphs, rotated buffers, one interleaved run."""

from __future__ import annotations

import random
from collections.abc import Mapping, MutableMapping, Sequence

import torch

from ics_bench.kernels.capacity import free_bytes
from ics_bench.kernels.clock import Call
from ics_bench.kernels.cuda_clock import Arm, on_clock_stream, time_on_gpu
from ics_bench.kernels.gpus import LATENCY_BYTES
from ics_bench.kernels.inputs import draw
from ics_bench.kernels.provider import Provider
from ics_bench.kernels.rotation import plan_gpu_sets
from ics_bench.kernels.spec import Problem, floor_bytes
from ics_bench.kernels.throughput import COPY, MEGA, Throughput, each, kernels_of, prepared_for, saved_bytes


def compare_on_gpu(
    providers: Mapping[str, Provider],
    problem: Problem,
    seed: int,
    device: torch.device,
    memory_bytes: int,
    failures: MutableMapping[str, str] | None = None,
) -> dict[str, Throughput]:
    """Do what `ics_bench.kernels.throughput.compare` does, on a GPU."""
    nbytes = floor_bytes(problem)
    with on_clock_stream(device):
        tensors = draw(problem, "normal", seed, str(device))
        saved = each(providers, lambda p: saved_bytes(p, *prepared_for(p, problem, tensors)), failures)
        cache = torch.cuda.get_device_properties(device).L2_cache_size
        set_bytes, free = nbytes + max(saved.values(), default=0), free_bytes(str(device))
        sets = plan_gpu_sets(set_bytes, 1 + len(saved), cache, memory_bytes, free)
        calls, notes = copies_on_gpu(nbytes // 2, sets.count, device)
        running = {name: providers[name] for name in saved}
        kernels = each(running, lambda p: kernels_of(p, problem, tensors, sets.count), failures)
        arms = {name: Arm(several, providers[name].capturable) for name, several in kernels.items()}
        samples = time_on_gpu({COPY: Arm(calls), **arms}, random.Random(seed), device)
    copys = (f"the copy: {said}" for said in samples.doubts(COPY))
    shared, copy_bytes = (*sets.warnings(), *notes, *copys, *_latency(nbytes)), 2 * _whole(nbytes // 2)
    return {
        name: Throughput(
            samples.seconds[name],
            samples.seconds[COPY],
            copy_bytes,
            sets.nbytes,
            sets.in_cache,
            (*shared, *samples.warnings(name)),
            samples.state,
        )
        for name in kernels
    }


def _latency(nbytes: int) -> tuple[str, ...]:
    if nbytes >= LATENCY_BYTES:
        return ()
    return (f"latency, not bandwidth: the problem moves {nbytes / MEGA:.3g} MB, less than {LATENCY_BYTES / MEGA:g} MB",)


def _whole(nbytes: int) -> int:
    return max(16, nbytes // 16 * 16)


def copies_on_gpu(nbytes: int, count: int, device: torch.device) -> tuple[Sequence[Call], tuple[str, ...]]:
    """Return closures that copy ``nbytes``, rounded down to 16, between buffers of their own; and what to know."""
    from ics_bench.kernels.cuda.copying import plan_copy
    from ics_bench.kernels.cuda.launch import engine_of, why_not_here

    size = _whole(nbytes)
    first = torch.randn(size // 4, device=device)
    pairs = [(first.clone(), torch.empty_like(first)) for _ in range(count)]
    reason = why_not_here()
    if reason is not None:
        plain = [(lambda s=source, t=target: t.copy_(s)) for source, target in pairs]
        return plain, (f"the ceiling is torch's copy: {reason}",)
    engine, made = engine_of(device), plan_copy(size)
    return [lambda s=source, t=target: engine.run(made, {"x": s, "y": t}) for source, target in pairs], ()
