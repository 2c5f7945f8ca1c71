"""Calling a module with other tensors in place of its own, many times over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

State = dict[str, torch.Tensor]
"""Parameters and buffers by name."""


class Exchange:
    """What `torch.func.functional_call` does, for a module that is called thousands of times.

    It looks once where the module keeps each tensor; `torch.func.functional_call` looks at every call,
    which in a deep net of small layers takes as long as the forward pass.

    Parameters
    ----------
    module : nn.Module
        Later it may be trained, moved or called, but not given other submodules, parameters or buffers.
    """

    def __init__(self, module: nn.Module) -> None:
        self._places: dict[str, list[tuple[dict[str, Any], str]]] = {}
        names = {id(tensor): name for name, tensor in (*module.named_parameters(), *module.named_buffers())}
        for owner in module.modules():
            for table in (owner._parameters, owner._buffers):
                for key, tensor in table.items():
                    if tensor is not None:
                        self._places.setdefault(names[id(tensor)], []).append((table, key))

    @contextmanager
    def holding(self, state: State) -> Iterator[None]:
        """Let the module hold the tensors of ``state``; on leaving it has its own back.

        A tensor that the module meanwhile replaced, as some layers do with their buffers, replaces that
        of ``state`` too. A tied parameter is exchanged wherever it stands.

        Raises
        ------
        KeyError
            If ``state`` names what the module had not when this was made.
        """
        places = [(name, table, key) for name in state for table, key in self._places[name]]
        own = [table[key] for _, table, key in places]
        try:
            for name, table, key in places:
                table[key] = state[name]
            yield
        finally:
            for (name, table, key), tensor in zip(places, own, strict=True):
                state[name] = table[key]
                table[key] = tensor
