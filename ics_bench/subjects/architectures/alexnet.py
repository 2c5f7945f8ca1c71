"""AlexNet, scaled down to 8×8 images (Krizhevsky et al. 2012)."""

from __future__ import annotations

import torch
from torch import nn

from ics_bench.subjects.convolution import ConvUnit, Images, initialize_all
from ics_bench.subjects.initializers import Initializer
from ics_bench.subjects.mlp import ACTIVATIONS, NormPosition
from ics_bench.subjects.norm import NormLayer

DEPTH = 8
"""Five convolutions and three dense layers."""

WIDTHS = (96, 256, 384, 384, 256)
"""Channels of the paper's convolutions; here they shrink by the factor by which the first is narrowed."""

KERNELS = (5, 5, 3, 3, 3)
"""The paper's, but for the first: 11×11 with stride 4 would see nothing but the whole of 8×8 pixels."""

POOLED = (1, 2, 5)
"""Convolutions that end in overlapping max pooling, 3×3 at stride 2: 8×8 pixels become 4×4, 2×2, 1×1."""

RESPONSE_NORMALIZED = (1, 2)
"""Convolutions whose activations compete across channels."""

DENSE_WIDTH = 8
"""Features of the two hidden dense layers in units of the first convolution's channels; 43 in the paper."""

DROPOUT = 0.5


def local_response_norm() -> nn.Module:
    """Divide by (2 + 1e-4 Σ a²)^0.75 over five neighbouring channels (section 3.3); torch divides its α by five."""
    return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)


def build(
    in_features: int,
    num_classes: int,
    depth: int,
    width: int,
    norm_layer: NormLayer,
    initialize: Initializer,
    generator: torch.Generator,
    activation: str = "relu",
    norm_position: NormPosition = "before",
    response_norm: bool = True,
    dropout: float = DROPOUT,
) -> nn.Sequential:
    """Return AlexNet with ``width`` channels in its first convolution.

    Parameters
    ----------
    in_features, num_classes : int
        Flat square images.
    depth : int
        8; AlexNet has no other.
    width : int
    norm_layer, norm_position
        A norm after every convolution, beside the response normalization; ``none`` is the paper's net.
    initialize, generator
    activation : {"relu", "tanh", "sigmoid", "identity"}
        The paper compares ReLU with tanh in its section 3.1.
    response_norm : bool
        Whether the first two convolutions are followed by local response normalization.
    dropout : float
        Share of the hidden dense features that training drops (section 4.2); 0 builds no dropout layer.

    Raises
    ------
    ValueError
        For another depth, or images that are not square.
    """
    if depth != DEPTH:
        raise ValueError(f"depth={depth}: AlexNet has depth {DEPTH}, five convolutions and three dense layers")
    images = Images(in_features)
    net = nn.Sequential(images)
    channels, side = 1, images.side
    for number, (full_width, kernel) in enumerate(zip(WIDTHS, KERNELS, strict=True), start=1):
        fan_out = round(width * full_width / WIDTHS[0])
        net.append(ConvUnit(channels, fan_out, norm_layer, activation, norm_position, kernel=kernel))
        if response_norm and number in RESPONSE_NORMALIZED:
            net.append(local_response_norm())
        if number in POOLED:
            net.append(nn.MaxPool2d(3, stride=2, padding=1))
            side = (side + 1) // 2
        channels = fan_out
    net.append(nn.Flatten())
    hidden = DENSE_WIDTH * width
    for fan_in in (channels * side**2, hidden):
        net.extend([nn.Linear(fan_in, hidden), ACTIVATIONS[activation]()])
        if dropout:
            net.append(nn.Dropout(dropout))
    net.append(nn.Linear(hidden, num_classes))
    initialize_all(net, initialize, generator)
    return net
