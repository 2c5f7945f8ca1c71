"""Tells what kind of layer a module is, for tracing the order of a model."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from ics_bench.subjects.convolution import ChannelsLast
from ics_bench.subjects.norm import NormLayer

_TRIED = 8
"""Features of the norm that is built to learn its type."""


def kind_of(norm_layer: NormLayer) -> Callable[[nn.Module], str]:
    """Return a function that names norms of ``norm_layer``'s type, linear maps and activations.

    A norm that is the identity, as ``none`` and the norms of weights are, is no norm here.
    """
    norm = type(norm_layer(_TRIED))
    norms = () if norm is nn.Identity else (norm, ChannelsLast)

    def kind(module: nn.Module) -> str:
        if isinstance(module, norms):
            return "norm"
        if isinstance(module, nn.Linear | nn.Conv2d):
            return "linear"
        return "activation" if isinstance(module, nn.ReLU | nn.Tanh | nn.Sigmoid) else ""

    return kind
