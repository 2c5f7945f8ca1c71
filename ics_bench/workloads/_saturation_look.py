"""What the layers of a perceptron look like at one step of training, over all of the training data."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ics_bench.probes.dead import dead_fraction, zero_fraction
from ics_bench.probes.rates import geometric_rate
from ics_bench.probes.saturation import BOUNDED, saturated_fraction
from ics_bench.subjects.mlp import MLP, Hidden


@dataclass(frozen=True, slots=True)
class Look:
    """Statistics of the hidden layers, first layer first.

    Parameters
    ----------
    saturated, dead, zero : tuple of float
        Shares of entries (saturated, zero) or units (dead) of the activations; saturated is empty for
        an activation without bounds.
    signal : tuple of float
        Root mean square of the pre-activations z, what the linear map gives.
    gradient : tuple of float
        ‖∂L/∂z‖, L the mean loss over the data.
    weight_gradient : tuple of float
        ‖∂L/∂W‖ of the layer's own weights.
    """

    saturated: tuple[float, ...]
    dead: tuple[float, ...]
    zero: tuple[float, ...]
    signal: tuple[float, ...]
    gradient: tuple[float, ...]
    weight_gradient: tuple[float, ...]

    @property
    def forward_rate(self) -> float:
        """Factor per layer of E[z²], from the first hidden layer to the last."""
        return geometric_rate(self.signal, 1, len(self.signal)) ** 2

    @property
    def backward_rate(self) -> float:
        """Factor per layer, going back, of ‖∂L/∂z‖² from the last hidden layer to the first."""
        return geometric_rate(self.gradient, len(self.gradient), 1) ** 2


def look(model: nn.Module, x: torch.Tensor, y: torch.Tensor, activation: str) -> Look:
    """Run all of the data forward and back through a perceptron, in the mode that it is in.

    Parameters
    ----------
    model : MLP
        A private copy: its running statistics take the pass in.
    x, y : Tensor ``(N, in_features)``, ``(N,)``
    activation : str

    Raises
    ------
    TypeError
        If the model is no plain perceptron of this suite.
    """
    if not isinstance(model, MLP) or not all(isinstance(layer, Hidden) for layer in model.hidden):
        raise TypeError(f"{type(model).__name__} has no chain of hidden layers to look at")
    linear: list[torch.Tensor] = []
    activated: list[torch.Tensor] = []
    layers = [layer for layer in model.hidden if isinstance(layer, Hidden)]

    def keep_in(kept: list[torch.Tensor]) -> Any:
        def keep(module: nn.Module, arguments: Any, output: torch.Tensor) -> None:
            del module, arguments
            kept.append(output)

        return keep

    with ExitStack() as stack:
        for layer in layers:
            stack.callback(layer.linear.register_forward_hook(keep_in(linear)).remove)
            stack.callback(layer.activation.register_forward_hook(keep_in(activated)).remove)
        loss = cross_entropy(model(x), y)
        weights = [layer.linear.weight for layer in layers]
        gradients = torch.autograd.grad(loss, [*linear, *weights])
    activations = [a.detach() for a in activated]
    return Look(
        saturated=tuple(saturated_fraction(a, activation) for a in activations) if activation in BOUNDED else (),
        dead=tuple(dead_fraction(a) for a in activations),
        zero=tuple(zero_fraction(a) for a in activations),
        signal=tuple(math.sqrt(float(z.detach().double().square().mean())) for z in linear),
        gradient=tuple(float(g.double().norm()) for g in gradients[: len(layers)]),
        weight_gradient=tuple(float(g.double().norm()) for g in gradients[len(layers) :]),
    )
