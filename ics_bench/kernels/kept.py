"""Bytes that a forward pass keeps for its backward pass: what autograd saved, each storage once, no parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

from ics_bench.kernels.provider import Provider, Tensors
from ics_bench.kernels.spec import Problem


@contextmanager
def saved_storages() -> Iterator[Mapping[int, int]]:
    """Collect, by address, the bytes of each storage that autograd saves within the context.

    A storage that several saved tensors view is one entry, of all its bytes: none of them is free while one
    is kept. Whoever reads the entries must still hold the graph, or an address may have been given out twice.

    What is packed is detached: an output that its own node holds is a cycle that the garbage collector cannot see.
    """
    saved: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield saved


def kept_bytes(provider: Provider, problem: Problem, tensors: Tensors) -> int | None:
    """Bytes that a provider's forward pass keeps until its backward pass, besides parameters and running statistics.

    The input counts, as it must outlive the forward pass; and so does an output that the backward pass reads. ``None``
    if it has no forward pass that autograd records.

    Parameters
    ----------
    provider : Provider
    problem : Problem
        Its direction does not matter.
    tensors : Tensors
        Inputs of `Provider.adapted`, whose running statistics the call may change.
    """
    recorder = provider.recorder(problem, tensors)
    if recorder is None:
        return None
    with saved_storages() as saved:
        outputs = recorder.forward()
    free = {parameter.untyped_storage().data_ptr() for parameter in recorder.parameters}
    total = sum(size for address, size in saved.items() if address not in free)
    del outputs  # alive until here, so that no address was given out twice
    return total
