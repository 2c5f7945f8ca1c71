"""Bugs planted in a kernel's arithmetic exceed the bound, and the rounded oracle does not."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from rounded_oracle import Results, Rounded, problem_of

from ics_bench.kernels.check import check, run_once
from ics_bench.kernels.inputs import exact_inputs
from ics_bench.kernels.provider import Kernel, Provider, Tensors
from ics_bench.kernels.reference import Inputs, evaluate
from ics_bench.kernels.spec import KERNEL_NORMS, ROW_NORMS, Problem


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
            return tuple(
                torch.tensor(results[name]).to(getattr(torch, problem.dtype_of(name))) for name in problem.outputs
            )

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
    problem = replace(problem_of(norm, direction, "bfloat16"), residual=True)
    assert check(Stream(lambda p, i: {}), problem, seed=5, device="cpu").correct
    for kind in ("normal", "offset"):
        found = run_once(Stream(change), problem, kind, 5, "cpu")
        assert 1.0 < found.pop(output) < math.inf
        assert max(found.values()) <= 1.0
    assert not check(Stream(change), problem, seed=5, device="cpu").correct


@pytest.mark.parametrize("norm", ROW_NORMS)
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_an_offset_of_the_weight_that_is_forgotten_exceeds_the_bound(norm: str, direction: str) -> None:
    problem = replace(problem_of(norm, direction), zero_centered=True)
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
    verdict = check(Rounded(), problem_of(norm, direction, dtype), seed=5, device="cpu")
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
    verdict = check(provider, problem_of(norm, direction), seed=11, device="cpu")
    assert not verdict.correct
    assert "wrong, so not timed" in verdict.warnings()[0]
    assert verdict.worst in verdict.warnings()[0]


def test_gradients_summed_in_bfloat16_are_wrong() -> None:
    provider = Rounded(_accumulate_in_bfloat16)
    assert not check(provider, problem_of("layer", "backward", "bfloat16"), seed=2, device="cpu").correct


class Stale(Rounded):
    """Computes once, on being prepared, and hands out the same tensors ever after."""

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        kernel = super().prepare(problem, tensors)
        outputs = kernel()
        return lambda: outputs


def test_outputs_are_poisoned_so_that_a_kernel_that_writes_nothing_fails() -> None:
    found = run_once(Stale(), problem_of("layer", "forward"), "normal", 0, "cpu")
    assert found == {"y": math.inf}


class Short(Rounded):
    """Forgets an output."""

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        kernel = super().prepare(problem, tensors)
        return lambda: kernel()[:-1]


def test_a_missing_output_fails() -> None:
    found = run_once(Short(), problem_of("layer", "backward"), "normal", 0, "cpu")
    assert set(found.values()) == {math.inf}
