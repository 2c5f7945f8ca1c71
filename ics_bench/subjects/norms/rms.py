"""Root-mean-square normalization."""

from __future__ import annotations

from torch import nn

from ics_bench.subjects.norm import Norm


def build(num_features: int) -> nn.Module:
    """Return torch's RMS norm over the last dimension, with its eps (the dtype's machine epsilon)."""
    return nn.RMSNorm(num_features)


NORM = Norm(
    build,
    summary="per sample, divided by the root mean square; no centring",
    source="Zhang & Sennrich 2019, arXiv:1910.07467",
)
