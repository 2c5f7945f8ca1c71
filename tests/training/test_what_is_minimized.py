"""Losses, warm-up and targets, each against torch's own or a closed form."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from ics_bench.training import CROSS_ENTROPY, MEAN_OUTPUT, SQUARED_ERROR, Problem, Recipe, Replica, Trainer, train
from ics_bench.training.train import data_order

ALL = lambda trajectories: [True] * len(trajectories)  # noqa: E731


def linear(seed, inputs=3, outputs=2):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Linear(inputs, outputs).double()


class TokenNet(nn.Module):
    """Maps (B, T) tokens to (B, T, C) logits."""

    def __init__(self, seed):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.embedding, self.head = nn.Embedding(7, 4), nn.Linear(4, 7)

    def forward(self, tokens):
        return self.head(torch.tanh(self.embedding(tokens)))


def token_problem():
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(7, (60, 5), generator=generator)
    y = (x + 1) % 7
    y[torch.rand(y.shape, generator=generator) < 0.4] = -100
    return Problem(x, y, lambda seed: TokenNet(seed).double(), lambda seed: seed)


@pytest.mark.parametrize("mode", ["vmap", "looped"])
def test_token_loss_is_torchs_with_its_ignored_label(mode):
    task, recipe = token_problem(), Recipe(steps=10, batch_size=20)
    for trajectory in Trainer(task, recipe, mode=mode).train([Replica(0.5, 0), Replica(2.0, 1)], ALL):
        model = task.build(trajectory.replica.seed)
        optimizer, expected = torch.optim.SGD(model.parameters(), lr=trajectory.replica.learning_rate), []
        for index in data_order(task, recipe, trajectory.replica.seed):
            optimizer.zero_grad()
            loss = cross_entropy(model(task.x[index]).flatten(0, 1), task.y[index].flatten())
            loss.backward()
            optimizer.step()
            expected.append(loss.item())
        assert trajectory.losses == pytest.approx(expected, rel=1e-9)


def test_token_accuracy_counts_the_tokens_that_have_a_target():
    task, modules = token_problem(), []
    recipe = Recipe(steps=150, batch_size=20, target=0.9)
    (trajectory,) = Trainer(task, recipe).train([Replica(3.0, 0)], observe=modules.append, observe_at=range(0, 151, 10))
    wanted = task.y != -100
    accuracy = [float((o.module(task.x).argmax(-1) == task.y)[wanted].double().mean()) for o in modules]
    first = next(i for i in range(1, len(accuracy) - 1) if min(accuracy[i : i + 2]) >= 0.9)
    assert trajectory.reached_at == 10 * first
    assert accuracy[0] < 0.5


def regression():
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Problem(x, x @ torch.ones(3, 2, dtype=torch.float64), linear, lambda seed: seed, SQUARED_ERROR)


@pytest.mark.parametrize("mode", ["lifted", "vmap", "looped"])
def test_squared_error_reaches_a_target_loss_where_an_ordinary_loop_does(mode):
    task, recipe = regression(), Recipe(steps=200, batch_size=40, target_loss=1e-2)
    for trajectory in Trainer(task, recipe, mode=mode).train([Replica(0.1, 0), Replica(0.2, 1)]):
        model, losses = task.build(trajectory.replica.seed), [math.inf]
        optimizer = torch.optim.SGD(model.parameters(), lr=trajectory.replica.learning_rate)
        for step in range(200):
            optimizer.zero_grad()
            mse_loss(model(task.x), task.y).backward()
            optimizer.step()
            if (step + 1) % 10 == 0:
                losses.append(mse_loss(model(task.x), task.y).item())
        first = next(i for i, loss in enumerate(losses) if loss <= 1e-2)
        assert 10 < 10 * first < 150
        assert trajectory.reached_at == 10 * first


def test_squared_error_without_a_target_loss_reaches_nothing():
    (trajectory,) = train(regression(), [Replica(0.1, 0)], Recipe(steps=200, batch_size=40))
    assert trajectory.losses[-1] < 1e-3
    assert not trajectory.reached


class Signed(nn.Module):
    """Its output is the loss: w·x, which falls below zero and keeps falling."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3, dtype=torch.float64))

    def forward(self, x):
        return x @ self.weight


def test_an_output_that_is_the_loss_may_fall_below_zero():
    x = torch.ones(8, 3, dtype=torch.float64)
    task = Problem(x, torch.zeros(8), lambda seed: Signed(), lambda seed: seed, MEAN_OUTPUT)
    (trajectory,) = train(task, [Replica(0.5, 0)], Recipe(steps=5, batch_size=8))
    assert trajectory.losses == pytest.approx([-1.5 * step for step in range(5)])  # each step lowers w·x by η |x|²
    assert not trajectory.diverged
    assert not trajectory.reached


def test_warm_up_grows_linearly_to_the_rate():
    x = torch.ones(8, 3, dtype=torch.float64)
    task = Problem(x, torch.zeros(8), lambda seed: Signed(), lambda seed: seed, MEAN_OUTPUT)
    (trajectory,) = train(task, [Replica(1.0, 0)], Recipe(steps=7, batch_size=8, warmup=4))
    falls = [(before - after) / 3 for before, after in zip(trajectory.losses, trajectory.losses[1:], strict=False)]
    assert falls == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 1.0])


def test_shapes_that_would_broadcast_are_refused():
    output, labels = torch.zeros(2, 4, 3), torch.zeros(2, 4, dtype=torch.int64)
    with pytest.raises(ValueError, match="do not fit labels"):
        CROSS_ENTROPY.mean(output, labels[:, :1])
    with pytest.raises(ValueError, match="differ in shape"):
        SQUARED_ERROR.mean(output, torch.zeros(2, 4, 1))
    with pytest.raises(ValueError, match="more than one number"):
        MEAN_OUTPUT.mean(output, labels)
