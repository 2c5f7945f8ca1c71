"""A probe may run a model in any way; afterwards nothing has changed."""

import pytest
import torch
from torch import nn

from ics_bench.probes.preserve import preserved


class Assigning(nn.Module):
    """Keeps statistics by assignment, as home-made norms do, the first of them created on use."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("count", None)

    def forward(self, x):
        self.mean = 0.9 * self.mean + 0.1 * x.mean(dim=0)
        self.count = torch.ones(1) if self.count is None else self.count + 1
        return x - self.mean


def test_buffers_written_in_place_come_back():
    model = nn.BatchNorm1d(3)
    model(torch.randn(5, 3))
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with preserved(model):
        model(torch.randn(5, 3) + 7)
        assert not torch.equal(model.running_mean, before["running_mean"])
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())


def test_buffers_that_were_replaced_come_back():
    model = Assigning()
    original = model.mean
    with preserved(model):
        model(torch.ones(2, 3))
    assert model.mean is original
    assert torch.equal(model.mean, torch.zeros(3))
    assert model.count is None


def test_modes_come_back_module_by_module():
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(3))
    model[0].eval()
    with preserved(model):
        model.eval()
        model[0].train()
    assert not model[0].training
    assert model[1].training
    assert model.training


def test_random_state_comes_back_even_after_an_error():
    def failing_probe():
        with preserved(nn.Identity()):
            torch.randn(3)
            raise RuntimeError("probe failed")

    state = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="probe failed"):
        failing_probe()
    assert torch.equal(torch.get_rng_state(), state)
