from dataclasses import replace

import numpy as np
import pytest
import torch

from ics_bench.kernels.inputs import KINDS, draw, exact_inputs
from ics_bench.kernels.spec import DTYPE_BYTES, Problem, view

PROBLEMS = [
    Problem("layer", "forward", (16, 200)),
    Problem("group", "forward", (4, 8, 7, 7), groups=2),
    Problem("batch", "forward", (4, 8, 7, 7)),
]


def _moments(problem: Problem, kind: str) -> tuple[np.ndarray, np.ndarray]:
    seen = view(problem)
    x = exact_inputs(draw(problem, kind, seed=0)).x.reshape(seen.shape)
    return x.mean(axis=seen.reduced), x.std(axis=seen.reduced)


@pytest.mark.parametrize("dtype", sorted(DTYPE_BYTES))
@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.norm)
def test_each_kind_of_input_is_what_it_says_after_quantization(problem: Problem, dtype: str) -> None:
    problem = Problem(problem.norm, "forward", problem.shape, dtype, groups=problem.groups)
    mean, deviation = _moments(problem, "normal")
    assert (np.abs(mean) < 0.5).all()
    mean, deviation = _moments(problem, "offset")
    assert (np.abs(mean) > 20 * deviation).all()
    assert (deviation > 0.7).all()
    mean, deviation = _moments(problem, "constant")
    assert (deviation < 1e-12).all()
    assert len(np.unique(mean)) > 4
    mean, deviation = _moments(problem, "small")
    assert (deviation**2 < problem.eps / 5).all()
    assert (deviation > 0).all()


def test_the_gradient_correlates_with_plain_inputs_so_that_no_term_of_dx_is_near_zero() -> None:
    tensors = draw(PROBLEMS[0], "normal", 0)
    assert 0.5 < (tensors.x * tensors.dy).mean() < 1.5


@pytest.mark.parametrize("kind", KINDS)
def test_zero_centred_weights_make_the_scale_that_plain_ones_are(kind: str) -> None:
    plain, centered = (draw(replace(PROBLEMS[0], zero_centered=on), kind, 1) for on in (False, True))
    torch.testing.assert_close(1 + centered.weight, plain.weight)
    assert plain.x.equal(centered.x)
    assert plain.bias.equal(centered.bias)


def test_narrow_parameters_are_the_others_rounded() -> None:
    wide = replace(PROBLEMS[0], dtype="bfloat16")
    plain, narrow = draw(wide, "normal", 1), draw(replace(wide, parameter_dtype="bfloat16"), "normal", 1)
    for name, tensor in narrow.named().items():
        expected = getattr(plain, name)
        assert tensor.equal(expected.bfloat16() if name in ("weight", "bias") else expected)


@pytest.mark.parametrize("dtype", sorted(DTYPE_BYTES))
def test_a_residual_leaves_the_sum_what_x_is(dtype: str) -> None:
    plain = Problem("layer", "forward", (16, 200), dtype)
    problem = replace(plain, residual=True)
    for kind in KINDS:
        tensors, without = draw(problem, kind, 0), draw(plain, kind, 0)
        assert all(tensor.equal(getattr(tensors, name)) for name, tensor in without.named().items())
        assert all(tensor.is_contiguous() for tensor in tensors.named().values())
        assert set(tensors.clone().named()) - set(without.named()) == {"residual", "ds"}
        s = (tensors.x + tensors.residual).double()
        deviation = s.std(1)
        assert {
            "normal": (deviation > 1).all(),
            "offset": (s.mean(1).abs() > 20 * deviation).all(),
            "constant": (deviation < 1e-12).all(),
            "small": (deviation.square() < problem.eps / 4).all(),
        }[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_are_fresh_for_every_seed_and_equal_for_equal_ones(kind: str) -> None:
    problem = PROBLEMS[0]
    one, again, other = (draw(problem, kind, seed) for seed in (1, 1, 2))
    assert one.x.equal(again.x)
    assert one.dy.equal(again.dy)
    assert not one.x.equal(other.x)
    assert not one.weight.equal(other.weight)
    assert (one.running_var > 0).all()


def test_a_copy_of_the_inputs_does_not_follow_the_kernel() -> None:
    tensors = draw(PROBLEMS[0], "normal", 0)
    inputs = exact_inputs(tensors)
    before = inputs.weight.copy()
    tensors.weight.zero_()
    assert (inputs.weight == before).all()


@pytest.mark.parametrize(
    ("shape", "layout"), [((2, 3, 4, 5), torch.channels_last), ((2, 3, 2, 4, 5), torch.channels_last_3d)]
)
def test_the_channels_lie_last_where_the_problem_says_so(shape: tuple[int, ...], layout: torch.memory_format) -> None:
    problem = Problem("batch", "forward", shape, layout="channels_last")
    tensors = draw(problem, "normal", 0)
    assert tensors.x.is_contiguous(memory_format=layout)
    assert tensors.clone().dy.is_contiguous(memory_format=layout)
    assert tensors.x.equal(draw(Problem("batch", "forward", shape), "normal", 0).x)
