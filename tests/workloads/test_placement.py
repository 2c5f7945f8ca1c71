"""The place of the norm in training: what is yielded, accuracy by hand, order as traced, negative control."""

import math

import pytest
import torch

from ics_bench.core import Case
from ics_bench.subjects import NORMS
from ics_bench.workloads._problem import load_data
from ics_bench.workloads.placement import STEPS, WORKLOAD


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def case(**changes):
    return Case.of({**WORKLOAD.cases("quick")[0], "architecture": "plain", "width": 16, "batch_size": 32, **changes})


def measure(seeds=(1000,), **changes):
    return list(WORKLOAD.measure(case(**changes), seeds, "cpu"))


def values(measurements, metric):
    return [m.value for m in measurements if m.metric == metric]


@pytest.mark.parametrize("position", ["before", "after"])
def test_accuracy_is_that_of_ordinary_training(position):
    """torch's own SGD for 200 steps on the same weights and batches, then the test set in evaluation mode."""
    from ics_bench.training import Recipe
    from ics_bench.training.train import data_order

    pinned = case(norm_position=position, depth=3)
    problem, data = WORKLOAD.problem(pinned, "cpu"), load_data(pinned)
    model = problem.build(1000)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for index in data_order(problem, Recipe(STEPS, 32), 1000):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(problem.x[index]), problem.y[index]).backward()
        optimizer.step()
    right = (model.eval()(data.x_test).argmax(1) == data.y_test).double().mean().item()
    found = measure(norm_position=position, depth=3)
    assert values(found, "test_accuracy") == [pytest.approx(right, abs=2.5 / 360)]  # rounding may turn a digit or two
    assert right > 0.8
    assert values(found, "reached") == [1]


class Silent(torch.nn.Module):
    """A norm of one's own that lets nothing pass in evaluation."""

    def __init__(self, num_features):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(num_features))

    def forward(self, x):
        return x * self.gain * float(self.training)


def test_the_test_set_is_seen_in_evaluation_mode(monkeypatch):
    monkeypatch.setitem(NORMS._objects, "silent", Silent)
    (accuracy,) = values(measure(norm="silent", norm_position="after", depth=3), "test_accuracy")
    assert accuracy < 0.2


def test_without_a_norm_its_position_makes_no_difference():
    before, after = (measure(norm="none", depth=3, norm_position=position) for position in ("before", "after"))
    assert [m.value for m in before] == [m.value for m in after]
    normed = measure(norm="batch", depth=3, norm_position="after")
    assert values(normed, "test_accuracy") != values(after, "test_accuracy")


def test_a_diverged_replica_has_the_worst_accuracy():
    found = measure(norm="none", learning_rate=100.0)
    assert values(found, "diverged") == [1]
    assert values(found, "test_accuracy") == [-math.inf]
    assert values(found, "steps_to_target") == [math.inf]


@pytest.mark.parametrize(
    ("architecture", "before", "after"),
    [("resnet", 1.0, 0.0), ("resnet_post", 2 / 3, 1.0), ("residual_post", 0.0, 1.0)],
)
def test_the_order_is_traced_once_for_all_seeds(architecture, before, after):
    found = measure(architecture=architecture, depth=8, width=2, norm_position="before")
    assert values(found, "normalized_before_addition") == [before]
    assert values(found, "normalized_after_addition") == [after]
    assert [m.seed for m in found if m.metric.endswith("_addition")] == [None, None]


def test_nets_without_additions_have_no_order():
    found = {m.metric for m in measure(depth=3)}
    assert not any(metric.endswith("_addition") for metric in found)
    assert not WORKLOAD.applies("normalized_after_addition", case())
    assert {metric.name for metric in WORKLOAD.metrics if WORKLOAD.applies(metric.name, case())} == found


def test_same_seeds_give_the_same_bits():
    assert measure(depth=3) == measure(depth=3)
    assert measure((1001,), depth=3) != measure(depth=3)


@pytest.mark.parametrize("profile", ["quick", "standard", "full"])
def test_declared_cases_can_be_built(profile):
    for declared in WORKLOAD.cases(profile):
        WORKLOAD.problem(declared, "cpu").build(0)


def test_instance_norm_needs_positions():
    assert "averages over positions" in WORKLOAD.skip(case(norm="instance"), "cpu")
    assert WORKLOAD.skip(case(norm="instance", architecture="resnet", depth=8), "cpu") is None
