"""Instance normalization."""

from __future__ import annotations

from torch import nn

from ics_bench.subjects.norm import Norm


def build(num_features: int) -> nn.Module:
    """Return instance norm for ``(N, C, *)`` with an affine map: group norm with one group a feature."""
    return nn.GroupNorm(num_features, num_features)


NORM = Norm(
    build,
    summary="per sample and feature over the positions",
    source="Ulyanov et al. 2016, arXiv:1607.08022",
    needs_spatial=True,
)
