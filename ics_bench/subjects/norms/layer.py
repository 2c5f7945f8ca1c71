"""Layer normalization over the features of a sample."""

from __future__ import annotations

from torch import nn

from ics_bench.subjects.norm import Norm


def build(num_features: int) -> nn.Module:
    """Return torch's layer norm over the last dimension, of size ``num_features``."""
    return nn.LayerNorm(num_features)


NORM = Norm(build, summary="per sample over the features", source="Ba et al. 2016, arXiv:1607.06450")
