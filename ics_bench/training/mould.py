"""Copies of one module, made again and again."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import torch
from torch import nn

from ics_bench.subjects.exchange import Exchange, State


class Mould:
    """Casts copies of a module with other parameters and buffers in them.

    `copy.deepcopy` walks through a thousand objects of a deep net in Python. This walks once, with
    `pickle`, and leaves the tensors aside. A module that cannot be pickled, as one of a local class or
    with a reparametrized weight, or that says itself how it is copied, goes through `copy.deepcopy` all the same.

    Parameters
    ----------
    module : nn.Module
        Kept, and not to be changed later.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        named = (*module.named_parameters(), *module.named_buffers())
        names = {id(tensor): name for name, tensor in reversed(named)}
        self._pickled, tensors = _pickled(module)
        self._tensors = [(tensor, names.get(id(tensor))) for tensor in tensors]

    def cast(self, state: State) -> nn.Module:
        """Copy the module, with clones of the tensors of ``state`` as its parameters and buffers of these names."""
        if not self._pickled:
            module = copy.deepcopy(self._module)
            Exchange(module).fill(state)
            return module
        return _unpickled(self._pickled, [_other(tensor, state.get(name or "")) for tensor, name in self._tensors])


def _other(tensor: torch.Tensor, value: torch.Tensor | None) -> torch.Tensor:
    if value is None:
        return copy.deepcopy(tensor)
    clone = value.detach().clone()
    return nn.Parameter(clone, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else clone


def _pickled(module: nn.Module) -> tuple[bytes, list[torch.Tensor]]:
    """Pickle what is no tensor; nothing if that, or the way back, does not work or is not how it is copied."""
    if any(hasattr(part, "__deepcopy__") for part in module.modules()):
        return b"", []
    stream = io.BytesIO()
    aside = _TensorsAside(stream)
    try:
        aside.dump(module)
        _unpickled(stream.getvalue(), aside.tensors)
    except Exception:  # whatever a module's own __reduce__ raises
        return b"", []
    return stream.getvalue(), aside.tensors


def _unpickled(pickled: bytes, tensors: list[torch.Tensor]) -> nn.Module:
    module: nn.Module = _TensorsBack(pickled, tensors).load()
    return module


class _TensorsAside(pickle.Pickler):
    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream, pickle.HIGHEST_PROTOCOL)
        self.tensors: list[torch.Tensor] = []
        self._places: dict[int, int] = {}

    def persistent_id(self, obj: Any) -> int | None:
        if not isinstance(obj, torch.Tensor):
            return None
        if id(obj) not in self._places:
            self._places[id(obj)] = len(self.tensors)
            self.tensors.append(obj)
        return self._places[id(obj)]


class _TensorsBack(pickle.Unpickler):
    def __init__(self, pickled: bytes, tensors: list[torch.Tensor]) -> None:
        super().__init__(io.BytesIO(pickled))
        self._tensors = tensors

    def persistent_load(self, pid: int) -> torch.Tensor:
        return self._tensors[pid]
