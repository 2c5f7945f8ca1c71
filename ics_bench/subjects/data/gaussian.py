"""Standard normal inputs with labels from a fixed random linear teacher."""

from __future__ import annotations

import torch

from ics_bench.core import derive_seed
from ics_bench.subjects.dataset import Dataset

NUM_CLASSES = 10


def load(seed: int = 0, samples: int = 1024, features: int = 64) -> Dataset:
    """Draw ``samples`` training and a quarter as many test rows of ``features`` N(0, 1) values."""
    generator = torch.Generator().manual_seed(derive_seed("gaussian", seed))
    total = samples + samples // 4
    x = torch.randn(total, features, generator=generator)
    teacher = torch.randn(features, NUM_CLASSES, generator=generator)
    y = (x @ teacher).argmax(dim=1)
    return Dataset(x[:samples], y[:samples], x[samples:], y[samples:], NUM_CLASSES)
