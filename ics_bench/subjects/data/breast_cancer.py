"""Scikit-learn's breast cancer data: 569 real tumours, 30 features of very different scale, 2 classes."""

from __future__ import annotations

import functools

import numpy as np
import torch

from ics_bench.subjects.dataset import Dataset

TEST_SIZE = 114
SPLIT_SEED = 0


@functools.cache
def load(seed: int = SPLIT_SEED) -> Dataset:
    """Return 455 training and 114 test rows of 30 features, each standardised by the training part.

    Each feature has a mean and a scale of its own, unlike the pixels of digits: raw ones run from
    thousandths (fractal dimension) to thousands (area), none is constant, and their units are
    arbitrary. ``seed`` picks the split.
    """
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    order = np.random.default_rng(seed).permutation(len(bunch.data))
    test, train = order[:TEST_SIZE], order[TEST_SIZE:]
    mean, std = bunch.data[train].mean(axis=0), bunch.data[train].std(axis=0)
    x = torch.from_numpy(((bunch.data - mean) / std).astype(np.float32))
    y = torch.from_numpy(bunch.target.astype(np.int64))
    return Dataset(x[train], y[train], x[test], y[test], num_classes=2)
