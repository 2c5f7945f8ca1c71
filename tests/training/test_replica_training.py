"""Replicas trained together equal the same replicas trained one by one."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ics_bench.core import UsageError
from ics_bench.subjects import DATASETS, INITIALIZERS, OPTIMIZERS
from ics_bench.subjects.mlp import MLP
from ics_bench.subjects.norm import load_norm
from ics_bench.training import Problem, Recipe, Replica, Trainer, train
from ics_bench.training.modes import choose_mode
from ics_bench.training.train import bytes_per_replica, data_order


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def problem(norm="batch", dtype=torch.float64, depth=4, wrap=lambda model: model, width=16):
    data = DATASETS.load("digits")()
    x, y = data.x[:512].to(dtype), data.y[:512]
    norm_layer = norm if callable(norm) else load_norm(norm).build

    def build(seed):
        generator = torch.Generator().manual_seed(seed)
        return wrap(MLP(64, 10, depth, width, norm_layer, INITIALIZERS.load("he"), generator)).to(dtype)

    return Problem(x, y, build, lambda seed: 100 + seed)


def alone(task, replica, recipe):
    """Train by the book: torch's own optimizer on an ordinary module."""
    model = task.build(replica.seed).train()
    rate = replica.learning_rate
    optimizer = {
        "sgd": lambda p: torch.optim.SGD(p, lr=rate),
        "momentum": lambda p: torch.optim.SGD(p, lr=rate, momentum=0.9),
        "adam": lambda p: torch.optim.Adam(p, lr=rate),
        "adam-0.98": lambda p: torch.optim.Adam(p, lr=rate, betas=(0.9, 0.98)),
    }[recipe.optimizer](model.parameters())
    losses = []
    for index in data_order(task, recipe, replica.seed):
        optimizer.zero_grad()
        loss = cross_entropy(model(task.x[index]), task.y[index])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


KEEP_ALL = lambda trajectories: [True] * len(trajectories)  # noqa: E731


MODES = [
    (norm, mode)
    for norm in ("none", "batch", "layer", "rms", "group")
    for mode in ("lifted", "vmap", "looped")
    if (norm, mode) != ("group", "lifted")
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS.builtin())
@pytest.mark.parametrize(("norm", "mode"), MODES)
def test_together_equals_one_by_one(norm, mode, optimizer):
    task = problem(norm)
    recipe = Recipe(steps=20, batch_size=64, optimizer=optimizer, divergence_factor=math.inf)
    replicas = [Replica(rate, seed) for rate in (1e-3, 3e-2) for seed in (0, 1)]
    for trajectory in Trainer(task, recipe, mode=mode).train(replicas, KEEP_ALL):
        expected = alone(task, trajectory.replica, recipe)
        assert trajectory.losses == pytest.approx(expected, rel=1e-9)
        assert not trajectory.warnings


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_verdicts_together_equal_verdicts_one_by_one(norm):
    """Bits part ways after many steps near the ceiling; what is concluded must not."""
    task = problem(norm, torch.float32, width=64)
    recipe = Recipe(steps=100, batch_size=64)
    replicas = [Replica(rate, seed) for rate in (1e-3, 1e-1, 1e3) for seed in range(3)]
    together = train(task, replicas, recipe)
    singly = [train(task, [replica], recipe)[0] for replica in replicas]
    assert [(t.reached, t.diverged) for t in together] == [(t.reached, t.diverged) for t in singly]
    assert {t.reached for t in together} == {True, False}


def freeze_first_layer(model):
    model.hidden[0].linear.requires_grad_(False)
    return model


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_frozen_parameters_stay_as_they_are(norm):
    task = problem(norm, wrap=freeze_first_layer)
    recipe = Recipe(steps=20, batch_size=64, divergence_factor=math.inf)
    for trajectory in train(task, [Replica(0.03, 0), Replica(0.03, 1)], recipe, KEEP_ALL):
        assert trajectory.losses == pytest.approx(alone(task, trajectory.replica, recipe), rel=1e-9)


class NotANumber(nn.Module):
    def __init__(self, num_features):
        super().__init__()

    def forward(self, x):
        return x * math.nan


def test_a_net_that_is_not_finite_at_the_start_has_diverged():
    for trajectory in train(problem(NotANumber), [Replica(0.1, 0), Replica(0.1, 1)], Recipe(steps=5, batch_size=64)):
        assert trajectory.diverged_at == 0
        assert not trajectory.reached


@pytest.mark.parametrize(
    ("norm", "expected"),
    [("none", "lifted"), ("batch", "lifted"), ("layer", "lifted"), ("rms", "lifted"), ("group", "vmap")],
)
def test_the_fastest_mode_that_computes_the_same_is_chosen(norm, expected):
    task = problem(norm, torch.float32)
    modules, index = [task.build(0), task.build(1)], torch.arange(128).view(2, 64)
    assert choose_mode(modules, task.x[index], task.y[index]) == (expected, "")


class WrongAcrossReplicas(nn.Sequential):
    """Claims to take leading axes, and averages over them."""

    any_leading_axes = True

    def forward(self, x):
        return super().forward(x - x.mean(dim=0))


def test_a_module_that_only_claims_to_take_leading_axes_is_not_lifted():
    task = problem("none", torch.float32, wrap=lambda model: WrongAcrossReplicas(model))
    modules, index = [task.build(0), task.build(1)], torch.arange(128).view(2, 64)
    assert choose_mode(modules, task.x[index], task.y[index]) == ("vmap", "")


def test_dropping_replicas_leaves_the_others_as_they_were():
    task = problem("batch")
    recipe = Recipe(steps=30, batch_size=64, target=0.8)
    survivors = [Replica(0.03, 0), Replica(0.03, 1)]
    leavers = [Replica(1e4, 0), Replica(0.3, 0), Replica(1e4, 1)]
    mixed = {t.replica: t for t in train(task, leavers + survivors, recipe)}
    assert any(mixed[replica].steps < recipe.steps for replica in leavers)
    for trajectory in train(task, survivors, recipe):
        assert mixed[trajectory.replica].losses == pytest.approx(trajectory.losses, rel=1e-9)


def test_divergence_is_a_loss_above_ten_times_the_first_or_not_finite():
    task = problem("none", torch.float32)
    recipe = Recipe(steps=40, batch_size=64)
    wild, tame = train(task, [Replica(1e6, 0), Replica(1e-4, 0)], recipe, KEEP_ALL)
    assert wild.diverged
    assert wild.steps == wild.diverged_at + 1 == len(wild.losses)
    last = wild.losses[-1]
    assert not math.isfinite(last) or last > 10 * wild.losses[0]
    assert all(loss <= 10 * wild.losses[0] for loss in wild.losses[:-1])
    assert not tame.diverged
    assert tame.steps == 40


def test_target_is_reached_at_the_first_of_two_successful_checks_in_evaluation_mode():
    task = problem("batch", torch.float64, width=64)
    recipe = Recipe(steps=120, batch_size=64, target=0.95)
    (trajectory,) = train(task, [Replica(0.05, 0)], recipe)
    model = task.build(0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    checks = []
    for step, index in enumerate(data_order(task, recipe, 0), start=1):
        model.train()
        optimizer.zero_grad()
        cross_entropy(model(task.x[index]), task.y[index]).backward()
        optimizer.step()
        if step % 10 == 0:
            model.eval()
            checks.append((model(task.x).argmax(1) == task.y).double().mean().item() >= 0.95)
    first = next(i for i in range(len(checks) - 1) if checks[i] and checks[i + 1])
    assert trajectory.reached_at == (first + 1) * 10
    assert trajectory.steps == trajectory.reached_at + 10


class Branching(nn.Module):
    """Takes a path that depends on a value, which vmap cannot."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x) if x.sum().item() < 1e12 else x


class Counting(nn.Module):
    """Keeps state in a plain attribute, which a stacked pass would lose."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.scale = inner, 1.0

    def forward(self, x):
        if self.training:
            self.scale = 0.9 * self.scale + 0.1 * x.abs().mean().detach()
        return self.inner(x) * self.scale


@pytest.mark.parametrize("wrapper", [Branching, Counting])
def test_a_module_that_vmap_cannot_take_is_trained_one_by_one_with_a_warning(wrapper):
    task = problem("batch", wrap=wrapper)
    recipe = Recipe(steps=12, batch_size=64)
    replicas = [Replica(0.01, 0), Replica(0.02, 1)]
    for trajectory in train(task, replicas, recipe, KEEP_ALL):
        assert trajectory.losses == pytest.approx(alone(task, trajectory.replica, recipe), rel=1e-9)
        assert "one replica at a time" in trajectory.warnings[0]


def test_random_draws_belong_to_the_replica_not_to_its_company():
    task = problem("none", wrap=lambda model: nn.Sequential(nn.Dropout(0.3), model))
    recipe = Recipe(steps=8, batch_size=64)
    one, other = Replica(0.01, 0), Replica(0.01, 1)
    (single,) = train(task, [one], recipe, KEEP_ALL)
    torch.manual_seed(12345)
    together = train(task, [other, one], recipe, KEEP_ALL)[1]
    assert together.losses == pytest.approx(single.losses, rel=1e-12)
    assert "random" in single.warnings[0]
    assert together.losses != pytest.approx(train(task, [other], recipe, KEEP_ALL)[0].losses, rel=1e-3)


class ReplacedBuffer(nn.Module):
    """A norm that replaces its running mean instead of updating it in place."""

    def __init__(self, num_features):
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(num_features))

    def forward(self, x):
        if self.training:
            self.running_mean = 0.5 * self.running_mean + 0.5 * x.mean(0).detach()
        return x - self.running_mean


def test_buffers_that_are_replaced_are_carried_along():
    task = problem(ReplacedBuffer)
    recipe = Recipe(steps=10, batch_size=64)
    for trajectory in train(task, [Replica(0.01, 0), Replica(0.05, 1)], recipe, KEEP_ALL):
        assert trajectory.losses == pytest.approx(alone(task, trajectory.replica, recipe), rel=1e-9)
        assert not trajectory.warnings


def test_chunks_give_what_one_batch_gives():
    task = problem("layer")
    recipe = Recipe(steps=10, batch_size=64)
    replicas = [Replica(rate, seed) for rate in (1e-2, 1e-1) for seed in range(3)]
    whole = train(task, replicas, recipe, KEEP_ALL)
    budget = 2 * bytes_per_replica(task, recipe, task.build(0))
    chunked = Trainer(task, recipe, memory_budget=budget).train(replicas, KEEP_ALL)
    for one, other in zip(whole, chunked, strict=True):
        assert one.losses == pytest.approx(other.losses, rel=1e-9)


def test_training_leaves_the_global_random_state_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    train(problem("batch"), [Replica(0.01, 0)], Recipe(steps=2, batch_size=64))
    assert torch.equal(torch.rand(3), expected)


def test_bad_requests_name_the_value():
    with pytest.raises(ValueError, match="batch_size=4096"):
        train(problem(), [Replica(0.1, 0)], Recipe(batch_size=4096))
    with pytest.raises(UsageError, match="unknown optimizer 'sgdd'; did you mean 'sgd'"):
        train(problem(), [Replica(0.1, 0)], Recipe(optimizer="sgdd", batch_size=64))
    assert train(problem(), [], Recipe()) == []


class Frozen(nn.Module):
    """Keeps its norms in evaluation mode, whatever it is told."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def train(self, mode=True):
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.eval()
        return self

    def forward(self, x):
        return self.inner(x)


def asleep(model):
    """Build a net with one norm in evaluation mode, as whoever built it forgot it."""
    model.hidden[1].norm.eval()
    return model


@pytest.mark.parametrize(
    ("wrap", "mode"), [(asleep, "lifted"), (asleep, "vmap"), (asleep, "looped"), (Frozen, "vmap"), (Frozen, "looped")]
)
def test_training_mode_is_what_the_model_makes_of_train(wrap, mode):
    task, recipe = problem(wrap=wrap), Recipe(steps=6, batch_size=64, check_every=2)
    (found,) = Trainer(task, recipe, mode=mode).train([Replica(0.05, 3)], KEEP_ALL)
    assert found.losses == pytest.approx(alone(task, Replica(0.05, 3), recipe), rel=1e-9)
