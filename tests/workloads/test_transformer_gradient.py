"""Gradients at initialization: the exponent, a closed form, the negative control, reproducibility."""

import math

import pytest
import torch

from ics_bench.core import Case
from ics_bench.workloads.transformer_gradient import WORKLOAD, slope


def case(**changes):
    return Case.of({**WORKLOAD.cases("quick")[0], "batch_size": 32, **changes})


def measure(seeds=(1000,), **changes):
    return list(WORKLOAD.measure(case(**changes), seeds, "cpu"))


def value(measurements, metric):
    return next(m.value for m in measurements if m.metric == metric)


@pytest.mark.parametrize("exponent", [-0.5, 0.0, 0.3])
def test_slope_of_a_power_law(exponent):
    depths = [6.0, 12.0, 24.0, 48.0]
    assert slope(depths, [3.0 * depth**exponent for depth in depths]) == pytest.approx(exponent, abs=1e-12)


def test_curves_hold_four_depths_and_every_block():
    measurements = measure()
    assert {m.metric for m in measurements} == {metric.name for metric in WORKLOAD.metrics}
    exponent, last, spread = measurements
    assert exponent.curve.x == (2.0, 4.0, 8.0, 16.0)
    assert exponent.value == pytest.approx(slope(exponent.curve.x, exponent.curve.y))
    assert spread.curve.x == tuple(range(1, 17))
    assert last.value == exponent.curve.y[-1] == spread.curve.y[-1]
    assert spread.value == max(spread.curve.y) / min(spread.curve.y)


def test_the_last_gradient_by_finite_differences():
    """‖∂L/∂W‖ of the last matrix, from the loss along the gradient's own direction, in the net of two blocks."""
    from torch.nn.functional import cross_entropy

    from ics_bench.subjects.transformer import FeedForward, depth_of
    from ics_bench.workloads._problem import load_data, problem_of

    pinned = case(architecture="transformer_post")
    norm = measure(architecture="transformer_post")[0].curve.y[0]
    model = problem_of(WORKLOAD, pinned, "cpu", depth=depth_of(2)).build(1000).double()
    data = load_data(pinned)
    batch = WORKLOAD._batch(pinned, 1000, len(data.x))
    weight = [part for part in model.modules() if isinstance(part, FeedForward)][-1].outer.weight

    def loss():
        return cross_entropy(model(data.x[batch]).flatten(0, 1), data.y[batch].flatten())

    loss().backward()
    direction = weight.grad / weight.grad.norm()
    h = 1e-4
    with torch.no_grad():
        weight.add_(h * direction)
        above = float(loss())
        weight.sub_(2 * h * direction)
        below = float(loss())
    assert norm == pytest.approx((above - below) / (2 * h), rel=1e-6)


def test_without_a_norm_its_place_makes_no_difference():
    pre, post = (measure(architecture=f"transformer_{name}", norm="none") for name in ("pre", "post"))
    assert [m.value for m in pre] == [m.value for m in post]
    assert value(measure(architecture="transformer_post"), "last_gradient_norm") != value(pre, "last_gradient_norm")


def test_pre_norm_gradients_shrink_with_depth_and_post_norm_gradients_do_not():
    pre, post = (
        [value(measure((seed,), architecture=f"transformer_{name}"), "gradient_exponent") for seed in range(1000, 1004)]
        for name in ("pre", "post")
    )
    assert math.fsum(pre) / 4 < -0.2
    assert math.fsum(post) / 4 > -0.2


def test_same_bits_again_and_torchs_random_state_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert measure() == measure()
    assert torch.equal(torch.get_rng_state(), before)
    assert measure((1001,))[0].value != measure()[0].value


def test_depths_that_cannot_be_halved_are_skipped():
    assert "halved" in WORKLOAD.skip(case(blocks=12), "cpu")
    assert WORKLOAD.skip(case(blocks=24), "cpu") is None
