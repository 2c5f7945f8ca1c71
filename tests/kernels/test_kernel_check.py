"""The verdict says where it looked, and what could not be checked."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from rounded_oracle import SHAPES, Results, Rounded, problem_of

from ics_bench.core import UsageError
from ics_bench.kernels import PROVIDERS
from ics_bench.kernels import check as checking
from ics_bench.kernels.check import MAX_ELEMENTS, MOST_WHOLE, check, excess, representative, run_once, shrink
from ics_bench.kernels.inputs import draw
from ics_bench.kernels.provider import Chains, Kernel, Tensors, any_order, load_provider
from ics_bench.kernels.shapes import variants
from ics_bench.kernels.spec import DTYPE_BYTES, ROW_NORMS, Problem


def test_excess_counts_nan_and_shape_as_infinitely_wrong() -> None:
    one = np.ones(3)
    assert excess(one, one, np.zeros(3)) == 0.0
    assert excess(one + 0.5, one, one) == 0.5
    assert excess(np.array([1.0, math.nan, 1.0]), one, one) == math.inf
    assert excess(one + 1e-30, one, np.zeros(3)) == 0.0  # absorbed: equal in float64
    assert excess(one * 2, one, np.zeros(3)) == math.inf
    assert excess(np.ones((3, 1)), one, one) == math.inf
    assert excess(np.ones((0, 4)), np.ones((0, 4)), np.ones((0, 4))) == 0.0


def test_a_problem_too_large_for_the_oracle_is_checked_on_its_first_samples() -> None:
    small, large = Problem("layer", "forward", (64, 64)), Problem("layer", "forward", (2**20, 128))
    assert shrink(small) == small
    assert shrink(large).shape == (MAX_ELEMENTS // 128, 128)
    assert shrink(Problem("layer", "forward", (3, MAX_ELEMENTS))).shape[0] == 2


def test_a_sample_too_large_for_the_oracle_is_checked_on_its_first_groups() -> None:
    volumes = Problem("instance", "backward", (2, 32, 128, 128, 128))
    assert shrink(volumes).shape == (1, 2, 128, 128, 128)
    maps = Problem("group", "forward", (4, 320, 256, 256), groups=32)
    assert shrink(maps) == replace(maps, shape=(1, 60, 256, 256), groups=6)
    assert shrink(replace(maps, groups=1)).shape == (1, 320, 256, 256)  # no group is cut in two
    assert shrink(replace(maps, shape=(4, 32, 256, 256))).shape == (2, 32, 256, 256)
    assert shrink(Problem("batch", "forward", (4, 320, 256, 256))).shape == (2, 320, 256, 256)


class Large(Rounded):
    """Takes many samples only, and is wrong."""

    def why_not(self, problem: Problem, device: str) -> str | None:
        few = problem.shape[0] < 64
        return super().why_not(problem, device) or ("it takes 64 samples or more" if few else None)


def _off(problem: Problem, results: Results, inputs: Results) -> None:
    results["y"] += 1.0


def test_a_provider_that_declines_the_first_samples_is_checked_on_the_whole() -> None:
    problem = Problem("layer", "forward", (64, 96))
    assert shrink(problem, 960).shape[0] == 10
    right, wrong = (check(Large(plant), problem, seed=0, device="cpu", most=960) for plant in (None, _off))
    assert right.correct
    assert right.shrunk_to is None
    assert right.error_over_bound > 0
    assert not wrong.correct
    assert wrong.worst == "y at 64x96, normal input"


@pytest.mark.parametrize("times", [1, 2 * MOST_WHOLE])
def test_what_can_be_checked_neither_whole_nor_in_part_is_not_correct_and_says_why(times: int) -> None:
    problem = Problem("layer", "forward", (times * 32, 96))
    verdict = check(Large(), problem, seed=0, device="cpu", most=32 * 96)
    assert math.isnan(verdict.error_over_bound)
    assert not verdict.correct
    (warning,) = verdict.warnings()
    assert warning.startswith("could not be checked, so not timed: the provider declines")
    assert "it takes 64 samples or more" in warning
    assert ("and the oracle the whole" in warning) == (times > 1)


class Unordered(Rounded):
    """Adds in an order that is not known."""

    def chains(self, problem: Problem, device: str) -> Chains:
        return any_order(problem)

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        assert problem.elements < 2**20
        return super().prepare(problem, tensors)


def test_a_problem_without_a_bound_is_an_outcome_of_its_own_and_costs_no_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = Problem("instance", "backward", (2, 32, 128, 128, 128))

    def small(problem: Problem, *rest: object) -> Tensors:
        assert problem.elements < 2**20
        return draw(problem, *rest)

    monkeypatch.setattr(checking, "draw", small)
    verdict = check(Unordered(), problem, seed=0, device="cpu")
    assert not verdict.correct
    assert math.isnan(verdict.error_over_bound)
    assert any("not timed: no error bound: a chain of" in warning for warning in verdict.warnings())
    assert representative(Rounded(), problem, "cpu", MAX_ELEMENTS) == (shrink(problem), None)


def test_a_bound_that_the_inputs_take_away_is_found_before_the_oracle_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem("layer", "forward", (2, 1_300_000))
    monkeypatch.setattr("ics_bench.kernels.bounds.evaluate", lambda *_: pytest.fail("the oracle was asked"))
    verdict = check(Unordered(), problem, seed=0, device="cpu", adversarial=False)
    assert "no error bound: a chain of 3900000 float32 additions" in str(verdict.unchecked)


def test_a_wrong_kernel_is_wrong_even_where_the_problem_itself_has_no_bound() -> None:
    verdict = check(Unordered(_off), Problem("layer", "forward", (2, 2**22)), seed=0, device="cpu")
    assert verdict.error_over_bound > 1
    assert [warning.partition(",")[0] for warning in verdict.warnings()[:2]] == ["could not be checked", "wrong"]


class Boastful(Rounded):
    """Off by a little, and with chains declared as long as it takes to hide it."""

    def chains(self, problem: Problem, device: str) -> Chains:
        return Chains(2**20, 2**20, 2**20)


def test_chains_longer_than_any_order_has_excuse_nothing() -> None:
    def plant(problem: Problem, results: Results, inputs: Results) -> None:
        results["y"] *= 1 + 1e-3

    problem = problem_of("layer", "forward")
    assert check(Boastful(), problem, seed=0, device="cpu").correct
    assert run_once(Boastful(plant), problem, "normal", 0, "cpu")["y"] > 1.0


class Contiguous(Rounded):
    """Right, and in whatever layout NumPy has."""

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        kernel = super().prepare(problem, tensors)
        return lambda: tuple(output.contiguous() for output in kernel())


def test_a_result_in_another_layout_is_right_and_said_to_be_so() -> None:
    problem = replace(problem_of("group", "forward"), layout="channels_last")
    verdict = check(Contiguous(), problem, seed=0, device="cpu")
    assert verdict.correct
    assert "another memory layout" in verdict.warnings()[-1]
    kept = check(load_provider("torch_eager"), replace(problem, norm="batch"), seed=0, device="cpu")
    assert kept.warnings() == ()
    assert check(Contiguous(), problem_of("group", "forward"), seed=0, device="cpu").warnings() == ()


class OnlyPowers(Rounded):
    """Declines what is not a power of two, and is wrong there."""

    def why_not(self, problem: Problem, device: str) -> str | None:
        features = problem.num_features
        return super().why_not(problem, device) or (f"{features} is no power of two" if features % 2 else None)

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        assert problem.num_features % 2 == 0
        return super().prepare(problem, tensors)


def test_what_a_provider_declines_is_not_held_against_it() -> None:
    assert check(OnlyPowers(), problem_of("layer", "forward"), seed=0, device="cpu").correct


def _eager_problems() -> list[Problem]:
    """Every eager kernel but layer norm's backward in reduced precision.

    There torch 2.13 sums dγ and dβ in the input's dtype, which is what the bounds are there to see.
    """
    found = []
    for direction in ("forward", "backward"):
        for dtype in DTYPE_BYTES:
            for norm, shape in SHAPES.items():
                if (norm, direction) != ("layer", "backward") or dtype == "float32":
                    found.append(Problem(norm, direction, shape, dtype, groups=2))
            for norm in ROW_NORMS:
                if (norm, direction) != ("layer", "backward") or dtype == "float32":
                    found.extend(variants(Problem(norm, direction, SHAPES[norm], dtype)))
            for training in (True, False):
                found.append(Problem("batch", direction, (300, 40), dtype, training))
            found.append(Problem("batch", direction, SHAPES["batch"], dtype, training=False))
            found.append(Problem("batch", direction, SHAPES["batch"], dtype, layout="channels_last"))
    return found


@pytest.mark.parametrize(
    "problem",
    _eager_problems(),
    ids=lambda p: f"{p.norm}-{p.direction}-{p.dtype}-{len(p.shape)}d-{p.training}-{p.layout}-{'-'.join(p.options)}",
)
def test_eager_kernels_are_within_the_chains_that_they_declare(problem: Problem) -> None:
    verdict = check(load_provider("torch_eager"), problem, seed=7, device="cpu")
    assert verdict.correct, verdict.worst


def test_the_eager_layer_backward_sums_its_rows_serially_and_says_so() -> None:
    provider = load_provider("torch_eager")
    few, many = (
        provider.chains(Problem("layer", "backward", (rows, 64)), "cpu").parameters for rows in (64, 64 * 1024)
    )
    assert many > 100 * few


def test_providers_are_found_by_name_and_refused_with_a_reason() -> None:
    assert {"torch_eager", "module"} <= set(PROVIDERS.names())
    with pytest.raises(UsageError, match="did you mean 'torch_eager'"):
        load_provider("torch_eagre")
    with pytest.raises(UsageError, match="expected an ics_bench"):
        load_provider("math:sqrt")
    problem = Problem("layer", "forward", (4, 8))
    assert "no device 'tpu'" in load_provider("torch_eager").why_not(problem, "tpu")
    assert load_provider("torch_eager").why_not(problem, "cpu") is None
    if not torch.cuda.is_available():
        assert "CUDA" in load_provider("torch_eager").why_not(problem, "cuda")
