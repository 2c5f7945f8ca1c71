"""Copies of one module, made again and again."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import torch
from torch import nn

from ics_bench.subjects.exchange import State


class Mould:
    """Casts copies of a module with other parameters and buffers in them.

    `copy.deepcopy` walks through a thousand objects of a deep net in Python. This walks once, with
    `pickle`, and leaves the tensors aside; a module that cannot be pickled, as one of a local class or
    with a reparametrized weight, is copied by `copy.deepcopy` all the same.

    Parameters
    ----------
    module : nn.Module
        Kept, and not to be changed later.
    """

    def __init__(self, module: nn.Module) -> None:
        stream = io.BytesIO()
        aside = _TensorsAside(stream)
        try:
            aside.dump(module)
        except Exception:  # whatever a module's own __reduce__ raises
            self._pickled = b""
        else:
            self._pickled = stream.getvalue()
        self._module, self._tensors = module, aside.tensors

    def cast(self, state: State) -> nn.Module:
        """Copy the module, with clones of the tensors of ``state`` as its parameters and buffers of these names."""
        if self._pickled:
            found = _TensorsBack(io.BytesIO(self._pickled), copy.deepcopy(self._tensors)).load()
            module: nn.Module = found
        else:
            module = copy.deepcopy(self._module)
        parameters = dict(module.named_parameters())
        for name, value in state.items():
            if name in parameters:
                parameters[name].data = value.detach().clone()
            else:
                owner, _, leaf = name.rpartition(".")
                module.get_submodule(owner)._buffers[leaf] = value.detach().clone()
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
    def __init__(self, stream: io.BytesIO, tensors: list[torch.Tensor]) -> None:
        super().__init__(stream)
        self._tensors = tensors

    def persistent_load(self, pid: int) -> torch.Tensor:
        return self._tensors[pid]
