"""A race on one problem: who is checked on what, and what becomes of those that fail."""

from dataclasses import replace

import pytest
import torch

from ics_bench.kernels.provider import Chains, Kernel, Provider, Tensors, load_provider
from ics_bench.kernels.race import Race
from ics_bench.kernels.spec import Problem


class Raises(Provider):
    """Cannot be prepared for another norm than layer norm, nor a second time for the shape ``alone``."""

    summary = "raises"

    def __init__(self, alone: tuple[int, ...] = ()) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self.alone = alone

    def chains(self, problem: Problem, device: str) -> Chains:
        return load_provider("torch_eager").chains(problem, device)

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        self.shapes.append(problem.shape)
        if problem.norm != "layer":
            raise RuntimeError("out of luck")
        if problem.shape == self.alone and self.shapes.count(problem.shape) > 1:
            raise MemoryError("no room for another")
        return load_provider("torch_eager").prepare(problem, tensors)


def test_who_fails_only_when_it_is_timed_leaves_the_others_their_times_and_itself_its_verdict() -> None:
    """Whether its first kernel cannot be prepared among so many, or its first call fails."""
    problem = Problem("layer", "forward", (64, 96))
    wrong = Shifted()
    providers = {"torch_eager": load_provider("torch_eager"), "mine": Raises(problem.shape), "wrong": wrong}
    row = Race(providers, "cpu", 0, 2**20).run(problem)
    scores, reasons = row.scores, row.cannot
    assert [(one.provider, one.time is not None) for one in scores] == [
        ("torch_eager", True), ("mine", False), ("wrong", False),
    ]  # fmt: skip
    assert scores[1].correct
    assert not scores[2].correct
    assert reasons == {"mine": "MemoryError('no room for another')"}


def test_a_race_that_fails_as_a_whole_keeps_the_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: object, **options: object) -> None:
        raise RuntimeError("no clock")

    monkeypatch.setattr("ics_bench.kernels.throughput.interleave", fails)
    providers = {"torch_eager": load_provider("torch_eager"), "wrong": Shifted()}
    row = Race(providers, "cpu", 0, 2**20).run(Problem("layer", "forward", (64, 96)))
    assert {one.provider: one.correct for one in row.scores} == {"torch_eager": True, "wrong": False}
    assert row.cannot == {"torch_eager": "RuntimeError('no clock')"}


class Large(Raises):
    """Takes many samples alone."""

    def why_not(self, problem: Problem, device: str) -> str | None:
        return "it takes 64 samples or more" if problem.shape[0] < 64 else super().why_not(problem, device)


def test_what_could_not_be_checked_is_neither_scored_nor_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ics_bench.kernels.race.CHECKED_ELEMENTS", 32 * 96)
    row = Race({"mine": Large()}, "cpu", 0, 2**20).run(Problem("layer", "forward", (1024, 96)))
    assert not row.scores
    assert "could not be checked" in row.cannot["mine"]
    assert row.faults({"mine"}) == [f"mine: {row.cannot['mine']}"]


class Shifted(Raises):
    """Is wrong."""

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        kernel = super().prepare(problem, tensors)
        return lambda: tuple(output + 1 for output in kernel())


def test_the_first_problem_of_each_rank_sees_adversarial_inputs() -> None:
    """Batch norm of rows and of maps are other kernels."""
    seen = Shapes()
    race = Race({"mine": seen}, "cpu", 0, 2**20)
    for shape, adversarial in (((16, 8), (130, 64)), ((4, 8, 6, 6), (2, 24, 9, 11))):
        race.run(Problem("batch", "forward", shape))
        assert adversarial in seen.shapes


def test_whoever_need_not_see_adversarial_inputs_is_checked_on_the_problem_alone() -> None:
    ours, rival = Shapes(), Shapes()
    Race({"mine": ours, "rival": rival}, "cpu", 0, 2**20, adversarial={"mine"}).run(
        Problem("layer", "forward", (8, 16))
    )
    assert (3, 2041) in ours.shapes
    assert set(rival.shapes) == {(8, 16)}


def test_later_large_problems_of_a_kind_are_checked_at_full_size_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever compiles for each shape compiles once."""
    monkeypatch.setattr("ics_bench.kernels.race.CHECKED_ELEMENTS", 400)
    seen = Shapes()
    race = Race({"mine": seen, "spoils": Spoils()}, "cpu", 0, 2**20)
    first = race.run(Problem("layer", "forward", (64, 96)))
    assert {(4, 96), (64, 96)} <= set(seen.shapes)
    assert any("at shape 4x96" in said for said in first.scores[0].warnings)
    seen.shapes.clear()
    later = race.run(Problem("layer", "forward", (48, 96)))
    assert set(seen.shapes) == {(48, 96)}
    assert all(one.correct for one in later.scores)
    assert any("on some rows" in said for said in later.scores[0].warnings)


def test_a_kernel_that_changes_its_input_does_not_make_the_next_one_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ics_bench.kernels.race.CHECKED_ELEMENTS", 400)
    race = Race({"spoils": Spoils(), "torch_eager": load_provider("torch_eager")}, "cpu", 0, 2**20)
    for rows in (64, 48):
        assert all(one.correct for one in race.run(Problem("layer", "forward", (rows, 96))).scores)


class Shapes(Raises):
    """Runs every norm."""

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        self.shapes.append(problem.shape)
        return load_provider("torch_eager").prepare(problem, tensors)


def test_a_rival_that_raises_is_left_out_with_its_error_and_the_race_goes_on() -> None:
    raises = Raises()
    race = Race({"torch_eager": load_provider("torch_eager"), "mine": raises}, "cpu", 0, 2**20)
    row = race.run(Problem("rms", "forward", (64, 96)))
    assert [one.provider for one in row.scores] == ["torch_eager"]
    assert row.cannot == {"mine": "RuntimeError('out of luck')"}
    raises.shapes.clear()
    problem = Problem("layer", "forward", (64, 96))
    row = race.run(problem)
    scores = row.scores
    assert not row.cannot
    assert {one.provider for one in scores} == {"torch_eager", "mine"}
    assert scores[0].rival_ratio == pytest.approx(1 / scores[1].rival_ratio)
    assert (3, 2041) in raises.shapes
    raises.shapes.clear()
    race.run(replace(problem, shape=(48, 96)))
    assert set(raises.shapes) == {(48, 96)}  # adversarial inputs were for the first of the kind


class Spoils(Shapes):
    """Leaves nothing of x."""

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        plain = load_provider("torch_eager").prepare(problem, tensors)
        x = tensors.x.clone()

        def call() -> tuple[torch.Tensor, ...]:
            tensors.x.copy_(x)
            outputs = plain()
            tensors.x.zero_()
            return outputs

        return call
