"""covariate_shift: the page's figures, densities and weights in closed form, and remedies that must change nothing."""

import math
import statistics

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import nn

from ics_bench.core import UsageError
from ics_bench.workloads import _covariate_digits as digits
from ics_bench.workloads import _covariate_regression as regression
from ics_bench.workloads.covariate_shift import WORKLOAD

SEEDS = range(1000, 1005)


def measured(seeds=SEEDS, **pins):
    (case,) = WORKLOAD.cases("full", {key: [value] for key, value in pins.items()})
    return list(WORKLOAD.measure(case, seeds, "cpu"))


def values(measurements, metric):
    return [m.value for m in measurements if m.metric == metric]


def errors(model="line", shift="page", remedy="none"):
    return values(measured(data="beta", model=model, shift=shift, remedy=remedy), "test_error")


# Distributions


@pytest.mark.parametrize(
    ("shift", "mean", "variance"), [("none", 5, 4), ("page", 14, 9), ("recoded", 14, 9), ("inside", 7, 1.44)]
)
def test_figures_are_the_pages(shift, mean, variance):
    inputs = regression.IN_USE[shift]
    assert (inputs.mean, inputs.variance) == pytest.approx((mean, variance), rel=1e-12)
    found = measured(data="beta", model="line", shift=shift, remedy="none")
    assert statistics.fmean(values(found, "test_input_mean")) == pytest.approx(mean, rel=0.01)
    assert statistics.fmean(values(found, "test_input_variance")) == pytest.approx(variance, rel=0.04)


@pytest.mark.parametrize("shift", list(regression.IN_USE))
def test_density_is_that_of_a_scaled_beta(shift):
    inputs = regression.IN_USE[shift]
    law = stats.beta(inputs.shape, inputs.shape, inputs.low, inputs.width)
    x = np.linspace(-1, 23, 97)
    assert np.allclose(inputs.density(x), law.pdf(x), rtol=1e-10)
    share = law.cdf(10) - law.cdf(0)
    assert inputs.share_within(regression.HOME) == pytest.approx(share, rel=1e-10)


def test_weights_turn_averages_at_home_into_averages_in_use():
    used, home = regression.IN_USE["inside"], regression.HOME

    def integrand(x):
        point = np.array([x])
        return float((home.density(point) * (used.density(point) / home.density(point)) * point**2)[0])

    second_moment, _ = integrate.quad(integrand, 4, 10)
    assert second_moment == pytest.approx(used.mean**2 + used.variance, rel=1e-6)
    (share,) = set(values(measured((1000,), data="beta", model="line", shift="inside", remedy="none"), "support_share"))
    assert share == 1.0


def test_kl_of_gaussians_with_the_pages_moments():
    expected = 0.5 * (9 / 4 - 1 - math.log(9 / 4) + (14 - 5) ** 2 / 4)
    found = measured((1000,), data="beta", model="line", shift="page", remedy="none")
    assert values(found, "input_kl") == [pytest.approx(expected)]
    assert regression.gaussian_kl(regression.HOME, regression.HOME) == 0


# Fits


def test_a_weight_counts_as_that_many_samples():
    x, y = np.array([0.0, 1.0, 3.0, 4.0]), np.array([0.0, 2.0, 1.0, 5.0])
    design = regression.features("line", x)
    weighted, _ = regression._fit(design, y, np.array([1.0, 2.0, 0.0, 3.0]))
    repeated, _ = regression._fit(design[[0, 1, 1, 3, 3, 3]], y[[0, 1, 1, 3, 3, 3]], np.ones(6))
    assert weighted == pytest.approx(repeated)


def test_the_wrong_model_suffers_and_the_true_one_does_not():
    wrong, right = (
        values(measured(data="beta", model=model, shift="page", remedy="none"), "error_ratio")
        for model in ("line", "true")
    )
    assert min(wrong) > 10
    assert max(right) < 1.25


def test_noise_is_the_floor_of_the_true_model():
    assert statistics.fmean(errors("true", "none")) == pytest.approx(regression.NOISE**2, rel=0.05)


def test_weights_serve_where_supports_nest():
    assert max(errors("line", "inside", "importance")) < min(errors("line", "inside")) * 0.85


def test_without_a_shift_no_weight_changes_anything():
    assert errors("line", "none", "importance") == pytest.approx(errors("line", "none"), rel=1e-12)


def test_matching_undoes_a_change_of_units_and_nothing_else():
    assert errors("line", "recoded", "matched") == pytest.approx(errors("line", "none", "matched"), rel=1e-9)
    assert statistics.fmean(errors("line", "recoded")) > 50 * statistics.fmean(errors("line", "none"))
    assert min(errors("line", "inside", "matched")) > 3 * max(errors("line", "inside"))


def test_few_weighted_samples_are_said():
    found = measured(data="beta", model="cubic", shift="page", remedy="importance")
    assert any("samples have a weight" in text for m in found for text in m.warnings)


# Scanners


@pytest.fixture(scope="module")
def scanned():
    torch.set_num_threads(1)
    arms = [("none", "scanner"), ("image-norm", "scanner"), ("batch", "scanner"), ("batch", "none")]
    arms += [("batch-recalibrated", "scanner")]
    return {arm: measured(data="digits", model="mlp", shift=arm[1], remedy=arm[0]) for arm in arms}


def test_nets_learn_and_are_the_same_at_home(scanned):
    for found in scanned.values():
        assert min(values(found, "home_accuracy")) > 0.9
        home, site, drop = (values(found, name) for name in ("home_accuracy", "accuracy", "accuracy_drop"))
        assert drop == pytest.approx([a - b for a, b in zip(home, site, strict=True)])
    home = [values(found, "home_accuracy") for arm, found in scanned.items() if arm[0].startswith("batch")]
    assert home[0] == home[1] == home[2]


def test_no_shift_is_no_drop(scanned):
    assert values(scanned["batch", "none"], "accuracy_drop") == [0.0] * len(SEEDS)


def test_a_scanner_hurts_and_recalibration_repairs(scanned):
    drops = {remedy: values(scanned[remedy, "scanner"], "accuracy_drop") for remedy, _ in scanned}
    assert statistics.median(drops["none"]) > 0.02
    assert statistics.median(drops["batch"]) > 0.1
    assert max(map(abs, drops["image-norm"])) < 0.005  # exactly invariant, up to rounding
    assert max(map(abs, drops["batch-recalibrated"])) < 0.01


def test_recalibration_takes_the_statistics_of_the_data_and_leaves_the_weights():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    x = torch.randn(50, 3) * 2 + 1
    weights = [p.clone() for p in net.parameters()]
    net(torch.randn(8, 3))
    digits.recalibrate(net, x)
    z = net[0](x)
    assert torch.allclose(net[1].running_mean, z.mean(0), atol=1e-5)
    assert torch.allclose(net[1].running_var, z.var(0), rtol=1e-4)
    assert all(torch.equal(a, b) for a, b in zip(weights, net.parameters(), strict=True))


# Declaration


@pytest.mark.parametrize("case", [c for c in WORKLOAD.cases("quick") if c["model"] != "true"], ids=str)
def test_what_applies_is_yielded(case):
    found = list(WORKLOAD.measure(case, [1000, 1001], "cpu"))
    names = sorted(m.name for m in WORKLOAD.metrics if WORKLOAD.applies(m.name, case))
    for seed in (1000, 1001):
        assert sorted(m.metric for m in found if m.seed == seed) == names
    assert all(math.isfinite(m.value) for m in found)


def test_equal_seeds_repeat_and_do_not_depend_on_their_neighbours():
    for pins in (
        {"data": "beta", "model": "line", "shift": "half", "remedy": "importance"},
        {"data": "digits", "model": "mlp", "shift": "scanner", "remedy": "none"},
    ):
        both = measured((1000, 1001), **pins)
        assert both == measured((1000, 1001), **pins)
        assert values(both, "error_ratio" if pins["data"] == "beta" else "home_accuracy")
    alone = measured((1001,), data="beta", model="line", shift="half", remedy="importance")
    pair = measured((1000, 1001), data="beta", model="line", shift="half", remedy="importance")
    assert alone == [m for m in pair if m.seed == 1001]


def test_arms_belong_to_their_data():
    with pytest.raises(UsageError, match="no case"):
        WORKLOAD.cases("quick", {"data": ["beta"], "remedy": ["batch"]})
