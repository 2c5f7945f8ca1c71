"""A transformer that normalizes inside every residual branch, before attention and feed-forward."""

from __future__ import annotations

import torch

from ics_bench.subjects.initializers import Initializer
from ics_bench.subjects.norm import NormLayer
from ics_bench.subjects.transformer import Transformer


def build(
    in_features: int,
    num_classes: int,
    depth: int,
    width: int,
    norm_layer: NormLayer,
    initialize: Initializer,
    generator: torch.Generator,
) -> Transformer:
    """Return `Transformer` with branches x + f(N(x)); it has no side of an activation for a norm to stand on."""
    return Transformer(in_features, num_classes, depth, width, norm_layer, "pre", initialize, generator)
