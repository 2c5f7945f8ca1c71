"""Walks along real training: what is yielded, against walks made by hand, and reproducibility."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from ics_bench.core import Case
from ics_bench.training import Recipe
from ics_bench.training.train import data_order
from ics_bench.workloads._descent import BATCH_SIZE, MATCHED_LOSS, Descent
from ics_bench.workloads._problem import problem_of
from ics_bench.workloads.landscape import EVERY, STEPS, WINDOW, WORKLOAD


def case(**changes):
    return Case.of({**WORKLOAD.cases("quick")[0], "depth": 3, "width": 16, **changes})


def measure(seeds=(1000,), **changes):
    found = {}
    for m in WORKLOAD.measure(case(**changes), seeds, "cpu"):
        found.setdefault(m.metric, []).append(m)
    return found


@pytest.fixture(scope="module")
def measured():
    return {norm: measure(seeds=(1000, 1001), norm=norm) for norm in ("none", "batch")}


def gradients(model, x, y):
    loss = cross_entropy(model(x), y)
    return loss.item(), torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])


def moved(model, direction, step):
    vector = torch.nn.utils.parameters_to_vector(model.parameters()).detach() - step * direction
    torch.nn.utils.vector_to_parameters(vector, model.parameters())


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_values_are_those_of_a_walk_by_hand_through_ordinary_training(measured, norm):
    """Train with torch's own tools, walk with a copy of the net, and take the medians."""
    chosen, rate, factors = case(norm=norm), 0.1, (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
    problem = problem_of(WORKLOAD, chosen, "cpu")
    order = data_order(problem, Recipe(WINDOW, BATCH_SIZE), 1000, extra=1)
    model, seen = problem.build(1000), []
    for step, index in enumerate(order):
        x, y = problem.x[index], problem.y[index]
        if step % EVERY == 0:
            twin = problem.build(1000).double()
            twin.load_state_dict(model.state_dict())
            start, g = gradients(twin, x.double(), y)
            losses, betas, relative = [], [], []
            for factor in factors:
                moved(twin, g, factor * rate)
                loss, h = gradients(twin, x.double(), y)
                moved(twin, g, -factor * rate)
                losses.append(loss)
                relative.append(float((h - g).norm() / g.norm()))
                betas.append(relative[-1] / (factor * rate))
            seen.append((max(losses) - min(losses), max(betas), max(relative)))
            assert start > 0
        _, g = gradients(model, x, y)
        moved(model, g, rate)
    assert len(seen) == WINDOW // EVERY + 1
    for metric, values in zip(
        ("loss_range", "beta", "relative_gradient_difference"), zip(*seen, strict=True), strict=True
    ):
        found = measured[norm][metric][0]
        assert found.value == pytest.approx(float(np.median(values)), rel=1e-3)
        assert found.curve.x == tuple(range(0, WINDOW + 1, EVERY))
        assert found.curve.y == pytest.approx(values, rel=0.02)


def test_every_declared_metric_is_yielded_for_every_seed(measured):
    for found in measured.values():
        assert set(found) == {metric.name for metric in WORKLOAD.metrics}
        assert all([m.seed for m in items] == [1000, 1001] for items in found.values())
        assert all(math.isfinite(m.value) for items in found.values() for m in items)
        assert all(m.unit == WORKLOAD.metric(m.metric).unit for items in found.values() for m in items)


def test_the_rate_times_beta_is_that(measured):
    for prefix in ("", "matched_"):
        one = measured["none"][f"{prefix}lr_beta"][0].value
        assert one == pytest.approx(0.1 * measured["none"][f"{prefix}beta"][0].value)


def test_a_net_with_batch_norm_is_flat_along_its_weights_and_others_are_not(measured):
    assert measured["batch"]["weight_slope"][0].value < 1e-4
    assert measured["none"]["weight_slope"][0].value > 1e-3
    for found in measured.values():
        assert found["gradient_slope"][0].value == pytest.approx(1.0, abs=0.01)


def test_same_seeds_give_the_same_bits_alone_or_together(measured):
    again = measure(seeds=(1001,), norm="batch")
    for metric, items in again.items():
        assert items[0].value == pytest.approx(measured["batch"][metric][1].value, rel=1e-6)
    together = measure(seeds=(1000, 1001), norm="batch")
    assert together == measured["batch"]
    assert again["beta"][0].value != measured["batch"]["beta"][0].value


def test_a_diverged_replica_is_a_failure_and_says_so():
    found = measure(norm="none", learning_rate=300.0)
    assert math.isnan(found["beta"][0].value)
    assert math.isnan(found["matched_beta"][0].value)
    assert found["matched_step"][0].value == math.inf
    assert any("diverged" in text for text in found["beta"][0].warnings)
    assert any("above 1" in text for text in found["beta"][0].warnings)


def test_the_matched_look_is_at_the_first_observed_loss_below_the_level():
    chosen, losses = case(norm="batch"), {}

    def note(view):
        losses[len(losses)] = float(view.surface(view.surface.at).detach())
        return {"loss": losses[len(losses) - 1]}

    descent = Descent(
        WORKLOAD,
        chosen,
        "cpu",
        steps=STEPS,
        every=EVERY,
        scheduled=dict.fromkeys(range(0, WINDOW + 1, EVERY), note),
        matched=lambda view: {"loss": float(view.surface(view.surface.at).detach())},
        on_probe=True,
    )
    descent.run([1000])
    by_step = {step: values["loss"] for step, values in descent.seen[1000].items()}
    first = next(step for step, loss in by_step.items() if loss <= MATCHED_LOSS)
    assert descent.matched_at[1000] == first > 0
    assert descent.matched[1000]["loss"] == by_step[first] <= MATCHED_LOSS < by_step[first - EVERY]
    assert len(set(descent.probe(1000).tolist())) == 256


def test_arms_share_weights_and_order_and_nets_of_other_widths_do_not():
    one, other, control = (problem_of(WORKLOAD, case(**c), "cpu") for c in ({}, {"norm": "batch"}, {"width": 17}))
    assert one.order_seed(5) == other.order_seed(5) != control.order_seed(5)
    assert torch.equal(one.build(5).head.weight, other.build(5).head.weight)


def test_instance_norm_is_skipped_with_its_reason():
    assert "averages over positions" in WORKLOAD.skip(case(norm="instance"), "cpu")


def test_what_the_trainer_warns_of_comes_with_every_number():
    found = measure(norm="noisy_batch")
    assert all(any("one replica at a time" in text for text in m.warnings) for ms in found.values() for m in ms)
