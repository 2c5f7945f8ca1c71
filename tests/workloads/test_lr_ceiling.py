"""The learning-rate ceilings on real digits: what is yielded, reproducibility, subjects of one's own."""

import itertools
import math

import pytest
import torch

import ics_bench
from ics_bench.core import Case
from ics_bench.training.ceilings import GRID
from ics_bench.workloads.lr_ceiling import BATCH_SIZE, CHECK_EVERY, FEASIBLE_FROM, STEPS, TARGET, WORKLOAD


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def case(**changes):
    return Case.of({**WORKLOAD.cases("quick")[0], **changes})


def by_metric(measurements, metric):
    return [m for m in measurements if m.metric == metric]


@pytest.fixture(scope="module")
def measured():
    torch.set_num_threads(1)
    return {norm: list(WORKLOAD.measure(case(depth=3, norm=norm), range(3), "cpu")) for norm in ("none", "batch")}


def train_to_the_end(problem, rate, seed):
    """One ordinary training run by the definitions in the workload's docstring."""
    from ics_bench.training import Recipe
    from ics_bench.training.train import data_order

    model = problem.build(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    first, checks = None, []
    for step, index in enumerate(data_order(problem, Recipe(STEPS, BATCH_SIZE), seed), start=1):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(problem.x[index]), problem.y[index])
        loss.backward()
        optimizer.step()
        first = loss.item() if first is None else first
        if not loss.item() <= 10 * first:
            return False, any(a and b for a, b in itertools.pairwise(checks))
        if step % CHECK_EVERY == 0:
            model.eval()
            checks.append((model(problem.x).argmax(1) == problem.y).double().mean().item() >= TARGET)
            model.train()
    return True, any(a and b for a, b in itertools.pairwise(checks))


def test_ceilings_separate_success_from_failure_by_ordinary_training(measured):
    """A grid step below the ceiling a majority of ordinary runs succeeds, a step above it does not.

    At the ceiling itself the order of additions decides, and that differs between ordinary and stacked layers.
    """
    problem = WORKLOAD.problem(case(depth=3, norm="none"), "cpu")
    for place, question in enumerate(("stable", "trainable")):
        (ceiling,) = by_metric(measured["none"], f"{question}_ceiling")
        above = min(rate for rate in ceiling.curve.x if rate > ceiling.value)
        assert above <= ceiling.value * 10 ** (0.5 / 8) * (1 + 1e-9)
        step = 10**0.5
        below = [train_to_the_end(problem, ceiling.value / step, seed)[place] for seed in range(3)]
        beyond = [train_to_the_end(problem, ceiling.value * step, seed)[place] for seed in range(3)]
        assert sum(below) >= 2
        assert sum(beyond) <= 1


def test_batch_norm_raises_the_trainable_ceiling_of_this_net(measured):
    none, batch = (by_metric(measured[norm], "trainable_ceiling")[0].value for norm in ("none", "batch"))
    assert batch > none > 0


def test_every_declared_metric_is_yielded_with_its_unit(measured):
    for measurements in measured.values():
        assert {m.metric for m in measurements} == {metric.name for metric in WORKLOAD.metrics}
        assert all(m.unit == WORKLOAD.metric(m.metric).unit for m in measurements)
        assert sorted(m.seed for m in by_metric(measurements, "steps_to_target")) == [0, 1, 2]


def test_a_seeds_own_bracket_holds_its_own_ceiling(measured):
    """One ordinary run a grid step below the bracket succeeds; what was tested for all agrees."""
    problem = WORKLOAD.problem(case(depth=3, norm="none"), "cpu")
    for place, question in enumerate(("stable", "trainable")):
        low, high = (by_metric(measured["none"], f"own_{question}_{end}") for end in ("ceiling", "bound"))
        outcomes = by_metric(measured["none"], f"outcome_{question}")
        for ceiling, bound, tested in zip(low, high, outcomes, strict=True):
            assert bound.value == pytest.approx(ceiling.value * 10 ** (0.5 / 8))
            on_grid = [rate for rate, won in zip(tested.curve.x, tested.curve.y, strict=True) if won and rate in GRID]
            assert max(on_grid, default=0.0) <= ceiling.value < max(on_grid, default=ceiling.value) * 10**0.5
        assert train_to_the_end(problem, low[0].value / 10**0.5, 0)[place]


def test_best_rate_is_on_the_grid_and_its_losses_fall(measured):
    (best,) = by_metric(measured["batch"], "best_learning_rate")
    assert best.value in GRID
    for measurement in by_metric(measured["batch"], "steps_to_target"):
        assert math.isfinite(measurement.value)
        assert measurement.curve.y[-1] < 0.5 * measurement.curve.y[0]
        assert measurement.curve.label == "step"


def test_same_seeds_give_the_same_bits_and_others_do_not(measured):
    again = list(WORKLOAD.measure(case(depth=3, norm="batch"), range(3), "cpu"))
    assert again == measured["batch"]
    other = list(WORKLOAD.measure(case(depth=3, norm="batch"), range(3, 6), "cpu"))
    losses = [m.curve.y for m in by_metric(other, "steps_to_target")]
    assert losses != [m.curve.y for m in by_metric(again, "steps_to_target")]


def test_arms_share_weights_and_order_at_equal_seed():
    plain, normed = (WORKLOAD.problem(case(norm=norm), "cpu") for norm in ("none", "batch"))
    assert plain.order_seed(4) == normed.order_seed(4) != plain.order_seed(5)
    assert torch.equal(plain.build(4).head.weight, normed.build(4).head.weight)
    assert not torch.equal(plain.build(4).head.weight, plain.build(5).head.weight)


def test_an_arm_that_never_trains_says_so():
    """A net of zero gain learns nothing at any rate: +inf steps for every seed, and a warning."""
    measurements = list(WORKLOAD.measure(case(depth=12, norm="none", init="normal-0.01"), range(2), "cpu"))
    (ceiling,) = by_metric(measurements, "trainable_ceiling")
    assert ceiling.value == 0
    assert any("no rate" in text for text in ceiling.warnings)
    assert {m.value for m in by_metric(measurements, "own_trainable_ceiling")} == {0}
    assert {m.value for m in by_metric(measurements, "own_trainable_bound")} == {FEASIBLE_FROM}
    assert [m.value for m in by_metric(measurements, "steps_to_target")] == [math.inf, math.inf]


def test_a_net_that_overflows_at_the_start_has_no_ceiling():
    measurements = list(WORKLOAD.measure(case(depth=100, norm="none", init="normal-1", width=32), range(2), "cpu"))
    assert {m.value for m in measurements if m.metric.endswith("_ceiling")} == {0}
    assert [m.value for m in by_metric(measurements, "steps_to_target")] == [math.inf, math.inf]


def test_residual_nets_report_their_blocks():
    measurements = list(WORKLOAD.measure(case(depth=3, architecture="residual", norm="layer"), range(1), "cpu"))
    assert by_metric(measurements, "blocks")[0].value == 1


@pytest.mark.parametrize("profile", ["quick", "standard", "full"])
def test_every_declared_case_can_be_built(profile):
    for declared in WORKLOAD.cases(profile):
        if declared.integer("depth") <= 5:
            WORKLOAD.problem(declared, "cpu").build(0)


def test_instance_norm_is_skipped_with_its_reason():
    assert "averages over positions" in WORKLOAD.skip(case(norm="instance"), "cpu")
    assert WORKLOAD.skip(case(norm="group"), "cpu") is None


class HalfNorm(torch.nn.Module):
    """A norm of one's own."""

    def __init__(self, num_features):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(num_features))

    def forward(self, x):
        return self.gain * x / (x.norm(dim=-1, keepdim=True) * x.shape[-1] ** -0.5 + 1e-5).sqrt()


def linear_model(in_features, num_classes):
    return torch.nn.Linear(in_features, num_classes)


def test_anyones_norm_and_model_go_through(tmp_path):
    run = ics_bench.run("lr_ceiling", norm=HalfNorm, cases={"depth": 2}, seeds=1, out=tmp_path / "norm")
    frame = run.frame()
    assert frame["norm"].unique().tolist() == [f"{HalfNorm.__module__}:HalfNorm"]
    assert frame[frame.metric == "trainable_ceiling"].value.item() > 0
    run = ics_bench.run("lr_ceiling", model=linear_model, norm="none", seeds=1, out=tmp_path / "model")
    frame = run.frame()
    assert frame[frame.metric == "trainable_ceiling"].value.item() > 0
    assert not run.failed
    assert any("takes no norm_layer" in text for warnings in frame.warnings for text in warnings)
