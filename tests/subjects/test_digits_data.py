"""Digits: a partition of scikit-learn's set, shifted and scaled by the training part alone."""

import pytest
import torch
from sklearn.datasets import load_digits

from ics_bench.subjects.data.digits import TEST_SIZE, load


def raw_rows(data):
    """Undo the one shift and the one scale: the pixels run from 0 to 16."""
    x = torch.cat([data.x, data.x_test])
    pixels = (x - x.min()) / (x.max() - x.min()) * 16
    assert torch.allclose(pixels, pixels.round(), atol=1e-3)
    labels = torch.cat([data.y, data.y_test])
    return sorted(zip(map(tuple, pixels.round().int().tolist()), labels.tolist(), strict=True))


@pytest.mark.parametrize("seed", [0, 1])
def test_training_and_test_parts_are_a_partition(seed):
    data, source = load(seed), load_digits()
    assert len(data.x_test) == TEST_SIZE
    expected = sorted(zip(map(tuple, source.data.astype(int).tolist()), source.target.tolist(), strict=True))
    assert raw_rows(data) == expected


def test_training_part_is_standardised():
    data = load()
    assert float(data.x.mean()) == pytest.approx(0.0, abs=1e-5)
    assert float(data.x.std()) == pytest.approx(1.0, abs=1e-5)
    assert float(data.x_test.mean()) != pytest.approx(0.0, abs=1e-5), "the test part must not set the scale"


def test_form():
    data = load()
    assert data.x.dtype == data.x_test.dtype == torch.float32
    assert data.y.dtype == torch.int64
    assert data.x.shape == (1797 - TEST_SIZE, 64)
    assert data.num_classes == 10
    assert set(data.y.tolist()) == set(data.y_test.tolist()) == set(range(10))


def test_seed_picks_the_split():
    load.cache_clear()
    first = load(0).x_test
    load.cache_clear()
    assert torch.equal(load(0).x_test, first)
    assert not torch.equal(load(1).x_test, first)
