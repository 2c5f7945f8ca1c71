"""The time that a norm adds: what is timed, and that two equal nets take as long."""

import dataclasses
import itertools
import statistics

import pytest
import torch
from torch import nn

from ics_bench.core import Case
from ics_bench.kernels.clock import Samples
from ics_bench.kernels.machine import Load
from ics_bench.subjects import NORMS
from ics_bench.workloads import _step_time
from ics_bench.workloads.norm_cost import WORKLOAD


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def case(**changes):
    return Case.of({**WORKLOAD.cases("quick")[0], "batch_size": 16, "width": 16, "depth": 3, **changes})


def by_metric(**changes):
    return {m.metric: m for m in WORKLOAD.measure(case(**changes), [0], "cpu")}


class ThreeTimes(nn.Module):
    """Slow on purpose."""

    def __init__(self, num_features):
        super().__init__()
        self.weight = nn.Parameter(torch.eye(num_features))

    def forward(self, x):
        for _ in range(100):
            x = x @ self.weight
        return x


def test_a_slow_norm_is_seen_and_none_costs_nothing():
    equal = by_metric(norm="none")
    slow = by_metric(norm=NORMS.add(ThreeTimes))
    assert slow["cost_ratio"].value > 3
    assert 0.5 < equal["cost_ratio"].value < 2
    assert slow["step_time"].value > slow["step_time_without"].value
    for found in (equal, slow):
        assert set(found) == {metric.name for metric in WORKLOAD.metrics}
        assert found["cost_ratio_low"].value <= found["cost_ratio"].value <= found["cost_ratio_high"].value
        assert found["cost_ratio"].value == statistics.median(found["cost_ratio"].curve.y)


@pytest.fixture
def recorded(monkeypatch):
    """Run the arms a few times in place of the clock, and count the steps of each stack."""
    counted = {}

    def run(arms, order, budget_seconds):
        with Load() as load:
            pass
        for calls, number in zip(arms.values(), itertools.count(), strict=False):
            counted[number] = len(calls)
            calls[0]()
        return Samples({"subject": (2.0, 6.0, 4.0), "identity": (1.0, 2.0, 8.0)}, load)

    monkeypatch.setattr(_step_time, "interleave", run)
    return counted


def test_ratios_pair_the_rounds_and_times_are_per_step(recorded):
    found = by_metric(norm="batch")
    assert found["cost_ratio"].curve.y == (2.0, 3.0, 0.5)
    assert found["cost_ratio"].value == 2.0
    assert found["step_time"].value == 1.0, "a median of 4 s for 4 steps"
    assert by_metric(norm="batch", width=256)["step_time"].value == 4.0, "one step"


def test_a_step_trains_the_net_by_its_rate(recorded, monkeypatch):
    """Each arm takes one ordinary step of SGD, from the same weights on the same batch."""
    nets, batches = [], []
    original = _step_time.problem_of

    def watch(workload, arm, device):
        problem = original(workload, arm, device)

        def build(seed):
            nets.append(problem.build(seed))
            nets[-1].register_forward_pre_hook(lambda net, inputs: batches.append(inputs[0].clone()))
            return nets[-1]

        return dataclasses.replace(problem, build=build)

    monkeypatch.setattr(_step_time, "problem_of", watch)
    by_metric(norm="batch", width=256)
    assert len(nets) == len(batches) == 2
    assert torch.equal(*batches), "both arms see one batch"
    problem = original(WORKLOAD, case(norm="batch", width=256), "cpu")
    place = [int((problem.x == sample).all(1).nonzero()[0]) for sample in batches[0]]
    for trained, norm in zip(nets, ("batch", "none"), strict=True):
        net = original(WORKLOAD, case(norm=norm, width=256), "cpu").build(0)
        nn.functional.cross_entropy(net(batches[0]), problem.y[place]).backward()
        for name, parameter in net.named_parameters():
            expected = parameter.detach() - 1e-4 * parameter.grad
            torch.testing.assert_close(dict(trained.named_parameters())[name].detach(), expected)


class Copied(nn.Module):
    """As cheap as the identity, with buffers that some other clock might copy."""

    def __init__(self, num_features):
        super().__init__()
        self.register_buffer("large", torch.zeros(num_features, 4096))

    def forward(self, x):
        return x


def test_the_clock_does_not_charge_a_net_for_its_buffers():
    assert by_metric(norm=NORMS.add(Copied), width=64)["cost_ratio"].value < 1.5


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "adam-0.98"])
def test_every_optimizer_moves_the_weights(recorded, monkeypatch, optimizer):
    nets = []
    original = _step_time.problem_of

    def watch(workload, arm, device):
        problem = original(workload, arm, device)
        return dataclasses.replace(problem, build=lambda seed: nets.append(problem.build(seed)) or nets[-1])

    monkeypatch.setattr(_step_time, "problem_of", watch)
    by_metric(norm="batch", optimizer=optimizer)
    fresh = original(WORKLOAD, case(norm="batch", optimizer=optimizer), "cpu").build(0)
    assert not torch.equal(nets[0].head.weight, fresh.head.weight)


def test_the_random_state_is_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    by_metric(norm="batch")
    assert torch.equal(torch.rand(1), expected)


def test_cases_that_cannot_run_say_why():
    assert "averages over positions" in WORKLOAD.skip(case(norm="instance"), "cpu")
    assert "no clock" in WORKLOAD.skip(case(norm="batch"), "cuda")
    for profile in ("quick", "standard", "full"):
        assert all(WORKLOAD.skip(declared, "cpu") is None for declared in WORKLOAD.cases(profile))
