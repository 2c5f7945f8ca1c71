"""Parts of a kernel's results at full size: right for right kernels, and a bug that only size brings out is seen."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from ics_bench.kernels import full_check, race
from ics_bench.kernels.full_check import FullSize
from ics_bench.kernels.provider import Chains, Kernel, Tensors, load_provider
from ics_bench.kernels.providers.torch_eager import TorchEager
from ics_bench.kernels.race import Race
from ics_bench.kernels.spec import KERNEL_NORMS, ROW_NORMS, Problem

EAGER = load_provider("torch_eager")


def full_error(provider: TorchEager, problem: Problem) -> tuple[float, str]:
    verdict = FullSize(problem, 3, "cpu").verdict(provider)
    assert verdict.partly
    return verdict.error_over_bound, verdict.worst


def _problem(norm: str, direction: str, **changes: object) -> Problem:
    shape = (60, 48) if norm in ROW_NORMS else (6, 8, 5, 7)
    return replace(Problem(norm, direction, shape, groups=4), **changes)


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("norm", KERNEL_NORMS)
def test_right_kernels_are_right_at_full_size(norm: str, direction: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(full_check, "CHUNK_ELEMENTS", 7 * 48)  # rows in several chunks, the last of them short
    problems = [_problem(norm, direction)]
    if norm in ROW_NORMS:
        problems += [replace(problems[0], residual=True), replace(problems[0], zero_centered=True)]
    elif norm == "batch":
        problems += [replace(problems[0], training=False), replace(problems[0], layout="channels_last")]
    for problem in problems:
        error, where = full_error(EAGER, problem)
        assert 0.0 < error <= 1.0, where


class Spoils(TorchEager):
    """Changes a result where the shape is large."""

    def __init__(self, spoil: Callable[[tuple[torch.Tensor, ...]], object]) -> None:
        self.spoil = spoil

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        kernel = super().prepare(problem, tensors)

        def call() -> tuple[torch.Tensor, ...]:
            outputs = tuple(output.clone() for output in kernel())
            if problem.shape in ((60, 48), (6, 8, 5, 7)):
                self.spoil(outputs)
            return outputs

        return call


class Forgetful(TorchEager):
    """Leaves the last row of y as it finds it, in memory that is there for good."""

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        kernel = super().prepare(problem, tensors)
        y = kernel()[0].clone()

        def call() -> tuple[torch.Tensor, ...]:
            y[:-1] = kernel()[0][:-1]
            return (y,)

        return call


def test_a_row_that_is_left_unwritten_is_seen_where_the_right_values_lie_there() -> None:
    assert full_error(Forgetful(), _problem("layer", "forward"))[0] == math.inf


@pytest.mark.parametrize(("norm", "output"), [("layer", 0), ("batch", 0), ("rms", 1)])
def test_what_is_no_number_is_seen_anywhere(norm: str, output: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(full_check, "PART_ELEMENTS", 1)
    problem = _problem(norm, "forward" if output == 0 else "backward")
    for place in range(8):
        spoiled = Spoils(lambda outputs, place=place: outputs[output].view(-1)[place::8].fill_(math.nan))
        error, where = full_error(spoiled, problem)
        assert error == math.inf
        assert "what is no number" in where


def test_some_rows_between_the_first_and_the_last_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(full_check, "PART_ELEMENTS", 3 * 4 * 48)
    assert set(full_check._spread(60, 4)) == {0, 1, 2, 3, 15, 30, 45, 56, 57, 58, 59}
    wrong = Spoils(lambda outputs: outputs[0][30].mul_(1.01))
    assert full_error(wrong, _problem("layer", "forward"))[0] > 1.0


class Wide(TorchEager):
    """Returns another dtype, or a row too many."""

    def __init__(self, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self.change = change

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        kernel = super().prepare(problem, tensors)
        return lambda: tuple(self.change(output) for output in kernel())


@pytest.mark.parametrize(
    ("change", "said"),
    [(torch.Tensor.double, "torch.float64 for the float32 of y"), (lambda y: torch.cat([y, y[:1]]), "the shape of y")],
    ids=["dtype", "shape"],
)
def test_another_dtype_or_shape_is_wrong(change: Callable[[torch.Tensor], torch.Tensor], said: str) -> None:
    assert full_error(Wide(change), _problem("layer", "forward")) == (math.inf, f"{said} at full size")


class Boastful(TorchEager):
    """Is off by a thousandth, and declares sums long enough for that."""

    def chains(self, problem: Problem, device: str) -> Chains:
        return Chains(10**5, 10**5, 10**5)

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        kernel = super().prepare(problem, tensors)
        return lambda: tuple(output * 1.001 for output in kernel())


def test_chains_longer_than_any_order_has_excuse_nothing_at_full_size() -> None:
    assert full_error(Boastful(), _problem("layer", "forward"))[0] > 1


BUGS = {
    "last row": ("layer", "forward", lambda outputs: outputs[0][-1].zero_()),
    "first row of dx": ("rms", "backward", lambda outputs: outputs[0][0].mul_(1.01)),
    "last column of dweight": ("layer", "backward", lambda outputs: outputs[1][-1:].mul_(1.01)),
    "first column of dbias": ("layer", "backward", lambda outputs: outputs[2][:1].add_(0.1)),
    "last sample": ("group", "forward", lambda outputs: outputs[0][-1, -1].zero_()),
    "running variance": ("batch", "forward", lambda outputs: outputs[2][-1:].mul_(1.01)),
}


@pytest.mark.parametrize(("norm", "direction", "spoil"), BUGS.values(), ids=BUGS)
def test_a_bug_that_only_a_large_shape_has_makes_a_kernel_wrong(
    norm: str, direction: str, spoil: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(race, "CHECKED_ELEMENTS", 400)
    row = Race({"mine": Spoils(spoil), "torch": EAGER}, "cpu", 0, 2**20).run(_problem(norm, direction))
    assert not row.cannot
    assert {one.provider: one.correct for one in row.scores} == {"mine": False, "torch": True}
    wrong = next(one for one in row.scores if not one.correct)
    assert wrong.time is None
    assert "at full size" in wrong.warnings[0]
