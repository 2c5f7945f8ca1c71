"""What an observer sees is what an ordinary loop would have there, and looking changes nothing."""

import dataclasses
import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ics_bench.subjects import DATASETS, INITIALIZERS
from ics_bench.subjects.mlp import MLP
from ics_bench.subjects.norm import load_norm
from ics_bench.training import Problem, Recipe, Replica, Trainer
from ics_bench.training.train import bytes_per_replica, data_order

RECIPE = Recipe(steps=12, batch_size=64, divergence_factor=math.inf)
REPLICAS = [Replica(rate, seed) for rate in (0.01, 0.05) for seed in (0, 1)]


def problem(norm="batch", dtype=torch.float64):
    data = DATASETS.load("digits")()
    norm_layer = load_norm(norm).build

    def build(seed):
        generator = torch.Generator().manual_seed(seed)
        return MLP(64, 10, 4, 16, norm_layer, INITIALIZERS.load("he"), generator).to(dtype)

    return Problem(data.x[:512].to(dtype), data.y[:512], build, lambda seed: 100 + seed)


def states_of_an_ordinary_loop(task, replica, recipe, at):
    model = task.build(replica.seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=replica.learning_rate)
    order, states = data_order(task, recipe, replica.seed, extra=1), {}
    for step in range(recipe.steps + 1):
        if step in at:
            states[step] = {name: value.clone() for name, value in model.state_dict().items()}, order[step]
        optimizer.zero_grad()
        cross_entropy(model(task.x[order[step]]), task.y[order[step]]).backward()
        optimizer.step()
    return states


@pytest.mark.parametrize("mode", ["lifted", "vmap", "looped"])
def test_an_observed_net_is_that_of_an_ordinary_loop(mode):
    task, at, seen = problem(), (0, 5, 6, 12), []
    Trainer(task, RECIPE, mode=mode).train(REPLICAS, observe=seen.append, observe_at=at)
    assert [(o.step, o.replica) for o in seen] == [(step, replica) for step in at for replica in REPLICAS]
    expected = {replica: states_of_an_ordinary_loop(task, replica, RECIPE, at) for replica in REPLICAS}
    for o in seen:
        state, index = expected[o.replica][o.step]
        assert type(o.module) is MLP
        assert o.module.training
        assert type(o.module.hidden[0].norm) is type(task.build(0).hidden[0].norm)
        assert torch.equal(o.x, task.x[index])
        assert torch.equal(o.y, task.y[index])
        found = o.module.state_dict()
        assert list(found) == list(state)
        for name, value in state.items():
            torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-9)


def vandalize(observation):
    """Do everything to what was handed over that could reach the training."""
    torch.rand(7)
    observation.x.zero_()
    observation.y.zero_()
    cross_entropy(observation.module(observation.x), observation.y).backward()
    with torch.no_grad():
        for tensor in (*observation.module.parameters(), *observation.module.buffers()):
            tensor.zero_()


@pytest.mark.parametrize("mode", ["lifted", "vmap", "looped"])
def test_looking_does_not_change_a_bit(mode):
    task = problem(dtype=torch.float32)
    alone = Trainer(task, RECIPE, mode=mode).train(REPLICAS, lambda ts: [True] * len(ts))
    torch.manual_seed(3)
    expected_draw = torch.rand(3)
    torch.manual_seed(3)
    watched = Trainer(task, RECIPE, mode=mode).train(REPLICAS, observe=vandalize, observe_at=range(13))
    assert torch.equal(torch.rand(3), expected_draw)
    assert [t.losses for t in watched] == [t.losses for t in alone]
    with torch.no_grad():
        assert all(float(p.abs().sum()) > 0 for p in task.build(0).hidden[0].linear.weight)


class Dropped(nn.Module):
    """Draws random numbers, so that replicas are looped over with states of their own."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.drop = inner, nn.Dropout(0.3)

    def forward(self, x):
        return self.inner(self.drop(x))


def test_looking_does_not_change_the_draws_of_a_net_that_draws():
    base = problem("none")
    task = Problem(base.x, base.y, lambda seed: Dropped(base.build(seed)), base.order_seed)
    alone = Trainer(task, RECIPE).train(REPLICAS, lambda ts: [True] * len(ts))
    draws = []
    for _ in range(2):
        torch.rand(5)  # the observers' draws are their own too
        trainer = Trainer(task, RECIPE)
        watched = trainer.train(REPLICAS, observe=lambda o: draws.append(o.module(o.x)), observe_at=(4,))
        assert [t.losses for t in watched] == [t.losses for t in alone]
    assert all(torch.equal(one, other) for one, other in zip(draws[:4], draws[4:], strict=True))


def test_chunks_of_memory_are_observed_alike():
    task, whole, chunked = problem("layer"), {}, {}
    budget = bytes_per_replica(task, RECIPE, task.build(0))

    def into(found):
        return lambda o: found.setdefault((o.step, o.replica), o.module.head.weight.detach())

    Trainer(task, RECIPE).train(REPLICAS, observe=into(whole), observe_at=(3, 12))
    Trainer(task, RECIPE, memory_budget=budget).train(REPLICAS, observe=into(chunked), observe_at=(3, 12))
    assert list(whole) != list(chunked)  # in another order
    assert whole.keys() == chunked.keys()
    for key, weight in whole.items():
        torch.testing.assert_close(chunked[key], weight, rtol=1e-9, atol=1e-12)


def test_who_diverges_is_not_observed_any_more_and_the_others_are_themselves():
    task, seen = problem("none", torch.float32), {}
    wild, tame = Replica(1e6, 0), Replica(1e-3, 1)
    recipe = Recipe(steps=12, batch_size=64)
    trajectories = Trainer(task, recipe).train(
        [wild, tame], observe=lambda o: seen.setdefault(o.replica, []).append((o.step, o.module)), observe_at=range(13)
    )
    assert trajectories[0].diverged
    assert [step for step, _ in seen[wild]] == list(range(trajectories[0].steps))
    assert [step for step, _ in seen[tame]] == list(range(13))
    (_, last), expected = seen[tame][-1], states_of_an_ordinary_loop(task, tame, recipe, (12,))[12][0]
    torch.testing.assert_close(last.state_dict()["head.weight"], expected["head.weight"], rtol=1e-4, atol=1e-6)


def test_an_observed_replica_trains_on_after_the_target():
    task, seen = problem(), []
    recipe = Recipe(steps=60, batch_size=64, target=0.5)
    (watched,) = Trainer(task, recipe).train([Replica(0.1, 0)], observe=seen.append, observe_at=(60,))
    (alone,) = Trainer(task, recipe).train([Replica(0.1, 0)])
    assert alone.steps < 60
    assert watched.reached_at == alone.reached_at
    assert watched.steps == 60
    assert [o.step for o in seen] == [60]


def test_steps_that_cannot_be_observed_are_refused():
    trainer = Trainer(problem(), RECIPE)
    with pytest.raises(ValueError, match=r"observe_at=\[13\]"):
        trainer.train(REPLICAS, observe=print, observe_at=(0, 13))
    with pytest.raises(ValueError, match="give both or neither"):
        trainer.train(REPLICAS, observe_at=(0,))


def test_the_batch_beyond_the_budget_leaves_the_others_as_they_were():
    task = problem()
    for steps in (3, 8, 16):  # within, at and beyond epochs of 8 batches
        recipe = Recipe(steps=steps, batch_size=64)
        order = data_order(task, recipe, 5, extra=1)
        assert torch.equal(order[:-1], data_order(task, recipe, 5))
        assert len(order) == steps + 1


class Calling(nn.Module):
    """Counts its calls in an attribute, which no one but itself can know, and bears a mark."""

    def __init__(self, inner, mark):
        super().__init__()
        self.inner, self.mark, self.calls = inner, mark, 0

    def forward(self, x):
        self.calls += 1
        return self.inner(x)


@pytest.mark.parametrize("mode", ["vmap", "looped"])
def test_an_observed_net_has_the_attributes_of_its_replica(mode):
    """Also after another was dropped; and where each runs by itself, those of the present step."""
    base = problem("none")
    task = dataclasses.replace(base, build=lambda seed: Calling(base.build(seed), f"seed {seed}"))
    seen = []
    replicas = [Replica(rate, seed) for rate, seed in ((1e6, 0), (0.1, 1), (0.1, 2))]
    recipe = dataclasses.replace(RECIPE, divergence_factor=2.0)
    Trainer(task, recipe, mode=mode).train(replicas, observe=seen.append, observe_at=range(1, 13, 3))
    assert {o.replica.seed for o in seen if o.step > 4} == {1, 2}
    assert {(o.replica.seed, o.module.mark) for o in seen} >= {(1, "seed 1"), (2, "seed 2")}
    assert all(o.module.mark == f"seed {o.replica.seed}" for o in seen)
    calls = [o.module.calls for o in seen if o.replica.seed == 2]
    assert calls == sorted(calls)
    assert (len(set(calls)) == len(calls)) == (mode == "looped")
