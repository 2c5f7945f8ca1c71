"""The promise of every probe: the model, its buffers and the random state stay as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def preserved(model: nn.Module) -> Iterator[None]:
    """Put the buffers, the modes and the global random state of torch back on leaving.

    Buffers come back both in value and in identity: layers that write into them and layers that
    assign new tensors are restored alike.

    Parameters are not copied: a probe does not write to them. Gradients are taken with
    ``torch.autograd.grad``, which leaves ``.grad`` alone.
    """
    buffers = [
        (module, name, buffer, None if buffer is None else buffer.detach().clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
    ]
    modes = [(module, module.training) for module in model.modules()]
    devices = sorted({tensor.device.index for tensor in _tensors(model) if tensor.is_cuda})
    with torch.random.fork_rng(devices=devices):
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
