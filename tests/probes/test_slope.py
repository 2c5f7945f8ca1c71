"""Slopes found by walking, against closed forms and Euler's theorem."""

import math

import pytest
import torch
from torch import nn

from ics_bench.probes.objective import loss_and_gradient, surface
from ics_bench.probes.slope import slope_share

X = torch.randn(32, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.arange(32) % 4


def hidden_weights(s):
    """The direction of all weights but the last matrix, gains and biases."""
    keep = [p.dim() == 2 and place < len(s.at) - 2 for place, p in enumerate(s.at)]
    return tuple(p if kept else torch.zeros_like(p) for p, kept in zip(s.at, keep, strict=True))


def net(norm):
    torch.manual_seed(1)
    layers = [nn.Linear(6, 12, bias=False), norm(), nn.ReLU(), nn.Linear(12, 12, bias=False), norm(), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(12, 4)).double()


def test_share_is_the_cosine_with_the_gradient():
    g, d = torch.tensor([3.0, 4.0]).double(), torch.tensor([1.0, 0.0]).double()
    found = slope_share(lambda theta: (g * theta[0]).sum(), (torch.ones(2).double(),), (d,))
    assert found == pytest.approx(0.6)


def test_the_gradient_itself_has_the_whole_slope():
    s = surface(net(nn.Identity), X, Y)
    _, gradient = loss_and_gradient(s, s.at)
    assert slope_share(s, s.at, gradient) == pytest.approx(1.0, abs=1e-4)
    assert slope_share(s, s.at, tuple(-7 * g for g in gradient)) == pytest.approx(1.0, abs=1e-4)


def test_a_scale_invariant_net_is_flat_along_its_weights():
    """Euler: f(cw) = f(w) for all c means ⟨∇f, w⟩ = 0; batch norm's ε alone breaks the invariance."""
    shares = []
    for eps in (1e-3, 1e-12):
        s = surface(net(lambda eps=eps: nn.BatchNorm1d(12, eps=eps)), X, Y)
        shares.append(slope_share(s, s.at, hidden_weights(s)))
    assert shares[1] < 1e-9 < shares[0] < 1e-2


def test_a_net_without_norm_is_not():
    """Homogeneous of degree one in each of two weights: the slope is 2·⟨∂L/∂logits, logits − bias⟩."""
    model = net(nn.Identity)
    nn.init.zeros_(model[-1].bias)
    s = surface(model, X, Y)
    logits = model(X).detach().requires_grad_(True)
    (g,) = torch.autograd.grad(nn.functional.cross_entropy(logits, Y), logits)
    direction = hidden_weights(s)
    length = sum(float(d.square().sum()) for d in direction) ** 0.5
    _, gradient = loss_and_gradient(s, s.at)
    steepest = sum(float(d.square().sum()) for d in gradient) ** 0.5
    expected = abs(2 * float((g * logits.detach()).sum())) / length / steepest
    assert expected > 0.01
    assert slope_share(s, s.at, direction) == pytest.approx(expected, rel=1e-3)


def test_in_evaluation_mode_the_running_statistics_take_the_invariance_away():
    s = surface(net(lambda: nn.BatchNorm1d(12)).eval(), X, Y)
    assert slope_share(s, s.at, hidden_weights(s)) > 1e-3


def test_no_direction_and_no_gradient_have_no_share():
    point = (torch.ones(2).double(),)
    assert math.isnan(slope_share(lambda theta: theta[0].sum(), point, (torch.zeros(2).double(),)))
    assert math.isnan(slope_share(lambda theta: 0 * theta[0].sum(), point, point))
