"""Training at given rates: the outcomes are those of an ordinary loop, and each norm's gain shows where it must."""

import itertools
import math

import pytest
import torch

from ics_bench.core import Case
from ics_bench.workloads import constant_rate, default_settings, rate_region, speed_up
from ics_bench.workloads._problem import problem_of


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def measure(workload, seeds, **changes):
    case = Case.of({**workload.cases("quick")[0], **changes})
    return list(workload.measure(case, seeds, "cpu"))


def values(measurements, metric):
    return [m.value for m in measurements if m.metric == metric]


def steps_of_an_ordinary_run(workload, case, seed):
    """Steps to target by the definition in the workload's docstring, in a loop of its own."""
    from ics_bench.training import Recipe
    from ics_bench.training.train import data_order

    problem = problem_of(workload, case, "cpu")
    model = problem.build(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=case["learning_rate"])
    checks = []
    for step, index in enumerate(data_order(problem, Recipe(200, case["batch_size"]), seed), start=1):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(problem.x[index]), problem.y[index]).backward()
        optimizer.step()
        if step % 10 == 0:
            model.eval()
            checks.append((model(problem.x).argmax(1) == problem.y).double().mean().item() >= 0.9)
            model.train()
    return next((10 * (i + 1) for i, pair in enumerate(itertools.pairwise(checks)) if all(pair)), math.inf)


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_constant_rate_counts_the_steps_of_an_ordinary_run(norm):
    workload = constant_rate.WORKLOAD
    case = Case.of({**workload.cases("quick")[0], "norm": norm, "depth": 4})
    measured = list(workload.measure(case, range(2), "cpu"))
    expected = [steps_of_an_ordinary_run(workload, case, seed) for seed in range(2)]
    assert values(measured, "steps_to_target") == expected
    assert values(measured, "reached") == [float(math.isfinite(steps)) for steps in expected]
    assert values(measured, "diverged") == [0.0, 0.0]


def test_a_rate_far_too_large_diverges_and_reaches_nothing():
    measured = measure(constant_rate.WORKLOAD, range(2), norm="none", depth=4, learning_rate=100.0)
    assert values(measured, "diverged") == [1.0, 1.0]
    assert values(measured, "reached") == [0.0, 0.0]
    assert values(measured, "loss_ratio") == [math.inf, math.inf]


def test_region_counts_half_decades_and_agrees_with_its_curve():
    (none,) = (m for m in measure(rate_region.WORKLOAD, [0]) if m.metric == "trainable_decades")
    (batch,) = (m for m in measure(rate_region.WORKLOAD, [0], norm="batch") if m.metric == "trainable_decades")
    assert none.value == pytest.approx(0.5 * sum(none.curve.y))
    assert none.curve.y[-1] == 0.0, "no net of this kind trains at rate 10"
    assert batch.value >= none.value + 0.5


def test_region_is_the_same_net_where_there_is_no_norm_to_place():
    before, after = (measure(rate_region.WORKLOAD, [3], norm_position=side) for side in ("before", "after"))
    assert [m.curve.y for m in before if m.curve] == [m.curve.y for m in after if m.curve]


def test_default_settings_report_every_configuration():
    (share,) = (m for m in measure(default_settings.WORKLOAD, [0], norm="batch") if m.metric == "trained_share")
    assert len(share.curve.y) == 8
    assert share.value == sum(share.curve.y) / 8 == 1.0
    (tiny,) = values(measure(default_settings.WORKLOAD, [0], norm="batch", learning_rate=1e-6), "trained_share")
    assert tiny == 0.0


def test_speed_up_counts_the_steps_of_each_arm_at_its_own_best_rate():
    none, batch = (measure(speed_up.WORKLOAD, range(2), norm=norm, depth=5) for norm in ("none", "batch"))
    slow, fast = values(none, "steps_to_target"), values(batch, "steps_to_target")
    assert max(fast) < min(slow)
    (rate,), (higher,) = values(none, "best_learning_rate"), values(batch, "best_learning_rate")
    assert rate < higher
    assert all(rate in speed_up.RATES for rate in (rate, higher))


def test_a_budget_of_more_steps_lets_a_low_rate_train():
    short, long = (
        measure(constant_rate.WORKLOAD, [0], norm="none", depth=4, learning_rate=0.01, steps=s) for s in (200, 600)
    )
    assert values(short, "reached") == [0.0]
    assert values(long, "reached") == [1.0]
    assert 200 < values(long, "steps_to_target")[0] < 600


@pytest.mark.parametrize("module", [constant_rate, rate_region, default_settings])
def test_same_seeds_give_the_same_bits(module):
    assert measure(module.WORKLOAD, [5], norm="batch") == measure(module.WORKLOAD, [5], norm="batch")
