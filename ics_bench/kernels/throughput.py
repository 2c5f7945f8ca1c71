"""One kernel against a copy of as many bytes: the same dtype, threads, run and coldness of cache."""

from __future__ import annotations

import random
import resource
import statistics
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import psutil
import torch

from ics_bench.core.environment import last_level_cache_bytes
from ics_bench.kernels.clock import CPU_WARM_UP_SECONDS, Call, interleave, overhead_seconds
from ics_bench.kernels.gpu_state import GpuState
from ics_bench.kernels.heap import warm_heap
from ics_bench.kernels.inputs import draw
from ics_bench.kernels.kept import saved_storages
from ics_bench.kernels.provider import Kernel, Provider, Tensors
from ics_bench.kernels.rotation import MEBIBYTE, plan_sets
from ics_bench.kernels.spec import DTYPE_BYTES, Problem, floor_bytes

OVERHEAD_TOLERATED = 0.05
"""Largest share of a kernel's time, or of its bytes, that something else may take without a warning."""

MEGA = 1e6

COPY = "copy"
"""Name of the arm that every run has."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Throughput:
    """Raw times of a kernel and of the copy, in seconds a round.

    Parameters
    ----------
    kernel, copy : tuple of float
        One for each round; equal positions are from the same round.
    copy_bytes : int
        Bytes that a copy reads plus those that it writes.
    working_set : int
        Bytes of the buffers that take turns: of all arms on a processor, whose cache they share in time; of each arm on
        a GPU.
    in_cache : bool
        Whether the working set fits the last-level cache: the times then say nothing of the memory's speed.
    warnings : tuple of str
    state : GpuState or None
        Of the GPU, where one did the work.
    """

    kernel: tuple[float, ...]
    copy: tuple[float, ...]
    copy_bytes: int
    working_set: int
    in_cache: bool
    warnings: tuple[str, ...]
    state: GpuState | None = None


def saved_bytes(provider: Provider, problem: Problem, tensors: Tensors) -> int:
    """Bytes that a kernel holds besides its inputs and outputs: what autograd saved for a backward pass."""
    own = {tensor.untyped_storage().data_ptr() for tensor in (tensors.x, tensors.dy)}
    with saved_storages() as saved:
        kernel = provider.prepare(problem, tensors)
    total = sum(size for address, size in saved.items() if address not in own)
    del kernel  # alive until here, so that no address was given out twice
    return total


def copies(dtype: str, nbytes: int, count: int, seed: int, device: str) -> list[Call]:
    """Closures that each copy ``nbytes`` of ``dtype`` between two buffers of their own."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(max(1, nbytes // DTYPE_BYTES[dtype]), generator=generator).to(device, getattr(torch, dtype))
    pairs = [(first.clone(), first.clone()) for _ in range(count)]
    return [_copy(source, target) for source, target in pairs]


def _copy(source: torch.Tensor, target: torch.Tensor) -> Call:
    return lambda: target.copy_(source)


def measure_throughput(provider: Provider, problem: Problem, seed: int, device: str, memory_bytes: int) -> Throughput:
    """Time a kernel and a copy of the same number of bytes in one interleaved run; see `compare`."""
    return compare({"kernel": provider}, problem, seed, device, memory_bytes)["kernel"]


def compare(
    providers: Mapping[str, Provider],
    problem: Problem,
    seed: int,
    device: str,
    memory_bytes: int,
    failures: MutableMapping[str, str] | None = None,
) -> dict[str, Throughput]:
    """Time kernels of several providers and a copy of as many bytes in one interleaved run.

    Parameters
    ----------
    providers : mapping of str to Provider
        Those that can run the problem; `COPY` is no name for one.
    problem : Problem
    seed : int
        Seeds the inputs and the order of the arms.
    device : {"cpu", "cuda"}
    memory_bytes : int
        Most memory for the rotated buffers; half of what is free is used at most. On a GPU, as much as leaves its
        cache is used all the same: filling it takes no time there.
    failures : mutable mapping of str to str, optional
        Takes the errors of kernels that cannot be prepared or called, by provider, and the others are timed.
        Without it, the first such error is raised.
    """
    if device != "cpu":
        from ics_bench.kernels.cuda_throughput import compare_on_gpu

        return compare_on_gpu(providers, problem, seed, torch.device(device), memory_bytes, failures)
    nbytes = floor_bytes(problem)
    tensors = draw(problem, "normal", seed, device)
    saved = each(providers, lambda p: saved_bytes(p, *prepared_for(p, problem, tensors)), failures)
    memory = min(memory_bytes, psutil.virtual_memory().available // 2)
    sets = plan_sets((1 + len(saved)) * nbytes + sum(saved.values()), last_level_cache_bytes(), memory)
    copying = {COPY: copies(problem.dtype, nbytes // 2, sets.count, seed, device)}
    running = {name: providers[name] for name in saved}
    kernels = each(running, lambda p: kernels_of(p, problem, tensors, sets.count), failures)
    with warm_heap():
        samples = interleave({**copying, **kernels}, random.Random(seed), warm_up_seconds=CPU_WARM_UP_SECONDS)
    shared = (*sets.warnings(), *samples.load.warnings())
    copy, copy_bytes = samples.seconds[COPY], 2 * (nbytes // 2)
    found = {}
    for name in kernels:
        kernel = samples.seconds[name]
        cost = _cost_warnings(kernel, samples.page_faults[name], nbytes)
        found[name] = Throughput(kernel, copy, copy_bytes, sets.nbytes, sets.in_cache, (*shared, *cost))
    return found


def prepared_for(provider: Provider, problem: Problem, tensors: Tensors) -> tuple[Problem, Tensors]:
    """Return a provider's own problem and tensors (`Provider.adapted`); forward passes share the gradients."""
    problem = provider.adapted(problem, tensors.x.device.type)
    own = tensors.clone(shared=("dy", "ds") if problem.direction == "forward" else ())
    dtype = getattr(torch, problem.parameter_dtype)
    return problem, replace(own, weight=own.weight.to(dtype), bias=own.bias.to(dtype))


def kernels_of(provider: Provider, problem: Problem, tensors: Tensors, count: int) -> list[Kernel]:
    """Prepare a kernel for each set of buffers, and call the first: who cannot run fails here, not among the others."""
    kernels = [provider.prepare(*prepared_for(provider, problem, tensors)) for _ in range(count)]
    kernels[0]()
    return kernels


def each(
    providers: Mapping[str, Provider],
    what: Callable[[Provider], Result],
    failures: MutableMapping[str, str] | None,
) -> dict[str, Result]:
    """Do something with every provider; those that raise are missing, their errors written to ``failures``."""
    found = {}
    for name, provider in providers.items():
        try:
            found[name] = what(provider)
        except Exception as error:
            if failures is None:
                raise
            failures[name] = repr(error)
    return found


def _cost_warnings(kernel: Sequence[float], page_faults: int, nbytes: int) -> list[str]:
    """Say what the kernel's time holds besides the kernel."""
    found = []
    share = overhead_seconds() / statistics.median(kernel)
    if share > OVERHEAD_TOLERATED:
        found.append(f"reading the clock takes {share:.0%} of the kernel's time")
    faulted = page_faults * resource.getpagesize() / len(kernel)
    if faulted > OVERHEAD_TOLERATED * nbytes:
        found.append(
            f"each call touches {faulted / MEBIBYTE:.1f} MiB of new memory: the library allocates its outputs, and "
            "the page faults are part of its time"
        )
    return found
