"""A random scale and shift of every unit, whose distribution changes from step to step, and no normalization."""

from __future__ import annotations

import torch
from torch import nn

from ics_bench.subjects.norm import Norm

SHIFT = 0.5
"""μ of a step and unit is uniform within ±SHIFT."""

SCALE = 1.25
"""σ of a step and unit is uniform between 1 and SCALE."""

SPREAD = 0.1
"""How far samples of one step differ: half the width of their shifts, standard deviation of their scales."""


class ShiftingNoise(nn.Module):
    """a ← s·a + m with m and s drawn for each sample from distributions drawn for each step and unit.

    At every forward in training, each unit draws μ ~ U(−½, ½) and σ ~ U(1, 1.25), and each sample
    m ~ U(μ − 0.1, μ + 0.1) and s ~ N(σ, 0.1²). In evaluation nothing is done. The draws come from
    torch's global random state.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(N, C, *)`` to the same shape; positions of one sample share their draw."""
        if not self.training:
            return x
        unit, sample = (1, x.shape[1]), (x.shape[0], x.shape[1])
        centre = x.new_empty(unit).uniform_(-SHIFT, SHIFT)
        size = x.new_empty(unit).uniform_(1.0, SCALE)
        shift = centre + x.new_empty(sample).uniform_(-SPREAD, SPREAD)
        scale = size + SPREAD * torch.randn(sample, dtype=x.dtype, device=x.device)
        positions = (...,) + (None,) * (x.dim() - 2)
        return scale[positions] * x + shift[positions]


def build(num_features: int) -> nn.Module:
    """Return `ShiftingNoise`, which needs no number of features."""
    del num_features
    return ShiftingNoise()


NORM = Norm(
    build,
    summary="a random scale and shift that change from step to step, without a norm: a control",
    source="Santurkar et al. 2018, arXiv:1805.11604, section 2.1 and appendix A",
)
