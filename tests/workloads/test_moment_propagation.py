"""moment_propagation: the page's own numbers, closed forms of linear layers, and experiments without effect."""

import math
import statistics

import numpy as np
import pytest
import torch

from ics_bench.core import UsageError
from ics_bench.workloads.moment_propagation import GENERATOR, PAGE, WORKLOAD


def measured(experiment, inputs="independent", perturbation=0.05, draws=GENERATOR, seeds=(1000,)):
    pins = {"experiment": experiment, "inputs": inputs, "perturbation": perturbation, "draws": draws}
    (case,) = WORKLOAD.cases("standard", {key: [value] for key, value in pins.items()})
    assert WORKLOAD.skip(case, "cpu") is None
    return list(WORKLOAD.measure(case, seeds, "cpu"))


def values(measurements, metric):
    return [m.value for m in measurements if m.metric == metric]


# The page's own draws


def test_pages_weight_change():
    found = {m.metric: m for m in measured("moments", draws=PAGE)}
    assert all(m.seed is None for m in found.values())
    assert found["output_kl"].value == pytest.approx(0.01128, abs=5e-6)
    assert found["mean_shift"].value == pytest.approx(0.00452, abs=5e-6)
    assert found["std_ratio"].value == pytest.approx(1.1059, abs=5e-5)


def test_pages_walk():
    (mean,), (std,) = (
        [m for m in measured("walk", perturbation=0.01, draws=PAGE) if m.metric == name]
        for name in ("mean_change", "std_change")
    )
    for found, first, last in ((mean, 0.5642, 0.5731), (std, 0.8594, 0.8553)):
        assert (found.curve.y[0], found.curve.y[-1]) == pytest.approx((first, last), abs=5e-5)
        assert found.value == pytest.approx(abs(found.curve.y[-1] / found.curve.y[0] - 1), rel=1e-12)
        assert len(found.curve.y) == 100


def test_page_has_no_other_draws():
    (case,) = WORKLOAD.cases("quick", {"perturbation": [0.02], "draws": [PAGE], "experiment": ["walk"]})
    assert "perturbation=0.01" in WORKLOAD.skip(case, "cpu")


# Closed forms


def test_a_change_of_the_weights_adds_its_variance():
    """(0.1² + 0.05²)/0.1² = 1.25, so the standard deviation grows by √1.25; the mean of every unit stays 0."""
    found = measured("moments", seeds=range(1000, 1006))
    assert statistics.fmean(values(found, "std_ratio")) == pytest.approx(math.sqrt(1.25), rel=0.01)
    expected = 0.05 * math.sqrt(100 / 10_000) * math.sqrt(2 / math.pi)  # E|N(0, 0.005²)|: sampling noise alone
    assert statistics.fmean(values(found, "mean_shift")) == pytest.approx(expected, rel=0.15)


def test_independence_is_needed_for_the_variance_alone():
    alone, together = measured("moments"), measured("moments", "correlated")
    assert values(alone, "variance_error")[0] == pytest.approx(math.sqrt(2 / 10_000), rel=0.3)  # sampling
    assert values(together, "variance_error")[0] > 0.3
    for found in (alone, together):
        assert values(found, "mean_error")[0] < 1e-12
        assert values(found, "covariance_error")[0] < 1e-12


def test_inputs_with_a_mean_move_the_mean():
    (still,), (moved,) = (
        values(measured("moments", kind), "mean_shift_in_std") for kind in ("independent", "rectified")
    )
    assert moved > 0.1 > 10 * still


def test_weights_left_alone_shift_nothing():
    found = measured("moments", perturbation=0.0) + measured("walk", perturbation=0.0)
    assert values(found, "std_ratio") == [1.0]
    for metric in ("output_kl", "mean_shift", "kl_over_noise", "largest_mean_change", "largest_std_change"):
        assert values(found, metric) == [0.0]


def test_a_walk_adds_its_variance():
    """After 99 changes Var[W] = 0.25 + 99·0.1², and Var[b] = 99·0.1²: E[relu(z)²] = (10 Var[W] + Var[b])/2."""
    found = measured("walk", perturbation=0.1, seeds=range(1000, 1040))
    ends = [
        (mean.curve.y[-1] ** 2 + std.curve.y[-1] ** 2, mean.curve.y[0] ** 2 + std.curve.y[0] ** 2)
        for mean, std in zip(
            *([m for m in found if m.metric == name] for name in ("mean_change", "std_change")), strict=True
        )
    ]
    last, first = (statistics.fmean(column) for column in zip(*ends, strict=True))
    assert first == pytest.approx(10 * 0.25 / 2, rel=0.05)
    assert last == pytest.approx((10 * (0.25 + 0.99) + 0.99) / 2, rel=0.1)


def test_products_of_moments_hold_for_independent_pairs_alone():
    (free,), (bound,) = (
        values(measured("gradient", kind, 0.0), "kronecker_excess") for kind in ("independent", "dependent")
    )
    assert free < 0.06
    assert bound > 0.4
    (covariance,) = values(measured("gradient", "independent", 0.0), "covariance_excess")
    assert covariance > 0.5, "with means that are not zero, the covariance is not the product even so"


@pytest.mark.parametrize("layer", ["first-layer", "middle-layer", "last-layer"])
def test_a_layers_weight_gradient_is_the_outer_product(layer):
    found = measured("gradient", layer, 0.0)
    assert values(found, "gradient_identity_error")[0] < 1e-12
    assert values(found, "kronecker_error_shuffled")[0] < 0.25
    assert values(found, "kronecker_error")[0] > values(found, "kronecker_error_shuffled")[0]


# Declaration


@pytest.mark.parametrize("case", WORKLOAD.cases("standard"), ids=str)
def test_what_applies_is_yielded_once_a_seed(case):
    found = list(WORKLOAD.measure(case, [1000, 1001], "cpu"))
    names = {m.name for m in WORKLOAD.metrics if WORKLOAD.applies(m.name, case)}
    assert {m.metric for m in found} == names
    seeds = [None] if case["draws"] == PAGE else [1000, 1001]
    assert sorted(map(str, (m.seed for m in found))) == sorted(map(str, seeds * len(names)))
    assert all(math.isfinite(m.value) for m in found)


def test_equal_seeds_repeat_and_do_not_depend_on_their_neighbours():
    both = measured("walk", perturbation=0.01, seeds=(1000, 1001))
    assert both == measured("walk", perturbation=0.01, seeds=(1000, 1001))
    alone = measured("walk", perturbation=0.01, seeds=(1001,))
    assert alone == [m for m in both if m.seed == 1001]
    assert alone[0].value != both[0].value


def test_arms_along_the_perturbation_share_their_draws():
    (small,), (large,) = (
        [m for m in measured("walk", perturbation=size) if m.metric == "mean_change"] for size in (0.01, 0.1)
    )
    assert small.curve.y[0] == large.curve.y[0]
    assert small.curve.y[1] != large.curve.y[1]


def test_random_states_are_left_alone():
    state, legacy = torch.get_rng_state(), np.random.get_state()
    measured("moments", draws=PAGE)
    measured("gradient", "last-layer", 0.0)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), legacy, strict=True))


def test_inputs_belong_to_their_experiment():
    with pytest.raises(UsageError, match="no case"):
        WORKLOAD.cases("quick", {"experiment": ["walk"], "inputs": ["last-layer"]})
