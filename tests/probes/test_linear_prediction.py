"""The largest step that the gradient predicts, against closed forms."""

import math

import pytest
import torch

from ics_bench.probes.linear_prediction import linear_step

POINT = (torch.tensor([2.0], dtype=torch.float64),)


@pytest.mark.parametrize("guess", [1e-3, 0.05, 0.3, 40.0])
@pytest.mark.parametrize("curvature", [0.5, 4.0, 30.0])
def test_a_quadratic_is_predicted_up_to_two_thirds_of_its_inverse_curvature(curvature, guess):
    """|−a‖g‖² − ΔL| = a²λ‖g‖²/2 ≤ ½·a‖g‖²(1 − aλ/2) holds up to aλ/2 = 1/3."""
    found = linear_step(lambda theta: 0.5 * curvature * (theta[0] ** 2).sum(), POINT, guess)
    assert found.step == pytest.approx(2 / (3 * curvature), rel=0.025)
    assert found.step <= 2 / (3 * curvature)
    assert found.predicted_decrease == pytest.approx(found.step * (2 * curvature) ** 2)


def test_the_tolerance_moves_the_limit():
    """At tolerance t the limit is 2t/(λ(1 + t))."""
    found = linear_step(lambda theta: 0.5 * (theta[0] ** 2).sum(), POINT, 1.0, tolerance=0.1)
    assert found.step == pytest.approx(0.2 / 1.1, rel=0.025)


def test_curvature_is_that_along_the_gradient():
    """λ = gᵀHg/gᵀg."""
    curvatures = torch.tensor([1.0, 9.0]).double()
    theta = torch.tensor([3.0, 1.0]).double()
    g = curvatures * theta
    expected = 2 / 3 * float(g @ g / (g @ (curvatures * g)))
    found = linear_step(lambda p: 0.5 * (curvatures * p[0] ** 2).sum(), (theta,), 0.1)
    assert found.step == pytest.approx(expected, rel=0.025)


def test_a_concave_loss_falls_faster_than_predicted():
    """Curvature −λ: aλ/2 ≤ ½(1 + aλ/2) up to a = 2/λ."""
    found = linear_step(lambda theta: -0.5 * 3.0 * (theta[0] ** 2).sum(), POINT, 0.01)
    assert found.step == pytest.approx(2 / 3, rel=0.025)


def test_rescaling_what_does_not_matter_changes_the_step_and_not_the_decrease():
    """L(cθ) has steps c⁻² as large; the predicted decrease is the same."""
    one = linear_step(lambda theta: (theta[0] ** 2).sum() + theta[0].sum().sin(), POINT, 0.1)
    scaled = linear_step(lambda theta: ((theta[0] / 5) ** 2).sum() + (theta[0] / 5).sum().sin(), (5 * POINT[0],), 0.1)
    assert scaled.step == pytest.approx(25 * one.step, rel=0.03)
    assert scaled.predicted_decrease == pytest.approx(one.predicted_decrease, rel=0.03)


def test_a_linear_loss_is_always_predicted():
    assert linear_step(lambda theta: theta[0].sum(), POINT, 0.1).step == math.inf


def test_a_loss_that_jumps_at_once_is_never_predicted():
    """The gradient says 1, but the loss rises wherever one goes: no step at all."""

    def jumping(theta):
        return theta[0].sum() + torch.where(theta[0] == POINT[0], 0.0, 100.0).sum()

    assert linear_step(jumping, POINT, 0.1).step == 0.0


def test_nothing_is_predicted_without_a_gradient_or_a_finite_loss():
    assert math.isnan(linear_step(lambda theta: (0 * theta[0]).sum(), POINT, 0.1).step)
    assert math.isnan(linear_step(lambda theta: (1000 * theta[0]).exp().sum(), POINT, 0.1).step)


@pytest.mark.parametrize(("guess", "tolerance"), [(0.0, 0.5), (1.0, 0.0), (1.0, 1.0)])
def test_bad_arguments_are_refused(guess, tolerance):
    with pytest.raises(ValueError, match="expected"):
        linear_step(lambda theta: theta[0].sum(), POINT, guess, tolerance)
