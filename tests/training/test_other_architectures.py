"""Convolutions and transformers go through the same loop: together as one by one."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ics_bench.training import Problem, Recipe, Replica, Trainer
from ics_bench.training.lifted import lift
from ics_bench.training.modes import choose_mode
from ics_bench.training.train import data_order


def convolutional(norm):
    def build(seed):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            layers = [nn.Conv2d(1, 4, 3, padding=1), norm(4), nn.ReLU(), nn.Conv2d(4, 8, 3, stride=2), nn.ReLU()]
            return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)).double()

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(48, 1, 8, 8, generator=generator, dtype=torch.float64)
    return Problem(x, torch.arange(48) % 3, build, lambda seed: seed)


class Attention(nn.Module):
    """One block of softmax attention over tokens, with layer norms, by hand."""

    def __init__(self):
        super().__init__()
        self.embedding, self.first, self.last = nn.Embedding(5, 8), nn.LayerNorm(8), nn.LayerNorm(8)
        self.query, self.key, self.value, self.head = (nn.Linear(8, n) for n in (8, 8, 8, 5))

    def forward(self, tokens):
        h = self.embedding(tokens)
        n = self.first(h)
        weights = (self.query(n) @ self.key(n).transpose(-2, -1) / 8**0.5).softmax(dim=-1)
        return self.head(self.last(h + weights @ self.value(n)))


def sequences():
    def build(seed):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return Attention().double()

    x = torch.randint(5, (48, 6), generator=torch.Generator().manual_seed(0))
    return Problem(x, x.roll(1, dims=1), build, lambda seed: seed)


TASKS = {
    "batch": lambda: convolutional(nn.BatchNorm2d),
    "group": lambda: convolutional(lambda n: nn.GroupNorm(2, n)),
    "tokens": sequences,
}


@pytest.mark.parametrize("mode", ["vmap", "looped"])
@pytest.mark.parametrize("task", TASKS)
def test_together_equals_one_by_one(task, mode):
    problem, recipe = TASKS[task](), Recipe(steps=8, batch_size=16, divergence_factor=math.inf)
    replicas = [Replica(rate, seed) for rate in (0.01, 0.3) for seed in (0, 1)]
    for trajectory in Trainer(problem, recipe, mode=mode).train(replicas, lambda ts: [True] * len(ts)):
        model, expected = problem.build(trajectory.replica.seed), []
        optimizer = torch.optim.SGD(model.parameters(), lr=trajectory.replica.learning_rate)
        for index in data_order(problem, recipe, trajectory.replica.seed):
            optimizer.zero_grad()
            output, labels = model(problem.x[index]), problem.y[index]
            loss = cross_entropy(output.reshape(-1, output.shape[-1]), labels.flatten())
            loss.backward()
            optimizer.step()
            expected.append(loss.item())
        assert trajectory.losses == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("task", TASKS)
def test_they_are_vectorized_where_no_layer_is_lifted(task):
    problem = TASKS[task]()
    modules, index = [problem.build(0), problem.build(1)], torch.arange(32).view(2, 16)
    assert lift(modules[0]) is None
    assert choose_mode(modules, problem.x[index], problem.y[index]) == ("vmap", "")
