"""What passes through each layer of a perceptron, forward and backward."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ics_bench.probes.preserve import preserved
from ics_bench.subjects.mlp import Hidden


@dataclass(frozen=True, slots=True)
class Trace:
    """Tensors of shape ``(N, width)``, one a layer, first layer first.

    Parameters
    ----------
    pre_activations : tuple of Tensor
        z, what the linear map gives, before norm and activation.
    activations : tuple of Tensor
        a, what the layer hands on.
    gradients : tuple of Tensor
        ∂⟨cotangent, a_last⟩ / ∂z.
    """

    pre_activations: tuple[torch.Tensor, ...]
    activations: tuple[torch.Tensor, ...]
    gradients: tuple[torch.Tensor, ...]


def trace(layers: Sequence[Hidden], x: torch.Tensor, cotangent: torch.Tensor) -> Trace:
    """Run ``layers`` one after the other, and the cotangent back through them.

    Norms work in the mode that the layers are in. Parameters receive no gradient, and buffers such as
    running statistics and the random state are as they were when it returns.

    Parameters
    ----------
    layers : sequence of Hidden
    x : Tensor
        Input ``(N, in_features)``.
    cotangent : Tensor
        Gradient that arrives at the last layer's activations, of their shape.
    """
    pre_activations: list[torch.Tensor] = []
    activations: list[torch.Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        del module, inputs
        pre_activations.append(output)

    with ExitStack() as stack:
        stack.enter_context(preserved(nn.ModuleList(layers)))
        stack.enter_context(torch.enable_grad())
        for layer in layers:
            handle = layer.linear.register_forward_hook(keep)
            stack.callback(handle.remove)
        h = x.detach().clone().requires_grad_(True)
        for layer in layers:
            h = layer(h)
            activations.append(h)
        gradients = torch.autograd.grad(h, pre_activations, grad_outputs=cotangent)
    return Trace(tuple(z.detach() for z in pre_activations), tuple(a.detach() for a in activations), gradients)
