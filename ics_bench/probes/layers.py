"""What belongs to which layer of a network, and what passes through it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ics_bench.probes.preserve import preserved
from ics_bench.subjects.mlp import Hidden, Residual

WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Modules that start a layer."""

_WEIGHTS = ("weight", "parametrizations.weight.original", "parametrizations.weight.original1")
"""Where a module's weight is trained: in itself, before a reparametrization, or as the direction that a gain scales."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One weight matrix and what stands behind it.

    Parameters
    ----------
    module : str
        Name of the linear or convolutional module.
    weight : str
        Name of its weight, or of the parameter of its shape that a norm of weights computes it from.
    parameters : tuple of str
        Names of all parameters from this matrix to the next, in the order in which they are
        registered: weight, bias, and gain and offset of a norm between the two.
    """

    module: str
    weight: str
    parameters: tuple[str, ...]


def layers_of(model: nn.Module) -> tuple[Layer, ...]:
    """Split a model into its layers, from the input up, as its modules are registered.

    Parameters that are registered before the first matrix belong to the first layer.

    Raises
    ------
    ValueError
        If there is no linear or convolutional module.
    """
    starts: list[str] = []
    members: list[list[str]] = [[]]
    for name, module in model.named_modules():
        if isinstance(module, WEIGHTED):
            if starts:
                members.append([])
            starts.append(name)
        prefix = f"{name}." if name else ""
        members[-1] += [prefix + key for key, _ in module.named_parameters(recurse=False)]
    if not starts:
        raise ValueError(f"{type(model).__name__} has no linear or convolutional layer")
    found = []
    for start, names in zip(starts, members, strict=True):
        prefix = f"{start}." if start else ""
        found.append(Layer(start, next(prefix + name for name in _WEIGHTS if prefix + name in names), tuple(names)))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Signals:
    """Tensors ``(N, C, *)``, one a layer, in the order in which they are computed.

    Parameters
    ----------
    inputs : tuple of Tensor
        What each linear or convolutional module receives.
    linear : tuple of Tensor
        What each of them gives, before any norm.
    pre_activations : tuple of Tensor
        What each activation function receives, normalized where the norm stands before it. Models
        other than this suite's perceptrons do not tell; theirs are those of ``linear``.
    """

    inputs: tuple[torch.Tensor, ...]
    linear: tuple[torch.Tensor, ...]
    pre_activations: tuple[torch.Tensor, ...]


@torch.no_grad()
def signals(model: nn.Module, x: torch.Tensor, seed: int = 0) -> Signals:
    """Run ``x`` through a model, in the mode that it is in, and keep what passes.

    Parameters, buffers, modes and the random state are as they were when it returns.

    Parameters
    ----------
    model : nn.Module
    x : Tensor ``(N, *features)``
    seed : int
        Of what the model itself draws at random.
    """
    inputs: list[torch.Tensor] = []
    linear: list[torch.Tensor] = []
    pre_activations: list[torch.Tensor] = []

    def keep_both(module: nn.Module, arguments: Any, output: torch.Tensor) -> None:
        del module
        inputs.append(arguments[0].detach().clone())
        linear.append(output.detach().clone())

    def keep_input(module: nn.Module, arguments: Any) -> None:
        del module
        pre_activations.append(arguments[0].detach().clone())

    with ExitStack() as stack:
        stack.enter_context(preserved(model, seed))
        for module in model.modules():
            if isinstance(module, WEIGHTED):
                stack.callback(module.register_forward_hook(keep_both).remove)
            elif isinstance(module, Hidden | Residual):
                stack.callback(module.activation.register_forward_pre_hook(keep_input).remove)
        model(x)
    return Signals(tuple(inputs), tuple(linear), tuple(pre_activations or linear))
