"""Parts that the convolutional models share."""

from __future__ import annotations

import math

import torch
from torch import nn

from ics_bench.subjects.initializers import Initializer
from ics_bench.subjects.mlp import ACTIVATIONS, NormPosition
from ics_bench.subjects.norm import NormLayer


class Images(nn.Module):
    """Flat samples as images of one channel."""

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.side = math.isqrt(in_features)
        if self.side**2 != in_features:
            raise ValueError(f"in_features={in_features}: a convolutional model takes flat square images, such as 64")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(N, side²)`` to ``(N, 1, side, side)``."""
        return x.reshape(*x.shape[:-1], 1, self.side, self.side)


class ChannelsLast(nn.Module):
    """A norm over the last dimension, applied to the channels of every position."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(N, C, H, W)`` to the same shape."""
        y: torch.Tensor = self.norm(x.movedim(-3, -1))
        return y.movedim(-1, -3)


def channel_norm(norm_layer: NormLayer, channels: int) -> nn.Module:
    """Build a norm for ``(N, C, H, W)``; torch's layer and RMS norm take the last dimension for the features.

    Without this, a layer norm of eight channels would normalize the eight columns of an image.
    """
    norm = norm_layer(channels)
    return ChannelsLast(norm) if isinstance(norm, nn.LayerNorm | nn.RMSNorm) else norm


class ConvUnit(nn.Module):
    """Convolution → norm → activation (``before``) or convolution → activation → norm (``after``)."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        norm_layer: NormLayer,
        activation: str = "relu",
        norm_position: NormPosition = "before",
        kernel: int = 3,
        stride: int = 1,
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels_in, channels_out, kernel, stride, padding=kernel // 2)
        self.norm = channel_norm(norm_layer, channels_out)
        self.activation = ACTIVATIONS[activation]()
        self.norm_first = norm_position == "before"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(N, C_in, H, W)`` to ``(N, C_out, H / stride, W / stride)``."""
        z = self.convolution(x)
        y: torch.Tensor = self.activation(self.norm(z)) if self.norm_first else self.norm(self.activation(z))
        return y


def initialize_all(model: nn.Module, initialize: Initializer, generator: torch.Generator) -> None:
    """Fill every convolution and linear layer, in order, from one generator: a norm changes none of the draws."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            initialize(module, generator)
