"""Second derivatives of real nets in training, against explicit Hessians."""

import functools
import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from ics_bench.core import Case
from ics_bench.training import Recipe
from ics_bench.training.train import data_order
from ics_bench.workloads import _curvature_looks
from ics_bench.workloads._descent import BATCH_SIZE, Descent
from ics_bench.workloads._problem import problem_of
from ics_bench.workloads.curvature import LATE, WORKLOAD

SMALL = {"depth": 3, "width": 8}


def case(**changes):
    return Case.of({**WORKLOAD.cases("quick")[0], **SMALL, **changes})


def measure(seeds=(1000,), **changes):
    return {(m.metric, m.seed): m for m in WORKLOAD.measure(case(**changes), seeds, "cpu")}


@pytest.fixture(scope="module")
def measured():
    return measure(seeds=(1000, 1001), norm="none")


def explicit(model, x, y):
    """The Hessian over all parameters, in the model's order, and where each parameter begins."""
    names = [name for name, _ in model.named_parameters()]
    sizes = [p.numel() for p in model.parameters()]

    def loss(vector):
        pieces = vector.split(sizes)
        state = {n: v.view_as(p) for n, v, p in zip(names, pieces, model.parameters(), strict=True)}
        return cross_entropy(torch.func.functional_call(model, state, (x,)), y)

    vector = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
    return torch.func.hessian(loss)(vector), torch.tensor([0, *sizes]).cumsum(0).tolist()


def trained(steps):
    """The net of seed 1000 after ordinary training, in float64, and its probe batch."""
    problem = problem_of(WORKLOAD, case(norm="none"), "cpu")
    model = problem.build(1000)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for index in data_order(problem, Recipe(200, BATCH_SIZE), 1000)[:steps]:
        optimizer.zero_grad()
        cross_entropy(model(problem.x[index]), problem.y[index]).backward()
        optimizer.step()
    nothing = {"steps": 200, "every": 5, "scheduled": {}, "matched": lambda view: {}, "on_probe": True}
    index = Descent(WORKLOAD, case(norm="none"), "cpu", **nothing).probe(1000)
    return model.double(), problem.x[index].double(), problem.y[index]


def test_eigenvalues_after_a_hundred_steps_are_those_of_the_explicit_hessian(measured):
    matrix, _ = explicit(*trained(LATE))
    values = torch.linalg.eigvalsh(matrix).flip(0)
    assert measured["late_lambda_1", 1000].value == pytest.approx(float(values[0]), rel=0.005)
    assert measured["late_lr_lambda_1", 1000].value == pytest.approx(0.1 * float(values[0]), rel=0.005)
    assert measured["late_lambda_ratio", 1000].value == pytest.approx(float(values[0] / values[9]), rel=0.02)


def test_initial_coupling_is_that_of_the_explicit_hessian(measured):
    matrix, starts = explicit(*trained(0))
    squares = torch.zeros(3, 3)
    for row, i in enumerate((0, 2, 4)):  # weights; biases stand between
        for column, j in enumerate((0, 2, 4)):
            squares[row, column] = matrix[starts[i] : starts[i + 1], starts[j] : starts[j + 1]].square().sum()
    share = float(1 - squares.diagonal().sum() / squares.sum())
    assert measured["initial_hessian_coupling", 1000].value == pytest.approx(share, abs=0.12)
    assert share > 0.3


def test_every_declared_metric_is_yielded_for_every_seed(measured):
    assert set(measured) == {(metric.name, seed) for metric in WORKLOAD.metrics for seed in (1000, 1001)}
    assert all(math.isfinite(m.value) and m.unit == WORKLOAD.metric(m.metric).unit for m in measured.values())


def test_same_seeds_give_the_same_bits(measured):
    assert measure(seeds=(1000, 1001), norm="none") == measured
    assert measured["late_lambda_1", 1000].value != measured["late_lambda_1", 1001].value


def test_a_diverged_replica_has_no_late_values_but_its_initial_ones():
    found = measure(norm="none", learning_rate=300.0)
    assert math.isnan(found["late_lambda_1", 1000].value)
    assert math.isfinite(found["initial_hessian_coupling", 1000].value)
    assert any("diverged" in text for text in found["late_lambda_1", 1000].warnings)


def test_batch_norm_nets_have_the_same_blocks():
    found = measure(norm="batch")
    assert 0 < found["initial_gauss_newton_coupling", 1000].value < 1
    assert found["matched_lambda_1", 1000].value > 0


def test_eigenvalues_that_are_not_known_well_enough_say_so(measured, monkeypatch):
    assert not any("products" in text for m in measured.values() for text in m.warnings)
    few = functools.partial(_curvature_looks.top_eigenvalues, max_iterations=_curvature_looks.EIGENVALUES + 1)
    monkeypatch.setattr(_curvature_looks, "top_eigenvalues", few)
    warned = measure(norm="none")
    assert all(any("not to 0.001, after 11 products" in text for text in m.warnings) for m in warned.values())
