"""The oracle against torch's autograd in float64, which shares no code with it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from ics_bench.kernels.bounds import error_bounds
from ics_bench.kernels.inputs import KINDS, draw, exact_inputs
from ics_bench.kernels.provider import Chains
from ics_bench.kernels.reference import backward, forward, quantize
from ics_bench.kernels.spec import DTYPE_BYTES, Problem

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


@pytest.mark.parametrize("dtype", sorted(DTYPE_BYTES))
def test_numbers_are_quantized_as_torch_does(dtype: str) -> None:
    generator = torch.Generator().manual_seed(0)
    plain = torch.randn(4000, generator=generator, dtype=torch.float64)
    grid = plain.to(getattr(torch, dtype))
    step = torch.nextafter(grid, torch.full_like(grid, torch.inf)).double() - grid.double()
    ties = grid.double() + step / 2
    tiny = torch.finfo(grid.dtype).smallest_normal * plain
    for values in (plain, ties, tiny, torch.zeros(1, dtype=torch.float64), 1e4 * plain):
        expected = values.to(grid.dtype).double().numpy()
        assert (quantize(values.numpy(), dtype) == expected).all()


@pytest.mark.parametrize("dtype", sorted(DTYPE_BYTES))
def test_a_sum_of_two_numbers_is_rounded_once_by_way_of_float32_too(dtype: str) -> None:
    generator = torch.Generator().manual_seed(1)
    scale = 2.0 ** torch.randint(-6, 7, (2, 20000), generator=generator)
    x, r = (scale * torch.randn(2, 20000, generator=generator)).to(getattr(torch, dtype))
    assert (quantize((x.double() + r.double()).numpy(), dtype) == (x + r).double().numpy()).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("norm", ["layer", "rms"])
@pytest.mark.parametrize("zero_centered", [False, True])
def test_the_oracle_of_a_residual_agrees_with_autograd(norm: str, zero_centered: bool, kind: str) -> None:
    problem = Problem(norm, "forward", (7, 33), "bfloat16", residual=True, zero_centered=zero_centered)
    tensors = draw(problem, kind, seed=3)
    inputs = exact_inputs(tensors)
    s = (tensors.x + tensors.residual).double().requires_grad_()
    weight, bias = (torch.tensor(value, requires_grad=True) for value in (inputs.weight, inputs.bias))
    y = _torch(problem, s, weight, bias, None, None)
    torch.autograd.backward((y, s.clone()), (torch.tensor(inputs.dy), torch.tensor(inputs.ds)))
    found = forward(problem, inputs)
    assert set(found) == {"y", "s"}
    np.testing.assert_array_equal(found["s"], s.detach().numpy())
    np.testing.assert_allclose(found["y"], y.detach().numpy(), rtol=1e-9, atol=1e-9)
    gradients = backward(Problem(**{**_fields(problem), "direction": "backward"}), inputs)
    largest = np.abs(s.grad.numpy()).max()
    np.testing.assert_allclose(gradients["dx"], s.grad.numpy(), rtol=1e-8, atol=1e-9 * max(1.0, largest))
    np.testing.assert_allclose(gradients["dweight"], weight.grad.numpy(), rtol=1e-8, atol=1e-8)


def test_a_residual_that_is_not_there_is_missed() -> None:
    inputs = exact_inputs(draw(Problem("layer", "forward", (2, 8)), "normal", seed=0))
    with pytest.raises(ValueError, match=r"layer norm with a residual needs inputs\.residual"):
        forward(Problem("layer", "forward", (2, 8), residual=True), inputs)


def test_a_streams_gradient_that_is_not_there_is_missed() -> None:
    problem = Problem("layer", "backward", (2, 8), residual=True)
    inputs = replace(exact_inputs(draw(problem, "normal", seed=0)), ds=None)
    for call in (backward, lambda p, i: error_bounds(p, i, Chains(8, 8, 8))):
        with pytest.raises(ValueError, match=r"layer norm with a residual needs inputs\.ds"):
            call(problem, inputs)
    with pytest.raises(ValueError, match=r"needs inputs\.residual"):
        backward(problem, replace(inputs, residual=None, ds=inputs.dy))
