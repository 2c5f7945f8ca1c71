"""Breast cancer: a partition of scikit-learn's set, each feature standardised by the training part alone."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer

from ics_bench.subjects.data.breast_cancer import TEST_SIZE, load


@pytest.mark.parametrize("seed", [0, 1])
def test_training_and_test_parts_are_a_partition(seed):
    data, source = load(seed), load_breast_cancer()
    assert len(data.x_test) == TEST_SIZE
    assert len(data.x) == 569 - TEST_SIZE
    x, y = torch.cat([data.x, data.x_test]).double().numpy(), torch.cat([data.y, data.y_test]).numpy()
    # One feature's order, which no positive scale changes, finds every row again.
    mine, theirs = np.lexsort(x.T[::-1]), np.lexsort(source.data.T[::-1])
    assert np.array_equal(y[mine], source.target[theirs])
    slope, intercept = np.polyfit(x[mine][:, 3], source.data[theirs][:, 3], 1)
    assert np.allclose(slope * x[mine][:, 3] + intercept, source.data[theirs][:, 3], rtol=1e-4, atol=1e-2)


def test_every_feature_of_the_training_part_is_standardised():
    data = load()
    assert torch.allclose(data.x.mean(0), torch.zeros(30), atol=1e-4)
    assert torch.allclose(data.x.std(0, correction=0), torch.ones(30), atol=1e-4)
    assert float(data.x_test.mean(0).abs().max()) > 0.01, "the test part must not set the scale"


def test_form():
    data = load()
    assert data.x.dtype == data.x_test.dtype == torch.float32
    assert data.y.dtype == torch.int64
    assert data.num_classes == 2
    assert set(data.y.tolist()) == set(data.y_test.tolist()) == {0, 1}


def test_seed_picks_the_split():
    load.cache_clear()
    first = load(0).x_test
    load.cache_clear()
    assert torch.equal(load(0).x_test, first)
    assert not torch.equal(load(1).x_test, first)
