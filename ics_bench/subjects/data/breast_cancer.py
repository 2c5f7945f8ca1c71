"""Scikit-learn's breast cancer data: 569 real tumours, 30 features of very different scale, 2 classes."""

from __future__ import annotations

import functools

import numpy as np
import torch

from ics_bench.subjects.dataset import Dataset
from ics_bench.subjects.tables import real_table

TEST_SIZE = 114
SPLIT_SEED = 0


@functools.cache
def load(seed: int = SPLIT_SEED) -> Dataset:
    """Return 455 training and 114 test rows of 30 features, each standardised by the training part.

    Each feature has a mean and a scale of its own, unlike the pixels of digits: raw ones run from
    thousandths (fractal dimension) to thousands (area), none is constant, and their units are
    arbitrary. ``seed`` picks the split.
    """
    features, labels = real_table("breast_cancer")
    order = np.random.default_rng(seed).permutation(len(features))
    test, train = order[:TEST_SIZE], order[TEST_SIZE:]
    mean, std = features[train].mean(axis=0), features[train].std(axis=0)
    x, y = torch.from_numpy(((features - mean) / std).astype(np.float32)), torch.from_numpy(labels)
    return Dataset(x[train], y[train], x[test], y[test], num_classes=2)
