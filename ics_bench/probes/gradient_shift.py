"""How much a layer's gradient changes when the layers below it take their step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from ics_bench.probes.layers import layers_of
from ics_bench.probes.preserve import preserved
from ics_bench.subjects.exchange import Exchange, State

LossFunction = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class GradientShift:
    """A gradient G against another one, G', of the same weights, in float64.

    Parameters
    ----------
    l2 : float
        ‖G − G'‖₂.
    relative : float
        ‖G − G'‖₂ / ‖G‖₂; NaN where G is zero.
    cosine : float
        cos(G, G'); NaN where one of them is zero.
    """

    l2: float
    relative: float
    cosine: float


def compare_gradients(first: torch.Tensor, second: torch.Tensor) -> GradientShift:
    """Compare two gradients of one shape. A factor common to both changes neither ratio nor cosine."""
    g, other = first.detach().to(torch.float64).flatten(), second.detach().to(torch.float64).flatten()
    if g.shape != other.shape:
        raise ValueError(f"gradients of shapes {tuple(first.shape)} and {tuple(second.shape)}")
    scale = float(torch.maximum(g.abs().max(), other.abs().max()))
    if not 0.0 < scale < math.inf:
        return GradientShift(0.0 if scale == 0.0 else math.nan, math.nan, math.nan)
    g, other = g / scale, other / scale
    length, other_length = float(g.norm()), float(other.norm())
    distance = float((g - other).norm())
    cosine = math.nan
    if length > 0.0 and other_length > 0.0:
        cosine = max(-1.0, min(1.0, float(g @ other) / (length * other_length)))
    return GradientShift(scale * distance, distance / length if length > 0.0 else math.nan, cosine)


def gradient_shifts(
    model: nn.Module,
    after: Mapping[str, torch.Tensor],
    x: torch.Tensor,
    y: torch.Tensor,
    loss: LossFunction,
    seed: int = 0,
) -> tuple[GradientShift, ...]:
    """Compare, for every layer, its weight's gradient before and after the layers below took their step.

    G is the gradient of the loss on one batch with respect to layer i's weight. G' is the same with
    the parameters of layers 1 … i−1 replaced by those ``after`` the step, while layer i and the layers
    above keep theirs (Santurkar et al. 2018, definition 2.1). The first layer has none below: its
    G' is G.

    Parameters
    ----------
    model : nn.Module
        Before the step. It runs in the mode that it is in, and is left as it was.
    after : mapping of str to Tensor
        Its parameters by name after the step, all of them.
    x, y : Tensor
        The batch that the step was taken on.
    loss : callable
        ``loss(output, y)``, a scalar tensor.
    seed : int
        Of what the model draws at random: the same for G and G'.

    Returns
    -------
    tuple of GradientShift
        One a layer, in the order of `ics_bench.probes.layers.layers_of`.
    """
    layers = layers_of(model)
    gradients = _Gradients(model, x, y, loss, seed)
    everywhere = gradients([layer.weight for layer in layers], {})
    found = [compare_gradients(everywhere[0], everywhere[0])]
    stepped: State = {}
    for place, (below, layer) in enumerate(pairwise(layers), start=1):
        stepped |= {name: after[name].detach() for name in below.parameters}
        (shifted,) = gradients([layer.weight], stepped)
        found.append(compare_gradients(everywhere[place], shifted))
    return tuple(found)


def gradient_shift(
    model: nn.Module,
    after: Mapping[str, torch.Tensor],
    layer: int,
    x: torch.Tensor,
    y: torch.Tensor,
    loss: LossFunction,
    seed: int = 0,
) -> GradientShift:
    """Compare the gradient of one layer, counted from 0, before and after the layers below took their step.

    Raises
    ------
    ValueError
        If there is no such layer.
    """
    layers = layers_of(model)
    if not 0 <= layer < len(layers):
        raise ValueError(f"layer {layer} of {len(layers)}")
    gradients, weight = _Gradients(model, x, y, loss, seed), [layers[layer].weight]
    stepped = {name: after[name].detach() for below in layers[:layer] for name in below.parameters}
    (before,), (shifted,) = gradients(weight, {}), gradients(weight, stepped)
    return compare_gradients(before, shifted)


def layer_gradients(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor, loss: LossFunction, seed: int = 0
) -> tuple[torch.Tensor, ...]:
    """Gradient of the loss with respect to each layer's weight, in the mode that the model is in."""
    return _Gradients(model, x, y, loss, seed)([layer.weight for layer in layers_of(model)], {})


class _Gradients:
    """Gradients of the loss on one batch with respect to some weights, at any parameters of one model."""

    def __init__(self, model: nn.Module, x: torch.Tensor, y: torch.Tensor, loss: LossFunction, seed: int) -> None:
        self.model, self.x, self.y, self.loss, self.seed = model, x, y, loss, seed
        self.exchange = Exchange(model)
        self.own: State = {name: parameter.detach() for name, parameter in model.named_parameters()}

    def __call__(self, names: Sequence[str], replaced: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Take them where the parameters in ``replaced`` stand in place of the model's own."""
        parameters = {**self.own, **replaced}
        wanted = {name: parameters[name].detach().clone().requires_grad_(True) for name in names}
        with preserved(self.model, self.seed), torch.enable_grad():
            with self.exchange.holding({**parameters, **wanted}):
                output = self.model(self.x)
            return torch.autograd.grad(self.loss(output, self.y), list(wanted.values()))
