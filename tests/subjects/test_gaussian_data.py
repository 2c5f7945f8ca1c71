"""Gaussian data: reproducible, standard normal, labelled by something that can be learned."""

import pytest
import torch

from ics_bench.subjects.data.gaussian import NUM_CLASSES, load


def test_equal_seeds_give_equal_data_and_leave_the_random_state():
    state = torch.get_rng_state()
    first, again, other = load(3), load(3), load(4)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.x, again.x)
    assert torch.equal(first.y_test, again.y_test)
    assert not torch.equal(first.x, other.x)


def test_form_and_moments():
    data = load(0, samples=4000, features=20)
    assert data.x.shape == (4000, 20)
    assert data.x_test.shape == (1000, 20)
    assert float(data.x.mean()) == pytest.approx(0.0, abs=5 / 80_000**0.5)
    assert float(data.x.std()) == pytest.approx(1.0, abs=5 / 160_000**0.5)
    assert set(data.y.tolist()) == set(range(NUM_CLASSES))
    assert data.num_classes == NUM_CLASSES


def test_a_linear_model_learns_the_labels():
    data = load(0, samples=4000, features=20)
    targets = torch.nn.functional.one_hot(data.y, NUM_CLASSES).float()
    fitted = torch.linalg.lstsq(data.x, targets).solution
    accuracy = float(((data.x_test @ fitted).argmax(1) == data.y_test).float().mean())
    assert accuracy > 5 / NUM_CLASSES
