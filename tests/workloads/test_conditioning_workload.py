"""conditioning: known condition numbers, and steps of gradient descent that the trainer takes too."""

import math

import pytest
import torch

from ics_bench.training import Problem, Recipe, Replica, Trainer
from ics_bench.training.losses import SQUARED_ERROR
from ics_bench.workloads import _conditioning as problems
from ics_bench.workloads.conditioning import PREPROCESSINGS, SHARE, TOLERANCE, WORKLOAD


def measured(data, preprocessing, seeds=(1000,)):
    (case,) = WORKLOAD.cases("standard", {"data": [data], "preprocessing": [preprocessing]})
    return list(WORKLOAD.measure(case, seeds, "cpu"))


def value(measurements, metric):
    (found,) = (m.value for m in measurements if m.metric == metric)
    return found


@pytest.mark.parametrize(
    ("data", "preprocessing", "known"),
    [
        ("digits", "raw", 6.5e6),
        ("digits", "centred", 4.34e5),
        ("digits", "standardised", 145.8),
        ("digits", "whitened", 1.0),
        ("breast_cancer", "raw", 2.38e12),
        ("breast_cancer", "standardised", 9.98e4),
        ("breast_cancer", "whitened", 1.0),
    ],
)
def test_condition_numbers_of_whole_data_sets(data, preprocessing, known):
    found = measured(data, preprocessing)
    assert value(found, "whole_condition_number") == pytest.approx(known, rel=1e-2)
    assert value(found, "rank_deficit") == 0


def test_constant_pixels_are_dropped_and_said():
    found = measured("digits", "raw")
    assert value(found, "dropped_features") >= 3
    assert all("constant features" in m.warnings[0] for m in found if m.metric.endswith("condition_number"))


@pytest.mark.parametrize(("data", "preprocessing"), [("digits", "standardised"), ("digits", "centred")])
def test_steps_are_those_that_the_trainer_takes(data, preprocessing):
    """Full-batch SGD in float64 on the same loss, from zero weights, at the same rate."""
    sample = problems.rows(data, 7, SHARE)
    x = problems.preprocess(sample.x, preprocessing)
    outputs, n = sample.y.shape[1], len(x)
    z = torch.cat([torch.ones(n, 1, dtype=torch.float64), x], dim=1)
    best = torch.linalg.lstsq(z, sample.y).solution
    minimum = float((z @ best - sample.y).square().sum() / n)
    variance = float((sample.y - sample.y.mean(dim=0)).square().sum() / n)
    top = float(torch.linalg.eigvalsh(z.T @ z / n)[-1])

    def build(seed):
        net = torch.nn.Linear(x.shape[1], outputs, dtype=torch.float64)
        torch.nn.init.zeros_(net.weight)
        torch.nn.init.zeros_(net.bias)
        return net

    steps = problems.descent_steps(sample, preprocessing, TOLERANCE)
    recipe = Recipe(
        steps=int(steps) + 5,
        batch_size=n,
        check_every=1,
        # The trainer's loss is the mean over outputs: 1/outputs of the sum, and twice the halved square.
        target_loss=(minimum + TOLERANCE * variance) / outputs,
    )
    problem = Problem(x, sample.y, build, lambda seed: seed, loss=SQUARED_ERROR)
    (trajectory,) = Trainer(problem, recipe).train([Replica(outputs / (2 * top), 0)])
    assert trajectory.reached_at == steps


def test_whitened_inputs_take_one_step():
    for data in ("digits", "breast_cancer", "gaussian"):
        assert value(measured(data, "whitened"), "gd_steps") == 1


def test_steps_of_one_direction_have_their_closed_form():
    """Two eigenvalues 1 and λ with all the energy on λ: (1 − λ)^2t ≤ share."""
    for rate, share in ((0.1, 0.01), (0.001, 0.5), (1e-9, 1e-3)):
        found = problems._first(
            torch.log1p(-torch.tensor([1.0, rate], dtype=torch.float64)), torch.tensor([0.0, 1.0]), share
        )
        assert found == pytest.approx(math.ceil(math.log(share) / (2 * math.log1p(-rate))), rel=1e-9)
    assert problems._first(torch.tensor([-1.0]), torch.tensor([0.5]), 0.6) == 0
    assert problems._first(torch.tensor([0.0]), torch.tensor([1.0]), 0.5) == math.inf


def test_independent_gaussians_gain_nothing():
    conditions = {how: value(measured("gaussian", how), "condition_number") for how in PREPROCESSINGS}
    assert max(conditions.values()) < 2


def test_equal_seeds_repeat_and_arms_share_their_rows():
    assert measured("digits", "raw", (1000, 1001)) == measured("digits", "raw", (1000, 1001))
    first, second = (
        [m.value for m in measured("gaussian", how, (1000, 1001)) if m.metric == "condition_number"]
        for how in ("raw", "centred")
    )
    assert first[0] != first[1]
    assert first == pytest.approx(second, rel=0.05)


@pytest.mark.parametrize("case", WORKLOAD.cases("quick"), ids=str)
def test_what_applies_is_yielded(case):
    found = {m.metric for m in WORKLOAD.measure(case, [1000], "cpu")}
    assert found == {m.name for m in WORKLOAD.metrics if WORKLOAD.applies(m.name, case)}
