"""Internal shift on real nets: exact zeros, closed forms, ordinary training by hand, and reproducibility."""

import math
import statistics

import pytest
import torch
from torch.nn.functional import cosine_similarity, cross_entropy

from ics_bench.core import Case
from ics_bench.probes.drift import drift
from ics_bench.training import Recipe, Replica, Trainer
from ics_bench.training.train import data_order
from ics_bench.workloads._internal_shift_summary import summarize
from ics_bench.workloads._internal_shift_watch import Record, ShiftWatch
from ics_bench.workloads.internal_shift import IDLE, LINEAR, PROBE_SIZE, STARTS, STEPS, WORKLOAD


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def case(**changes):
    return Case.of({**WORKLOAD.cases("quick")[0], **changes})


def measure(seeds=(0, 1), **changes):
    found = {}
    for m in WORKLOAD.measure(case(**changes), seeds, "cpu"):
        found.setdefault(m.metric, []).append(m)
    return found


@pytest.fixture(scope="module")
def measured():
    torch.set_num_threads(1)
    return {norm: measure(depth=4, norm=norm) for norm in ("none", "batch")}


def applying(case):
    return {metric.name for metric in WORKLOAD.metrics if WORKLOAD.applies(metric.name, case)}


def values(found, metric):
    return [m.value for m in found[metric]]


def test_every_declared_metric_is_yielded_once_a_seed(measured):
    for found in measured.values():
        assert set(found) == applying(found["drift_wasserstein"][0].case)
        assert all([m.seed for m in ms] == [0, 1] for ms in found.values())
        assert all(math.isfinite(m.value) for ms in found.values() for m in ms)
        (first, _) = found["drift_wasserstein"]
        assert first.curve.label == "layer"
        assert first.value == statistics.median(first.curve.y)
        assert found["gradient_shift_cosine"][0].value == statistics.median(
            found["gradient_shift_cosine"][0].curve.y[1:]
        )


def test_what_cannot_move_does_not_and_what_must_does(measured):
    for found in measured.values():
        assert values(found, "moved_below") == [0, 0]
        assert values(found, "first_layer_gradient_shift") == [0, 0]
        assert min(values(found, "moved_above")) > 1e-4
        assert found["input_drift"][0].curve.y[0] == 0
        assert found["gradient_shift_cosine"][0].curve.y[0] == pytest.approx(1)


def test_running_statistics_matter_to_batch_norm_alone(measured):
    assert values(measured["none"], "drift_running") == values(measured["none"], "drift_wasserstein")
    assert values(measured["none"], "drift_linear") != values(measured["batch"], "drift_linear")
    assert values(measured["batch"], "drift_running") != values(measured["batch"], "drift_wasserstein")
    assert max(values(measured["batch"], "drift_mean")) < 0.1 * min(values(measured["none"], "drift_mean"))


def test_same_seeds_give_the_same_bits_and_do_not_depend_on_their_neighbours(measured):
    assert measure(depth=4, norm="batch") == measured["batch"]
    alone = measure(seeds=(1,), depth=4, norm="none")
    # Trained together or alone, rounding differs; a few steps in, so does the last digit.
    for metric in ("sampling_drift", "perturbation_growth"):
        assert values(alone, metric)[0] == pytest.approx(values(measured["none"], metric)[1], rel=1e-2)


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_first_step_agrees_with_ordinary_training(norm):
    """Drift, gradient shift and turning of the first step, by a plain SGD step and plain autograd."""
    setting, rate = case(depth=4, norm=norm), 0.1
    problem = WORKLOAD.problem(setting, "cpu")
    watch = ShiftWatch(problem, (0,), (0,), lambda seed: seed, 64, 0.01)
    recipe = Recipe(steps=1, check_every=2)
    Trainer(problem, recipe).train([Replica(rate, 3)], observe=watch, observe_at=(0, 1))
    (pair,) = watch.records[3].pairs

    model = problem.build(3)
    index = data_order(problem, recipe, 3)[0]
    order = torch.randperm(len(problem.x), generator=torch.Generator().manual_seed(3))
    probe = problem.x[order[:64]]

    def first_pre_activations():
        return model.hidden[0].norm(model.hidden[0].linear(probe)).detach()

    def gradients(x, y):
        model.zero_grad()
        cross_entropy(model(x), y).backward()
        return [layer.weight.grad.clone() for layer in (*(h.linear for h in model.hidden), model.head)]

    before, whole = first_pre_activations(), gradients(problem.x, problem.y)
    batch = gradients(problem.x[index], problem.y[index])
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    optimizer.step()
    expected = drift(before, first_pre_activations())
    assert pair.drifts[0].wasserstein == pytest.approx(expected.wasserstein, rel=1e-3)
    assert pair.drifts[0].kl == pytest.approx(expected.kl, rel=1e-2, abs=1e-8)
    turned = [
        float(cosine_similarity(a.flatten(), b.flatten(), dim=0))
        for a, b in zip(whole, gradients(problem.x, problem.y), strict=True)
    ]
    assert pair.consistency == pytest.approx(turned, abs=2e-3)
    start = problem.build(3)
    with torch.no_grad():  # the head goes back: its G' is taken where all but itself have stepped
        for after, initial in zip(model.head.parameters(), start.head.parameters(), strict=True):
            after.copy_(initial)
    shifted = gradients(problem.x[index], problem.y[index])[-1]
    assert pair.shifts[-1].l2 == pytest.approx(float((shifted - batch[-1]).norm()), rel=1e-2)


def test_one_step_at_a_vanishing_rate_adds_up():
    """To first order a joint change is the sum of single ones, so it is no farther; and gradients stay."""
    found = measure(seeds=(0,), depth=4, learning_rate=1e-4)
    assert 0.2 < values(found, "joint_over_sum")[0] <= 1
    assert values(found, "gradient_consistency")[0] > 0.999
    assert values(found, "gradient_shift_cosine")[0] > 0.999


def test_steps_that_compound_by_construction_are_seen_to():
    """Without biases, factors of 1.1 on each of three hidden layers make 1.1³ − 1 where each alone makes 0.1."""
    found = measure(seeds=(0, 1), depth=4)
    assert values(found, "scaled_joint_over_sum") == pytest.approx([(1.1**3 - 1) / 0.3] * 2, rel=1e-4)


def test_a_rate_below_the_precision_of_weights_moves_nothing():
    idle = measure(seeds=(0,), depth=4, learning_rate=IDLE)
    assert max(values(idle, "least_drift") + values(idle, "moved_above")) < 1e-6
    assert values(measure(seeds=(0,), depth=4), "least_drift")[0] > 1e-4


def test_growth_is_that_of_a_known_curve():
    """Drifts of 0.01, 0.1 and 1 over three layers grow by two decades."""
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scale = x.std(dim=0, correction=0)
    record = Record(perturbed=[drift(x, x + shift * scale) for shift in (0.01, 0.1, 1.0)])
    found = measure_summary(record)
    assert found["perturbation_growth"][0] == pytest.approx(2)
    assert found["perturbation_growth"][1].y == pytest.approx((0.01, 0.1, 1.0))


def measure_summary(record):
    """Summary of a record with one real pair of steps and other perturbations."""
    problem = WORKLOAD.problem(case(depth=4), "cpu")
    watch = ShiftWatch(problem, (0,), (0,), lambda seed: seed, 32, 0.01)
    Trainer(problem, Recipe(steps=1, check_every=2)).train([Replica(0.1, 0)], observe=watch, observe_at=(0, 1))
    record.pairs = watch.records[0].pairs
    return {metric: (value, curve) for metric, value, curve in summarize(record)}


def test_a_diverged_net_fails_in_every_metric():
    found = measure(seeds=(0,), depth=4, learning_rate=100.0)
    assert all(math.isnan(m.value) for ms in found.values() for m in ms)
    assert all("diverged" in m.warnings[-1] for ms in found.values() for m in ms)
    assert set(found) == applying(case(depth=4, learning_rate=100.0))


def test_regression_minimizes_the_squared_error():
    problem = WORKLOAD.problem(case(**LINEAR), "cpu")
    output, target = torch.tensor([[[1.0, 3.0]]]), torch.tensor([[[0.0, 1.0]]])
    assert float(problem.loss.mean(output, target)) == 2.5
    assert problem.build(0)(problem.x).shape == problem.y.shape
    assert all(isinstance(layer.activation, torch.nn.Identity) for layer in problem.build(0).hidden)


def test_nets_that_draw_at_random_drift_by_their_noise():
    noisy, plain = (measure(seeds=(0,), depth=4, norm=norm) for norm in ("noisy_batch", "batch"))
    assert values(noisy, "drift_wasserstein")[0] > 3 * values(plain, "drift_wasserstein")[0]
    assert values(noisy, "moved_below") == [0]
    assert values(noisy, "first_layer_gradient_shift") == [0]


def test_arms_share_weights_order_and_probe():
    one, other = case(norm="none", learning_rate=0.1), case(norm="batch", learning_rate=0.03)
    for purpose in ("weights", "order", "probe"):
        assert WORKLOAD.seed_for(one, 5, purpose) == WORKLOAD.seed_for(other, 5, purpose)
        assert WORKLOAD.seed_for(one, 5, purpose) != WORKLOAD.seed_for(one, 6, purpose)


def test_observed_steps_fit_the_budget():
    assert max(STARTS) + 1 == STEPS
    assert case().integer("batch_size") == PROBE_SIZE
