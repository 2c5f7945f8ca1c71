"""Batch normalization whose output is scaled and shifted at random, anew at every step."""

from __future__ import annotations

from typing import Any

from torch import nn

from ics_bench.subjects.norm import Norm
from ics_bench.subjects.norms.batch import build as batch_norm
from ics_bench.subjects.norms.noise import ShiftingNoise


def build(num_features: int, **options: Any) -> nn.Module:
    """Return a batch norm followed by `ShiftingNoise`; ``options`` are the batch norm's."""
    return nn.Sequential(batch_norm(num_features, **options), ShiftingNoise())


NORM = Norm(
    build,
    summary="batch norm, then a random scale and shift that change from step to step; none in evaluation",
    source="Santurkar et al. 2018, arXiv:1805.11604, section 2.1 and appendix A",
    uses_batch=True,
)
