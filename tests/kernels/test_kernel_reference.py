"""The oracle against torch's autograd in float64, which shares no code with it."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from ics_bench.kernels.inputs import KINDS, draw, exact_inputs
from ics_bench.kernels.reference import backward, forward
from ics_bench.kernels.spec import Problem

CASES = [
    Problem("layer", "forward", (7, 33)),
    Problem("layer", "forward", (1, 5)),
    Problem("rms", "forward", (7, 33)),
    Problem("layer", "forward", (7, 33), zero_centered=True),
    Problem("rms", "forward", (7, 33), zero_centered=True),
    Problem("group", "forward", (3, 12, 5, 4), groups=4),
    Problem("group", "forward", (2, 6), groups=2),
    Problem("instance", "forward", (3, 5, 4, 7)),
    Problem("batch", "forward", (4, 5, 3, 2)),
    Problem("batch", "forward", (9, 5)),
    Problem("batch", "forward", (2, 3, 4, 2, 2)),
    Problem("batch", "forward", (4, 5, 3, 2), training=False),
]


def _torch(problem: Problem, x, weight, bias, running_mean, running_var):
    features, eps = problem.num_features, problem.eps
    weight = 1 + weight if problem.zero_centered else weight
    if problem.norm == "layer":
        return functional.layer_norm(x, [features], weight, bias, eps)
    if problem.norm == "rms":
        return functional.rms_norm(x, [features], weight, eps)
    if problem.norm == "group":
        return functional.group_norm(x, problem.groups, weight, bias, eps)
    if problem.norm == "instance":
        return functional.instance_norm(x, weight=weight, bias=bias, eps=eps)
    return functional.batch_norm(x, running_mean, running_var, weight, bias, problem.training, problem.momentum, eps)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("problem", CASES, ids=lambda p: f"{p.norm}-{p.shape}-{p.training}-{p.options}")
def test_oracle_agrees_with_autograd(problem: Problem, kind: str) -> None:
    inputs = exact_inputs(draw(problem, kind, seed=3))
    x, weight, bias = (torch.tensor(value, requires_grad=True) for value in (inputs.x, inputs.weight, inputs.bias))
    running_mean, running_var = torch.tensor(inputs.running_mean), torch.tensor(inputs.running_var)
    y = _torch(problem, x, weight, bias, running_mean, running_var)
    y.backward(torch.tensor(inputs.dy))

    found = forward(problem, inputs)
    close = {"rtol": 1e-9, "atol": 1e-9}
    np.testing.assert_allclose(found["y"], y.detach().numpy(), **close)
    if problem.norm == "batch" and problem.training:
        np.testing.assert_allclose(found["running_mean"], running_mean.numpy(), **close)
        np.testing.assert_allclose(found["running_var"], running_var.numpy(), **close)

    gradients = backward(Problem(**{**_fields(problem), "direction": "backward"}), inputs)
    largest = np.abs(x.grad.numpy()).max()
    np.testing.assert_allclose(gradients["dx"], x.grad.numpy(), rtol=1e-8, atol=1e-9 * max(1.0, largest))
    if "dweight" in gradients:
        np.testing.assert_allclose(gradients["dweight"], weight.grad.numpy(), rtol=1e-8, atol=1e-8)
    if "dbias" in gradients:
        np.testing.assert_allclose(gradients["dbias"], bias.grad.numpy(), **close)


def _fields(problem: Problem) -> dict:
    return {name: getattr(problem, name) for name in problem.__dataclass_fields__}


def test_running_statistics_give_an_input_gradient_alone() -> None:
    problem = Problem("batch", "backward", (4, 5, 3, 2), training=False)
    assert set(backward(problem, exact_inputs(draw(problem, "normal", seed=0)))) == {"dx"}


def test_rows_without_samples_have_empty_results() -> None:
    problem = Problem("layer", "backward", (0, 8))
    found = backward(problem, exact_inputs(draw(problem, "normal", seed=0)))
    assert found["dx"].shape == (0, 8)
    assert not found["dweight"].any()
