"""Walks along the gradient against closed forms on quadratics."""

import math

import pytest
import torch
from torch import nn

from ics_bench.probes.landscape import FACTORS, landscape
from ics_bench.probes.objective import surface


def quadratic(*curvatures):
    """½ Σ λ_i θ_i², whose gradient is λ_i θ_i and whose Hessian is diag(λ)."""
    values = torch.tensor(curvatures, dtype=torch.float64)
    return lambda theta: 0.5 * (values * theta[0] ** 2).sum()


def at(*entries):
    return (torch.tensor(entries, dtype=torch.float64),)


STEPS = tuple(0.1 * factor for factor in FACTORS)


def test_a_quadratic_of_two_curvatures():
    """∇(θ − a·g) − g = −a·H·g, so the relative difference is a‖Hg‖/‖g‖ and β is ‖Hg‖/‖g‖ at every step."""
    seen = landscape(quadratic(3.0, 1.0), at(2.0, 5.0), STEPS)
    g, hg = torch.tensor([6.0, 5.0]).double(), torch.tensor([18.0, 5.0]).double()
    ratio = float(hg.norm() / g.norm())
    assert seen.loss == pytest.approx(0.5 * (3 * 4 + 25))
    assert seen.gradient_norm == pytest.approx(float(g.norm()))
    assert seen.beta == pytest.approx(ratio)
    assert seen.relative_gradient_difference == pytest.approx(0.4 * ratio)
    assert seen.gradient_difference == pytest.approx(0.4 * float(hg.norm()))
    there = g - 0.4 * hg
    assert seen.cosines[-1] == pytest.approx(float(there @ g / there.norm() / g.norm()))
    expected = [float(seen.loss - a * g @ g + a * a / 2 * g @ hg) for a in STEPS]
    assert seen.losses == pytest.approx(expected)
    assert seen.loss_range == pytest.approx(max(expected) - min(expected))


def test_beyond_the_minimum_the_gradient_turns_round():
    """Curvature 1: at a = 4 the point is −3θ, the gradient −3g."""
    seen = landscape(quadratic(1.0), at(1.0), FACTORS)
    assert seen.cosine == pytest.approx(-1.0)
    assert seen.relative_gradient_difference == pytest.approx(4.0)


def test_a_linear_loss_has_no_curvature_and_the_steepest_range():
    seen = landscape(lambda theta: 3.0 * theta[0].sum(), at(1.0), STEPS)
    assert (seen.beta, seen.gradient_difference, seen.cosine) == (0.0, 0.0, 1.0)
    assert seen.loss_range == pytest.approx(9.0 * (STEPS[-1] - STEPS[0]))


def test_beta_takes_the_worst_step_and_not_the_last():
    """A hinge between a/8 and a/4: the gradient jumps by 2 there and stays, so β falls with the step."""
    seen = landscape(lambda theta: (theta[0] - 0.98).abs().sum(), at(1.0), STEPS)
    assert seen.beta == pytest.approx(2 / 0.025)


def test_a_step_out_of_range_counts_as_infinite():
    seen = landscape(lambda theta: (theta[0] ** 4).sum().exp(), at(1.5), (1e-6, 10.0))
    assert seen.loss_range == math.inf
    assert seen.beta == math.inf
    assert seen.cosine == 0.0


def test_without_a_gradient_nothing_relative_is_known():
    seen = landscape(quadratic(1.0), at(0.0), STEPS)
    assert math.isnan(seen.beta)
    assert math.isnan(seen.relative_gradient_difference)
    assert seen.loss_range == 0.0


def test_every_step_starts_from_the_same_place():
    """A net with batch norm and dropout: order and number of the steps change nothing."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(), nn.Linear(6, 3)).double()
    s = surface(model, torch.randn(12, 4).double(), torch.arange(12) % 3)
    forward, backward = landscape(s, s.at, STEPS), landscape(s, s.at, STEPS[::-1])
    assert forward.losses == backward.losses[::-1]
    assert forward.differences == backward.differences[::-1]


@pytest.mark.parametrize("steps", [(), (0.1, 0.0), (-1.0,)])
def test_steps_must_be_positive(steps):
    with pytest.raises(ValueError, match="positive"):
        landscape(quadratic(1.0), at(1.0), steps)
