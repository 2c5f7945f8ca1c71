"""saturation: layers counted by hand, what training must leave alone, and what it must not."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from ics_bench.core import Case
from ics_bench.subjects import INITIALIZERS
from ics_bench.subjects.mlp import MLP
from ics_bench.subjects.norm import load_norm
from ics_bench.workloads._problem import problem_of
from ics_bench.workloads._saturation_look import look
from ics_bench.workloads.saturation import LOOKS, STEPS, WORKLOAD

BASE = WORKLOAD.cases("quick")[0]
SEEDS = (1000, 1001)


def measure(seeds=SEEDS, **changes):
    case, found = Case.of({**BASE, "depth": 5, "width": 32, **changes}), {}
    for m in WORKLOAD.measure(case, seeds, "cpu"):
        found.setdefault(m.metric, []).append(m)
    return found


def values(found, metric):
    return [m.value for m in found[metric]]


def net(norm="none", activation="relu", init="he", position="before"):
    generator = torch.Generator().manual_seed(3)
    build = load_norm(norm).build
    model = MLP(6, 3, 4, 8, build, INITIALIZERS.load(init), generator, activation, position).double()
    x = torch.randn(20, 6, generator=generator, dtype=torch.float64)
    return model, x, torch.arange(20) % 3


def by_hand(model, x, y, phi):
    """Layer by layer without hooks, and gradients by perturbing z."""
    h, zs, activations = x, [], []
    for layer in model.hidden:
        zs.append(h @ layer.linear.weight.T + layer.linear.bias)
        h = phi(zs[-1])
        activations.append(h)
    first = zs[0].detach().requires_grad_()
    h = phi(first)
    for layer in list(model.hidden)[1:]:
        h = phi(h @ layer.linear.weight.T + layer.linear.bias)
    loss = cross_entropy(h @ model.head.weight.T + model.head.bias, y)
    (gradient,) = torch.autograd.grad(loss, first)
    return zs, activations, gradient


@pytest.mark.parametrize(("activation", "phi"), [("relu", torch.relu), ("tanh", torch.tanh)])
def test_a_look_is_what_a_count_by_hand_gives(activation, phi):
    model, x, y = net(activation=activation, init="normal-1")
    with torch.no_grad():
        model.hidden[1].linear.bias[:2] = -1e3  # two units that no sample wakes, or that none leaves
    zs, activations, gradient = by_hand(model, x, y, phi)
    seen = look(model, x, y, activation)
    assert seen.signal == pytest.approx([z.square().mean().sqrt().item() for z in zs])
    assert seen.gradient[0] == pytest.approx(gradient.norm().item())
    assert seen.weight_gradient[0] == pytest.approx((gradient.T @ x).norm().item())
    if activation == "tanh":
        assert seen.saturated == pytest.approx([(a.abs() > 0.97).double().mean().item() for a in activations])
        assert seen.saturated[1] >= 0.25
    else:
        assert seen.saturated == ()
        assert seen.zero == pytest.approx([(a == 0).double().mean().item() for a in activations])
        assert seen.dead == pytest.approx([(a == 0).all(0).double().mean().item() for a in activations])
        assert seen.dead[1] >= 0.25
        assert 0 < seen.zero[0] < 1


def test_a_norm_behind_the_activation_does_not_hide_dead_units():
    model, x, y = net("layer", position="after")
    with torch.no_grad():
        model.hidden[0].linear.bias[:4] = -1e3
    assert look(model, x, y, "relu").dead[0] == pytest.approx(0.5, abs=0.26)
    assert look(model, x, y, "relu").dead[0] >= 0.5


def test_linear_layers_have_the_rates_of_their_weights():
    model, x, y = net(activation="identity", init="orthogonal")
    with torch.no_grad():
        for layer in list(model.hidden)[1:]:
            layer.linear.weight.mul_(0.5)  # halves every vector exactly, forward and back
    seen = look(model, x, y, "identity")
    assert seen.forward_rate == pytest.approx(0.25)
    assert seen.backward_rate == pytest.approx(0.25)


def test_a_model_without_a_chain_of_layers_is_refused():
    with pytest.raises(TypeError, match="no chain of hidden layers"):
        look(torch.nn.Linear(2, 2), torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64), "relu")


@pytest.fixture(scope="module")
def trained():
    return measure()


def test_every_metric_that_applies_is_yielded_once_a_seed(trained):
    expected = {m.name for m in WORKLOAD.metrics if WORKLOAD.applies(m.name, BASE)}
    assert trained.keys() == expected
    assert all([m.seed for m in items] == list(SEEDS) for items in trained.values())
    assert measure(activation="relu", init="he").keys() == {
        m.name for m in WORKLOAD.metrics if "saturated" not in m.name
    }


def test_growth_is_the_last_look_less_the_first(trained):
    for one in trained["saturated_growth"]:
        assert one.curve.x == tuple(map(float, LOOKS))
        assert one.curve.y[0] == 0
        assert one.curve.y[-1] == one.value
    rate, error = trained["backward_rate"][0], trained["backward_rate_error"][0]
    assert error.value == pytest.approx(abs(math.log(rate.curve.y[-1])))
    growth = trained["backward_rate_growth"][0].value
    assert growth == pytest.approx(math.log(rate.curve.y[-1] / rate.curve.y[0]))


def test_the_first_look_is_at_the_net_as_drawn_over_all_of_the_data(trained):
    case = Case.of({**BASE, "depth": 5, "width": 32, "architecture": "plain"})
    problem = problem_of(WORKLOAD, case, "cpu")
    seen = look(problem.build(SEEDS[0]).train(), problem.x, problem.y, "tanh")
    assert trained["backward_rate"][0].curve.y[0] == pytest.approx(seen.backward_rate, rel=1e-6)
    assert trained["initial_forward_rate_error"][0].value == pytest.approx(abs(math.log(seen.forward_rate)), rel=1e-5)


def test_same_bits_again_and_seed_by_seed_alike(trained):
    again = measure()
    assert {k: [(m.value, m.curve) for m in v] for k, v in trained.items()} == {
        k: [(m.value, m.curve) for m in v] for k, v in again.items()
    }
    alone = measure(seeds=SEEDS[1:])
    assert values(alone, "saturated_fraction")[0] == pytest.approx(values(trained, "saturated_fraction")[1], rel=1e-3)


def test_weights_that_hardly_move_change_nothing():
    found = measure(learning_rate=1e-6, init="normal-1")
    assert values(found, "saturated_growth") == pytest.approx([0, 0], abs=1e-3)
    assert min(values(found, "saturated_fraction")) > 0.5
    assert values(found, "steps_to_target") == [math.inf, math.inf]
    assert len(found["steps_to_target"][0].curve.y) == STEPS // 10


def test_who_reaches_the_target_stops_after_the_last_look(trained):
    assert max(values(trained, "steps_to_target")) < LOOKS[-1]
    losses = trained["steps_to_target"][0].curve.x
    assert LOOKS[-1] <= losses[-1] <= LOOKS[-1] + 10


def test_who_diverges_has_nothing_left_to_look_at():
    found = measure(activation="relu", init="normal-1", learning_rate=1.0)
    assert all(math.isnan(value) for value in values(found, "dead_growth") + values(found, "backward_rate"))
    assert "diverged at step" in found["dead_growth"][0].warnings[0]
    assert not any(math.isnan(value) for value in values(found, "initial_backward_rate_error"))


def test_the_wild_start_saturates_and_batch_norm_does_not(trained):
    wild = measure(init="normal-1")
    normed = measure(init="normal-1", norm="batch")
    assert min(values(wild, "saturated_fraction")) > 0.7 > max(values(normed, "saturated_fraction")) + 0.5
    assert max(values(trained, "saturated_fraction")) < 0.1
