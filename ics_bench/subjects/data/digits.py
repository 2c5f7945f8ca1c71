"""scikit-learn's handwritten digits: 1797 images of 8×8 pixels in ten classes."""

from __future__ import annotations

import functools

import numpy as np
import torch

from ics_bench.subjects.dataset import Dataset
from ics_bench.subjects.tables import real_table

TEST_SIZE = 360
SPLIT_SEED = 0


@functools.cache
def load(seed: int = SPLIT_SEED) -> Dataset:
    """Return 1437 training and 360 test images as rows of 64, shifted and scaled by one mean and one std.

    One scalar for all pixels, since three pixels are constant and cannot be standardised alone.
    ``seed`` picks the split.
    """
    pixels, labels = real_table("digits")
    x, y = torch.from_numpy(pixels.astype(np.float32)), torch.from_numpy(labels)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(x)))
    test, train = order[:TEST_SIZE], order[TEST_SIZE:]
    mean, std = x[train].mean(), x[train].std()
    x = (x - mean) / std
    return Dataset(x[train], y[train], x[test], y[test], num_classes=10)
