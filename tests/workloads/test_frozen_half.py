"""The frozen half: what stands still, what starts trained, and when freezing changes nothing."""

import math

import pytest
import torch

from ics_bench.core import Case
from ics_bench.training import Recipe, Replica, Trainer
from ics_bench.workloads._problem import problem_of
from ics_bench.workloads.frozen_half import WORKLOAD, _assembled, lower_names


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def case(**changes):
    return Case.of({**WORKLOAD.cases("quick")[0], **changes})


def measure(seeds=(0, 1), **changes):
    return list(WORKLOAD.measure(case(**changes), seeds, "cpu"))


def steps(measurements):
    return [m.value for m in measurements if m.metric == "steps_to_target"]


def test_lower_names_end_where_the_upper_part_begins():
    module = problem_of(WORKLOAD, case(norm="batch", depth=4), "cpu").build(0)
    assert lower_names(module, 0) == frozenset()
    lower = lower_names(module, 2)
    assert {name.split(".")[1] for name in lower} == {"0", "1"}
    assert "hidden.1.norm.running_mean" in lower
    assert "hidden.2.linear.weight" not in lower


@pytest.mark.parametrize("lower", ["moving", "frozen"])
def test_the_lower_part_moves_or_stands_still_and_the_upper_one_learns(lower):
    setting = case(lower=lower)
    whole = problem_of(WORKLOAD, setting, "cpu")
    problem = _assembled(setting, whole, {})
    found = []
    Trainer(problem, Recipe(steps=5, check_every=6)).train(
        [Replica(0.1, 0)], observe=lambda o: found.append(dict(o.module.named_parameters())), observe_at=(0, 5)
    )
    names = lower_names(problem.build(0), 2)
    before, after = found
    for name in before:
        assert torch.equal(before[name], after[name]) == (lower == "frozen" and name in names), name


def test_pretrained_weights_stand_below_initial_ones():
    setting = case(pretraining=20)
    whole = problem_of(WORKLOAD, setting, "cpu")
    trained = WORKLOAD._pretrain(setting, whole, Recipe(), [Replica(0.1, 4)])
    module, initial = _assembled(setting, whole, trained).build(4), whole.build(4)
    lower = lower_names(module, 2)
    for name, value in module.state_dict().items():
        assert torch.equal(value, trained[4][name] if name in lower else initial.state_dict()[name]), name
    assert not torch.equal(trained[4]["hidden.0.linear.weight"], initial.state_dict()["hidden.0.linear.weight"])


def test_freezing_no_layer_changes_nothing():
    assert steps(measure(lower="frozen", lower_layers=0)) == steps(measure(lower="moving", lower_layers=0))


def test_trained_features_are_quicker_than_random_ones_and_the_same_bits_come_again():
    random, trained = measure(lower="frozen"), measure(lower="frozen", pretraining=50)
    assert all(a < b for a, b in zip(steps(trained), steps(random), strict=True))
    assert measure(lower="frozen", pretraining=50) == trained


def test_a_net_that_diverges_in_pretraining_has_failed():
    found = measure(seeds=(0,), pretraining=50, learning_rate=100.0)
    assert steps(found) == [math.inf]
    assert all("diverged in pretraining" in m.warnings for m in found)


def test_arms_share_their_draws_and_pretraining_has_an_order_of_its_own():
    one, other = case(lower="frozen", pretraining=50), case()
    assert WORKLOAD.seed_for(one, 3, "weights") == WORKLOAD.seed_for(other, 3, "weights")
    assert WORKLOAD.seed_for(one, 3, "pretraining") != WORKLOAD.seed_for(one, 3, "order")


def test_something_stands_above_the_lower_part():
    assert not WORKLOAD.includes(case(depth=4, lower_layers=4))
