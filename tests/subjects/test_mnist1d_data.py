"""MNIST-1D is generated here, the same every time, and without a trace in the global random states."""

import builtins
import random

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from ics_bench.core import UsageError
from ics_bench.subjects.data import mnist1d

pytest.importorskip("mnist1d")


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a download was tried")

    monkeypatch.setattr("requests.get", refuse)


def test_samples_are_as_the_paper_describes():
    data = mnist1d.load()
    assert (data.x.shape, data.x_test.shape, data.num_classes) == ((4000, 40), (1000, 40), 10)
    together = torch.cat([data.x, data.x_test]).double()
    assert abs(together.mean().item()) < 1e-6
    assert abs(together.std().item() - 1) < 1e-3
    assert torch.cat([data.y, data.y_test]).bincount().tolist() == [500] * 10
    assert (data.x.dtype, data.y.dtype) == (torch.float32, torch.int64)


def test_a_linear_model_gets_a_third_right():
    """The paper's table gives logistic regression 32 %; a bug that shuffled labels would give 10 %."""
    data = mnist1d.load()
    model = LogisticRegression(max_iter=60, tol=1e-2).fit(data.x.numpy(), data.y.numpy())
    assert 0.27 < model.score(data.x_test.numpy(), data.y_test.numpy()) < 0.37


def test_generating_again_gives_the_same_and_leaves_random_states_alone():
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    again = mnist1d.load.__wrapped__()
    assert torch.equal(again.x, mnist1d.load().x)
    assert states == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())


def test_other_seeds_draw_other_samples():
    assert not torch.equal(mnist1d.load(3).x, mnist1d.load().x)


def test_without_the_package_the_remedy_is_named(monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name.split(".")[0] == "mnist1d":
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UsageError, match=r"pip install 'ics-bench\[data\]'"):
        mnist1d.load.__wrapped__()
