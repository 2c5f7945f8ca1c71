"""Standard normal inputs and real targets from a fixed random linear map: regression without noise."""

from __future__ import annotations

import functools

import torch

from ics_bench.core import derive_seed
from ics_bench.subjects.dataset import Dataset

SAMPLES, FEATURES = 1000, 10
"""Sizes of the linear nets of Santurkar et al. 2018, appendix A, as used here: width 10, full batch."""


@functools.cache
def load(seed: int = 0, samples: int = SAMPLES, features: int = FEATURES) -> Dataset:
    """Draw ``samples`` training and a quarter as many test rows of ``features`` N(0, 1) values.

    Targets are ``(N, features)`` in float32: a matrix of N(0, 1/features) entries times the input, so
    that they have about the inputs' scale. ``num_classes`` is their number.
    """
    generator = torch.Generator().manual_seed(derive_seed("linear_teacher", seed))
    total = samples + samples // 4
    x = torch.randn(total, features, generator=generator)
    y = x @ torch.randn(features, features, generator=generator) / features**0.5
    return Dataset(x[:samples], y[:samples], x[samples:], y[samples:], features)
