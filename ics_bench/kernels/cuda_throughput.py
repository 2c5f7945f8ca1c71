"""Kernels against our copy on a GPU: graphs, rotated buffers, one interleaved run."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from ics_bench.kernels.clock import Call
from ics_bench.kernels.cuda_clock import Arm, GpuSamples, on_clock_stream, time_on_gpu
from ics_bench.kernels.gpus import LATENCY_BYTES
from ics_bench.kernels.inputs import draw
from ics_bench.kernels.provider import Provider
from ics_bench.kernels.rotation import GPU_CACHE_FACTOR, Rotation, plan_sets
from ics_bench.kernels.spec import Problem, floor_bytes
from ics_bench.kernels.throughput import MEGA, Throughput, saved_bytes

COPY = "copy"
"""Name of the arm that every run has."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Times of several providers' kernels and of a copy, in one run.

    Parameters
    ----------
    samples : GpuSamples
        By provider, and `COPY`.
    copy_bytes : int
        Bytes that the copy reads plus those that it writes.
    sets : Rotation
    warnings : tuple of str
        About all of them.
    """

    samples: GpuSamples
    copy_bytes: int
    sets: Rotation
    warnings: tuple[str, ...]

    def of(self, provider: str) -> Throughput:
        """Take one provider's part."""
        samples = self.samples
        found = (*self.warnings, *samples.warnings(provider))
        return Throughput(
            samples.seconds[provider], samples.seconds[COPY], self.copy_bytes, self.sets.in_cache, found, samples.state
        )


def compare_on_gpu(
    providers: Mapping[str, Provider], problem: Problem, seed: int, device: torch.device, memory_bytes: int
) -> Comparison:
    """Time kernels of several providers and a copy of as many bytes in one interleaved run.

    Parameters
    ----------
    providers : mapping of str to Provider
        Those that can run the problem.
    problem : Problem
    seed : int
        Seeds the inputs and the order of the arms.
    device : torch.device
    memory_bytes : int
        Most memory for the rotated buffers; half of what is free is used at most.
    """
    nbytes = floor_bytes(problem)
    with on_clock_stream(device):
        tensors = draw(problem, "normal", seed, str(device))
        saved = max(saved_bytes(provider, problem, tensors.clone()) for provider in providers.values())
        free, _ = torch.cuda.mem_get_info(device)
        cache = torch.cuda.get_device_properties(device).L2_cache_size
        # Each arm has sets of its own: what one leaves in the cache is of no use to another.
        memory = min(memory_bytes, free // 2) // (1 + len(providers))
        sets = plan_sets(nbytes + saved, cache, memory, GPU_CACHE_FACTOR)
        calls, notes = copies_on_gpu(nbytes // 2, sets.count, device)
        arms = {COPY: Arm(calls)}
        for name, provider in providers.items():
            kernels = [provider.prepare(problem, tensors.clone()) for _ in range(sets.count)]
            arms[name] = Arm(kernels, provider.capturable)
        samples = time_on_gpu(arms, random.Random(seed), device)
    return Comparison(samples, 2 * _whole(nbytes // 2), sets, (*sets.warnings(), *notes, *_latency(nbytes)))


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
