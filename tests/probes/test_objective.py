"""A loss surface is a pure function of the parameters, whatever the net keeps or draws."""

import pytest
import torch
from torch import nn

from ics_bench.probes.objective import flat, loss_and_gradient, surface, unflat


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))


X, Y = torch.randn(16, 5, generator=torch.Generator().manual_seed(1)), torch.arange(16) % 3


def test_gradient_is_that_of_an_ordinary_backward_pass():
    model = net()
    state = torch.get_rng_state()
    loss, gradient = loss_and_gradient(s := surface(model, X, Y), s.at)
    torch.set_rng_state(state)  # the same dropout
    expected = nn.functional.cross_entropy(model(X), Y)
    expected.backward()
    assert loss == expected.item()
    assert all(torch.allclose(g, p.grad) for g, p in zip(gradient, model.parameters(), strict=True))


def test_every_evaluation_draws_the_same_dropout_and_starts_from_the_same_buffers():
    model = net()
    s = surface(model, X, Y)
    first = s(s.at)
    torch.randn(7)
    model[1].running_mean += 3
    assert torch.equal(s(s.at), first)
    model.eval()  # its mode is the one it had when the surface was made
    assert torch.equal(s(s.at), first)


class Counting(nn.Module):
    """Multiplies by the number of its calls, which it keeps in a buffer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return x * self.calls


def test_state_that_the_outputs_depend_on_starts_anew_every_time():
    model = nn.Sequential(nn.Linear(5, 3), Counting())
    s = surface(model, X, Y)
    assert torch.equal(s.outputs(s.at), s.outputs(s.at))
    assert torch.equal(s.outputs(s.at), model[0](X))


def test_evaluation_mode_uses_the_running_statistics_it_had():
    model = net().eval()
    s = surface(model, X, Y)
    assert s(s.at).item() == pytest.approx(nn.functional.cross_entropy(model(X), Y).item())


def test_frozen_parameters_are_no_part_of_the_surface_and_idle_ones_have_no_slope():
    model = net()
    model[0].weight.requires_grad_(False)
    model.register_parameter("idle", nn.Parameter(torch.ones(2)))
    s = surface(model, X, Y)
    assert "0.weight" not in s.names
    _, gradient = loss_and_gradient(s, s.at)
    assert torch.equal(gradient[s.names.index("idle")], torch.zeros(2))
    assert torch.is_grad_enabled()


class Tied(nn.Module):
    """Two layers of one weight, with a counter that both keep, and a norm of the weight by parametrization."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.head = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 3)
        self.second.weight = self.first.weight
        self.counters = nn.ModuleList([Counting(), Counting()])
        self.counters[1].calls = self.counters[0].calls
        nn.utils.parametrizations.weight_norm(self.head)

    def forward(self, x):
        return self.head(self.counters[1](self.second(torch.tanh(self.counters[0](self.first(x))))))


def test_tied_parameters_and_buffers_stay_tied_and_parametrized_ones_are_reached():
    model = Tied()
    expected = Tied()
    s = surface(model, X, Y)
    point = tuple(p + 0.1 for p in s.at)
    with torch.no_grad():
        for name, p in expected.named_parameters():
            p.copy_(point[s.names.index(name)])
        torch.testing.assert_close(s.outputs(point), expected(X))
    assert model.second.weight is model.first.weight
    assert model.counters[1].calls is model.counters[0].calls
    assert float(model.counters[0].calls) == 0


def test_a_model_that_raises_is_left_as_it_was():
    class Raising(nn.Sequential):
        def forward(self, x):
            self[1].running_mean = super().forward(x).mean() + self[1].running_mean
            self.eval()
            raise RuntimeError("midway")

    model = Raising(*net())
    parameters, buffers = list(model.parameters()), list(model.buffers())
    values, state = [b.clone() for b in buffers], torch.get_rng_state()
    s = surface(model, X, Y)
    with pytest.raises(RuntimeError, match="midway"):
        s(tuple(p + 1 for p in s.at))
    assert all(a is b for a, b in zip(model.parameters(), parameters, strict=True))
    assert all(a is b for a, b in zip(model.buffers(), buffers, strict=True))
    assert all(map(torch.equal, buffers, values))
    assert all(module.training for module in model.modules())
    assert torch.equal(torch.get_rng_state(), state)


def test_too_many_or_too_few_parameters_are_refused():
    s = surface(net(), X, Y)
    for wrong in (s.at[1:], (*s.at, s.at[0])):
        with pytest.raises(ValueError, match=f"{len(wrong)} parameters for a model of 6"):
            s(wrong)


def test_a_model_without_trainable_parameters_is_refused():
    with pytest.raises(ValueError, match="no trainable parameter"):
        surface(nn.ReLU(), X, Y)


def test_flat_and_unflat_are_inverse():
    parameters = (torch.randn(2, 3), torch.randn(4).double())
    back = unflat(flat(parameters), parameters)
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(parameters, back, strict=True))
