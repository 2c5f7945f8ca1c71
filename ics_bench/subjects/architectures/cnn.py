"""A small convolutional net: 3×3 convolutions, one halving, mean over the positions, one dense layer."""

from __future__ import annotations

import torch
from torch import nn

from ics_bench.subjects.convolution import ConvUnit, Images, initialize_all
from ics_bench.subjects.initializers import Initializer
from ics_bench.subjects.mlp import NormPosition
from ics_bench.subjects.norm import NormLayer


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
) -> nn.Sequential:
    """Return a net of ``depth`` weight layers: depth − 1 convolutions of ``width`` channels, then the head.

    The second half of the convolutions has twice the channels and half the side.

    Raises
    ------
    ValueError
        For a depth below 2, or images that are not square.
    """
    if depth < 2:
        raise ValueError(f"depth={depth}: a convolutional net needs at least 2")
    net = nn.Sequential(Images(in_features))
    channels = 1
    wide_from = (depth - 1 + 1) // 2
    for place in range(depth - 1):
        wide = place >= wide_from
        fan_out = 2 * width if wide else width
        stride = 2 if place == wide_from else 1
        net.append(ConvUnit(channels, fan_out, norm_layer, activation, norm_position, stride=stride))
        channels = fan_out
    net.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes)])
    initialize_all(net, initialize, generator)
    return net
