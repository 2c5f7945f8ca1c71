"""Noise after batch norm: it shifts, it is off in evaluation, and nets train or fail as they should."""

import math

import pytest
import torch

from ics_bench.core import Case
from ics_bench.probes import layers
from ics_bench.workloads.noisy_norm import STARTS, STEPS, WORKLOAD


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def measure(seeds=(0, 1), **changes):
    found = {}
    for m in WORKLOAD.measure(Case.of({**WORKLOAD.cases("quick")[0], **changes}), seeds, "cpu"):
        found.setdefault(m.metric, []).append(m)
    return found


@pytest.fixture(scope="module")
def measured():
    torch.set_num_threads(1)
    return {norm: measure(norm=norm) for norm in ("batch", "noisy_batch")}


def values(found, metric):
    return [m.value for m in found[metric]]


def test_every_declared_metric_is_yielded_once_a_seed(measured):
    for found in measured.values():
        assert set(found) == {metric.name for metric in WORKLOAD.metrics}
        assert all([m.seed for m in ms] == [0, 1] for ms in found.values())


def test_noise_shifts_the_units_and_the_net_trains_all_the_same(measured):
    quiet, noisy = measured["batch"], measured["noisy_batch"]
    assert min(values(noisy, "drift_wasserstein")) > 5 * max(values(quiet, "drift_wasserstein"))
    assert min(values(quiet, "accuracy")) > 0.97
    assert min(values(noisy, "noisy_accuracy")) > 0.9


def test_accuracy_with_and_without_noise_are_two_things(measured):
    assert values(measured["noisy_batch"], "accuracy") != values(measured["noisy_batch"], "noisy_accuracy")


def test_same_seeds_give_the_same_bits(measured):
    assert measure(norm="noisy_batch") == measured["noisy_batch"]


def test_each_seed_draws_noise_of_its_own(monkeypatch):
    drawn = []
    real = layers.signals
    monkeypatch.setattr(layers, "signals", lambda module, x, seed: drawn.append(seed) or real(module, x, seed))
    measure(norm="noisy_batch")
    assert len(drawn) > 4
    assert len(set(drawn)) == len(drawn)


def test_training_goes_on_after_the_target(measured):
    for m in measured["batch"]["steps_to_target"]:
        assert m.value < STEPS / 2
        assert m.curve.x[-1] == STEPS - 10


def test_noise_without_a_norm_fails_at_a_large_rate():
    found = measure(seeds=(0,), norm="noise", learning_rate=10.0)
    assert math.isnan(values(found, "accuracy")[0])
    assert values(found, "steps_to_target") == [math.inf]
    assert "diverged" in found["accuracy"][0].warnings[-1]


def test_arms_share_weights_and_order():
    one, other = (Case.of({**WORKLOAD.cases("quick")[0], "norm": norm}) for norm in ("batch", "noise"))
    assert WORKLOAD.seed_for(one, 3, "weights") == WORKLOAD.seed_for(other, 3, "weights")
    assert max(STARTS) + 1 < STEPS
