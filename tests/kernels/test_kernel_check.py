"""Planted bugs are seen, correct kernels pass, and the verdict says where it looked."""

import math
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from ics_bench.core import UsageError
from ics_bench.kernels import PROVIDERS
from ics_bench.kernels import check as checking
from ics_bench.kernels.check import MAX_ELEMENTS, MOST_WHOLE, check, edges, excess, representative, run_once, shrink
from ics_bench.kernels.inputs import draw, exact_inputs
from ics_bench.kernels.provider import PROMISES, Chains, Kernel, Provider, Tensors, any_order, load_provider
from ics_bench.kernels.reference import Inputs, evaluate
from ics_bench.kernels.shapes import variants
from ics_bench.kernels.spec import DTYPE_BYTES, KERNEL_NORMS, OPTIONS, ROW_NORMS, Problem

SHAPES = {"layer": (16, 96), "rms": (16, 96), "group": (4, 16, 6, 6), "instance": (4, 16, 6, 6), "batch": (4, 16, 6, 6)}
Results = dict[str, np.ndarray]


class Rounded(Provider):
    """The oracle rounded to the dtype: correct, unless a bug is planted in its problem, inputs or results."""

    summary = "the oracle, rounded"
    options = frozenset(OPTIONS)

    def __init__(self, plant: Callable[[Problem, Results, Results], None] | None = None, **changes: float) -> None:
        self.plant, self.changes = plant, changes

    def chains(self, problem: Problem, device: str) -> Chains:
        return Chains(16, 16, 16)

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        outputs: list[torch.Tensor] = []

        def kernel() -> tuple[torch.Tensor, ...]:
            inputs = exact_inputs(tensors)
            results = evaluate(replace(problem, **self.changes), inputs)
            if self.plant is not None:
                self.plant(problem, results, {"x": inputs.x, "dy": inputs.dy, "g": _times_weight(inputs)})
            new = {n: torch.tensor(results[n]).to(_dtype(problem, n)) for n in problem.outputs if n in results}
            for name in ("running_mean", "running_var"):
                if name in new:
                    new[name] = getattr(tensors, name).copy_(new[name])
            outputs[:] = new.values()
            return tuple(outputs)

        return kernel


def _times_weight(inputs: Inputs) -> np.ndarray:
    return inputs.dy * inputs.weight.reshape(1, -1, *[1] * (inputs.dy.ndim - 2))


def _dtype(problem: Problem, name: str) -> torch.dtype:
    return getattr(torch, problem.dtype_of(name))


def _problem(norm: str, direction: str, dtype: str = "float32") -> Problem:
    return Problem(norm, direction, SHAPES[norm], dtype, groups=2 if norm == "group" else 1)


def _forget_the_offset_in_the_second_pass(problem: Problem, results: Results, inputs: Results) -> None:
    x = inputs["x"]
    results["dx"] -= inputs["dy"] / np.sqrt(np.square(x).mean(1, keepdims=True) + problem.eps)


class Stream(Rounded):
    """The oracle of a problem with a residual, whose inputs a bug changes."""

    def __init__(self, change: Callable[[Problem, Inputs], Results]) -> None:
        super().__init__()
        self.change = change

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        def kernel() -> tuple[torch.Tensor, ...]:
            results = {**evaluate(problem, inputs), **self.change(problem, inputs)}
            return tuple(torch.tensor(results[name]).to(_dtype(problem, name)) for name in problem.outputs)

        inputs = exact_inputs(tensors)
        return kernel


def _unrounded(problem: Problem, inputs: Inputs) -> Results:
    plain = replace(problem, residual=False)
    return {"y": evaluate(plain, replace(inputs, x=inputs.x + inputs.residual))["y"]}


STREAM_BUGS = {
    "s not rounded before the statistics": ("forward", "y", _unrounded),
    "the residual not normalized": (
        "forward", "y", lambda p, i: {"y": evaluate(replace(p, residual=False), i)["y"]},
    ),
    "x returned for s": ("forward", "s", lambda p, i: {"s": i.x}),
    "ds not added": ("backward", "dx", lambda p, i: {"dx": evaluate(p, i)["dx"] - i.ds}),
    "ds added twice": ("backward", "dx", lambda p, i: {"dx": evaluate(p, i)["dx"] + i.ds}),
    "the gradient of x for that of s": (
        "backward", "dx", lambda p, i: {"dx": evaluate(replace(p, residual=False), i)["dx"] + i.ds},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("direction", "output", "change"), STREAM_BUGS.values(), ids=STREAM_BUGS)
@pytest.mark.parametrize("norm", ROW_NORMS)
def test_a_bug_with_a_residual_exceeds_the_bound(norm: str, direction: str, output: str, change) -> None:
    problem = replace(_problem(norm, direction, "bfloat16"), residual=True)
    assert check(Stream(lambda p, i: {}), problem, seed=5, device="cpu").correct
    for kind in ("normal", "offset"):
        found = run_once(Stream(change), problem, kind, 5, "cpu")
        assert 1.0 < found.pop(output) < math.inf
        assert max(found.values()) <= 1.0
    assert not check(Stream(change), problem, seed=5, device="cpu").correct


@pytest.mark.parametrize("norm", ROW_NORMS)
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_an_offset_of_the_weight_that_is_forgotten_exceeds_the_bound(norm: str, direction: str) -> None:
    problem = replace(_problem(norm, direction), zero_centered=True)
    assert check(Rounded(), problem, seed=5, device="cpu").correct
    forgotten = check(Rounded(zero_centered=False), problem, seed=5, device="cpu")
    assert not forgotten.correct
    assert forgotten.worst.startswith("y" if direction == "forward" else "dx")
    if (norm, direction) == ("rms", "backward"):
        half = check(Rounded(_forget_the_offset_in_the_second_pass), problem, seed=5, device="cpu")
        assert not half.correct


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("norm", KERNEL_NORMS)
def test_the_rounded_oracle_is_correct(norm: str, direction: str, dtype: str) -> None:
    verdict = check(Rounded(), _problem(norm, direction, dtype), seed=5, device="cpu")
    assert verdict.correct
    assert verdict.error_over_bound > 0
    assert verdict.warnings() == ()


def _scale_deviation(factor: Callable[[int], float]) -> Callable[[Problem, Results, Results], None]:
    def plant(problem: Problem, results: Results, inputs: Results) -> None:
        per_set = problem.elements // problem.reduction_sets
        results["y"] *= math.sqrt(factor(per_set)) if per_set > 1 else 1.0

    return plant


def _drop_last_row(problem: Problem, results: Results, inputs: Results) -> None:
    clean = np.zeros_like(results["dweight"])
    x, dy = inputs["x"], inputs["dy"]
    if len(x) > 1:
        normalized = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + problem.eps)
        clean = (dy * normalized)[:-1].sum(0)
    results["dweight"] = clean


def _drop_last_row_of_dbias(problem: Problem, results: Results, inputs: Results) -> None:
    results["dbias"] = inputs["dy"][:-1].sum(0)


def _forget_the_mean_of_the_gradient(problem: Problem, results: Results, inputs: Results) -> None:
    x = inputs["x"]
    results["dx"] += 1e-3 / np.sqrt(x.var(1, keepdims=True) + problem.eps)


def _second_mean_over_one_less(problem: Problem, results: Results, inputs: Results) -> None:
    x, n = inputs["x"], inputs["x"].shape[1]
    rstd = 1 / np.sqrt(x.var(1, keepdims=True) + problem.eps)
    normalized = (x - x.mean(1, keepdims=True)) * rstd
    product = (inputs["g"] * normalized).mean(1, keepdims=True)
    results["dx"] -= rstd * normalized * product * (n / max(1, n - 1) - 1)


def _mean_over_one_less(problem: Problem, results: Results, inputs: Results) -> None:
    x = inputs["x"]
    mean = x.sum(1, keepdims=True) / max(1, x.shape[1] - 1)
    results["y"] -= mean - x.mean(1, keepdims=True)


def _one_pass_variance(problem: Problem, results: Results, inputs: Results) -> None:
    x = inputs["x"].astype(np.float32)
    one_pass = (x * x).mean(1, keepdims=True) - x.mean(1, keepdims=True) ** 2
    true = inputs["x"].var(1, keepdims=True)
    results["y"] *= np.sqrt((true + problem.eps) / (np.maximum(one_pass, 0.0) + problem.eps))


def _leave_a_tail_unwritten(problem: Problem, results: Results, inputs: Results) -> None:
    results["y"][-1, -1] = math.nan


def _biased_running_variance(problem: Problem, results: Results, inputs: Results) -> None:
    count = problem.elements // problem.num_features
    results["running_var"] = results["running_var"] * (1 - problem.momentum / count)


def _accumulate_in_bfloat16(problem: Problem, results: Results, inputs: Results) -> None:
    total = torch.zeros(problem.num_features, dtype=torch.bfloat16)
    for row in inputs["dy"]:
        total += torch.tensor(row).bfloat16()
    results["dbias"] = total.double().numpy()


BUGS = [
    ("unbiased variance", "layer", "forward", Rounded(_scale_deviation(lambda n: (n - 1) / n))),
    ("biased variance twice", "rms", "forward", Rounded(_scale_deviation(lambda n: n / (n - 1)))),
    ("missing eps", "layer", "forward", Rounded(eps=0.0)),
    ("missing eps", "batch", "forward", Rounded(eps=0.0)),
    ("missing eps", "instance", "backward", Rounded(eps=0.0)),
    ("another eps", "group", "forward", Rounded(eps=1e-6)),
    ("last row dropped", "layer", "backward", Rounded(_drop_last_row)),
    ("last row dropped from dbias", "layer", "backward", Rounded(_drop_last_row_of_dbias)),
    ("mean of the gradient", "layer", "backward", Rounded(_forget_the_mean_of_the_gradient)),
    ("n - 1 in dx", "layer", "backward", Rounded(_second_mean_over_one_less)),
    ("n - 1", "layer", "forward", Rounded(_mean_over_one_less)),
    ("one-pass variance", "layer", "forward", Rounded(_one_pass_variance)),
    ("unwritten tail", "layer", "forward", Rounded(_leave_a_tail_unwritten)),
    ("biased running variance", "batch", "forward", Rounded(_biased_running_variance)),
    ("momentum of another library", "batch", "forward", Rounded(momentum=0.9)),
    ("layer norm for rms norm", "rms", "forward", Rounded(norm="layer")),
    ("group norm for instance norm", "instance", "backward", Rounded(norm="group")),
]


@pytest.mark.parametrize(("norm", "direction", "provider"), [b[1:] for b in BUGS], ids=[f"{b[0]}-{b[1]}" for b in BUGS])
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_a_planted_bug_exceeds_the_bound(norm: str, direction: str, provider: Provider) -> None:
    verdict = check(provider, _problem(norm, direction), seed=11, device="cpu")
    assert not verdict.correct
    assert "wrong, so not timed" in verdict.warnings()[0]
    assert verdict.worst in verdict.warnings()[0]


def test_gradients_summed_in_bfloat16_are_wrong() -> None:
    provider = Rounded(_accumulate_in_bfloat16)
    assert not check(provider, _problem("layer", "backward", "bfloat16"), seed=2, device="cpu").correct


class Stale(Rounded):
    """Computes once, on being prepared, and hands out the same tensors ever after."""

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        kernel = super().prepare(problem, tensors)
        outputs = kernel()
        return lambda: outputs


def test_outputs_are_poisoned_so_that_a_kernel_that_writes_nothing_fails() -> None:
    found = run_once(Stale(), _problem("layer", "forward"), "normal", 0, "cpu")
    assert found == {"y": math.inf}


class Short(Rounded):
    """Forgets an output."""

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        kernel = super().prepare(problem, tensors)
        return lambda: kernel()[:-1]


def test_a_missing_output_fails() -> None:
    found = run_once(Short(), _problem("layer", "backward"), "normal", 0, "cpu")
    assert set(found.values()) == {math.inf}


class Overwrites(Rounded):
    """Writes its result over its input."""

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        kernel = super().prepare(problem, tensors)
        return lambda: (tensors.x.copy_(kernel()[0]),)


def test_a_kernel_that_destroys_its_input_fails() -> None:
    assert not check(Overwrites(), _problem("layer", "forward"), seed=0, device="cpu").correct


class Allocating(Rounded):
    """Writes into memory that it allocates, as libraries do."""

    promises = frozenset(PROMISES)

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        kernel = super().prepare(problem, tensors)
        first = torch.empty_like(tensors.x)

        def call() -> tuple[torch.Tensor, ...]:
            results = kernel()
            first.copy_(results[0])
            self.finish(tensors, first)
            return (first, *results[1:])

        return call

    def finish(self, tensors: Tensors, first: torch.Tensor) -> None:
        pass


def _beyond(tensor: torch.Tensor) -> torch.Tensor:
    """Return the element behind a tensor's last, if its memory has one."""
    behind = tensor.storage_offset() + tensor.numel()
    held = tensor.untyped_storage().nbytes() // tensor.element_size()
    return tensor.as_strided((min(1, held - behind),), (1,), behind)


class BeyondItsOutput(Allocating):
    def finish(self, tensors: Tensors, first: torch.Tensor) -> None:
        _beyond(first).fill_(0.0)


class BeyondItsInput(Allocating):
    def finish(self, tensors: Tensors, first: torch.Tensor) -> None:
        _beyond(tensors.dy).fill_(0.0)


class Needy(Allocating):
    """Wrong at addresses that wide loads cannot read."""

    def finish(self, tensors: Tensors, first: torch.Tensor) -> None:
        if any(tensor.data_ptr() % 16 for tensor in (tensors.x, first)):
            first.add_(1.0)


class Wide(Rounded):
    """Returns every output in float32."""

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        kernel = super().prepare(problem, tensors)
        return lambda: tuple(output.float() for output in kernel())


class NeverEmpty(Allocating):
    """Leaves the gradients of the parameters alone where there are no samples."""

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        kernel = super().prepare(problem, tensors)
        if problem.elements:
            return kernel
        return lambda: tuple(output.fill_(math.nan) for output in kernel())


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("norm", KERNEL_NORMS)
def test_a_kernel_that_stays_in_its_memory_wherever_that_is_passes(norm: str, direction: str) -> None:
    problem = _problem(norm, direction)
    verdict = check(Allocating(), problem, seed=1, device="cpu")
    assert verdict.correct, verdict.worst
    some = list(edges(Allocating(), problem))
    assert {shift for _, shift in some} == {0, 1}
    assert (0 in {candidate.shape[0] for candidate, _ in some}) == (norm != "batch")
    assert {shift for _, shift in edges(Rounded(), problem)} == {0}


@pytest.mark.parametrize(
    ("provider", "dtype", "worst"),
    [
        (BeyondItsOutput(), "float32", "memory beyond dx"),
        (BeyondItsInput(), "bfloat16", "memory beyond dy"),
        (Needy(), "bfloat16", "dx at .* at an odd address"),
        (Wide(), "bfloat16", "torch.float32 for the bfloat16 of dx"),
        (NeverEmpty(), "float32", "dweight at 0x64"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Provider) else str(value),
)
def test_a_kernel_that_leaves_its_memory_or_type_is_wrong(provider: Provider, dtype: str, worst: str) -> None:
    problem = _problem("layer", "backward", dtype)
    verdict = check(provider, problem, seed=1, device="cpu")
    assert not verdict.correct
    assert re.match(worst, verdict.worst), verdict.worst


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

    problem = _problem("layer", "forward")
    assert check(Boastful(), problem, seed=0, device="cpu").correct
    assert run_once(Boastful(plant), problem, "normal", 0, "cpu")["y"] > 1.0


class Contiguous(Rounded):
    """Right, and in whatever layout NumPy has."""

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        kernel = super().prepare(problem, tensors)
        return lambda: tuple(output.contiguous() for output in kernel())


def test_a_result_in_another_layout_is_right_and_said_to_be_so() -> None:
    problem = replace(_problem("group", "forward"), layout="channels_last")
    verdict = check(Contiguous(), problem, seed=0, device="cpu")
    assert verdict.correct
    assert "another memory layout" in verdict.warnings()[-1]
    kept = check(load_provider("torch_eager"), replace(problem, norm="batch"), seed=0, device="cpu")
    assert kept.warnings() == ()
    assert check(Contiguous(), _problem("group", "forward"), seed=0, device="cpu").warnings() == ()


class OnlyPowers(Rounded):
    """Declines what is not a power of two, and is wrong there."""

    def why_not(self, problem: Problem, device: str) -> str | None:
        features = problem.num_features
        return super().why_not(problem, device) or (f"{features} is no power of two" if features % 2 else None)

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        assert problem.num_features % 2 == 0
        return super().prepare(problem, tensors)


def test_what_a_provider_declines_is_not_held_against_it() -> None:
    assert check(OnlyPowers(), _problem("layer", "forward"), seed=0, device="cpu").correct


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
