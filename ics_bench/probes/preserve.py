"""The promise of every probe: the model, its buffers and the random state stay as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from ics_bench.subjects.randomness import cuda_devices, reseed


@contextmanager
def preserved(model: nn.Module, seed: int | None = None) -> Iterator[None]:
    """Put the buffers, the modes and the global random state of torch back on leaving.

    Buffers come back both in value and in identity: layers that write into them and layers that
    assign new tensors are restored alike.

    Parameters are not copied: a probe does not write to them. Gradients are taken with
    ``torch.autograd.grad``, which leaves ``.grad`` alone.

    Parameters
    ----------
    model : nn.Module
    seed : int, optional
        Of what the model draws at random meanwhile; without one it goes on from the present state.
    """
    buffers = [
        (module, name, buffer, None if buffer is None else buffer.detach().clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
    ]
    modes = [(module, module.training) for module in model.modules()]
    devices = cuda_devices([tensor.device for tensor in _tensors(model)])
    with torch.random.fork_rng(devices=devices):
        if seed is not None:
            reseed(seed, devices)
        try:
            yield
        finally:
            with torch.no_grad():
                for owner, name, buffer, saved in buffers:
                    setattr(owner, name, buffer)
                    if buffer is not None and saved is not None:
                        buffer.copy_(saved)
            for module, training in modes:
                module.training = training


def _tensors(model: nn.Module) -> Iterator[torch.Tensor]:
    yield from model.parameters()
    yield from model.buffers()
