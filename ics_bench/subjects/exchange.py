"""Calling a module with other tensors in place of its own, many times over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

State = dict[str, torch.Tensor]
"""Parameters and buffers by name."""

Place = tuple[dict[str, Any], str]
"""A module's own table of parameters or buffers, and a key of it."""


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
        places: dict[int, list[Place]] = {}
        for owner in module.modules():
            for table in (owner._parameters, owner._buffers):
                for key, tensor in table.items():
                    if tensor is not None:
                        places.setdefault(id(tensor), []).append((table, key))
        named = (*module.named_parameters(), *module.named_buffers())
        self._places = {name: places[id(tensor)] for name, tensor in named}

    @contextmanager
    def holding(self, state: State) -> Iterator[None]:
        """Let the module hold the tensors of ``state``; on leaving it has its own back.

        A tensor that the module meanwhile replaced, as some layers do with their buffers, replaces that
        of ``state`` too. A tied tensor is exchanged wherever it stands; the first place counts where it
        was replaced.

        Raises
        ------
        ValueError
            If ``state`` names what the module had not when this was made.
        """
        places = self._found(state)
        own = [table[key] for _, table, key in places]
        for name, table, key in places:
            table[key] = state[name]
        try:
            yield
        finally:
            for (name, table, key), tensor in zip(reversed(places), reversed(own), strict=True):
                state[name] = table.get(key, state[name])
                table[key] = tensor

    def fill(self, state: State) -> None:
        """Give the module clones of these values for good.

        Raises
        ------
        ValueError
            As above.
        """
        clones = {name: value.detach().clone() for name, value in state.items()}
        for name, table, key in self._found(state):
            if isinstance(table[key], nn.Parameter):
                table[key].data = clones[name]
            else:
                table[key] = clones[name]

    def _found(self, state: State) -> list[tuple[str, dict[str, Any], str]]:
        unknown = [name for name in state if name not in self._places]
        if unknown:
            raise ValueError(f"the module has no parameter or buffer {', '.join(unknown)}; it has {[*self._places]}")
        return [(name, table, key) for name in state for table, key in self._places[name]]
