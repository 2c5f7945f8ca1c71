"""Scores and the table that is made of them; the campaign's script, on a problem of a few elements."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest
import torch
from click.testing import CliRunner

from ics_bench.kernels.check import Verdict
from ics_bench.kernels.cuda_throughput import _latency
from ics_bench.kernels.gpu_state import GpuState
from ics_bench.kernels.machine import Load
from ics_bench.kernels.provider import Chains, Kernel, Provider, Tensors, load_provider
from ics_bench.kernels.race import Race, Row, fits
from ics_bench.kernels.rotation import MEBIBYTE, plan_sets
from ics_bench.kernels.score_table import HEADINGS, MARKS, legend, markdown, marks, table
from ics_bench.kernels.scores import Score, rates, score
from ics_bench.kernels.shapes import CLIFFS, COLUMNS, ROWS, small_table, whole_table
from ics_bench.kernels.spec import KERNEL_NORMS, Problem, floor_bytes
from ics_bench.kernels.throughput import Throughput, _cost_warnings

PROBLEM = Problem("batch", "forward", (8, 4, 16, 16))
FLOOR = floor_bytes(PROBLEM)


def _timed(seconds: float, copy_seconds: float, in_cache: bool = False) -> Throughput:
    rounds = 31
    return Throughput((seconds,) * rounds, (copy_seconds,) * rounds, FLOOR, 4 * FLOOR, in_cache, ("noted",))


def _score(**timed: Throughput) -> list[Score]:
    verdicts = {"ours": Verdict(0.5, "y"), "theirs": Verdict(0.25, "y"), "broken": Verdict(3.0, "y at 1x8")}
    return score(PROBLEM, timed, verdicts, on_chip_bytes=2**30, vendor_bandwidth=1e12)


def test_shares_ratios_and_bandwidths_agree_with_the_times() -> None:
    ours, theirs, broken = _score(ours=_timed(2e-6, 1e-6), theirs=_timed(1e-6, 1e-6))
    assert ours.bandwidth == pytest.approx(FLOOR / 2e-6 / 1e9)
    assert ours.copy_share == ours.roof_share == pytest.approx(0.5)
    assert theirs.copy_share == pytest.approx(1.0)
    assert ours.rival_ratio == pytest.approx(0.5)
    assert theirs.rival_ratio == pytest.approx(2.0)
    assert ours.vendor_share == pytest.approx(FLOOR / 2e-6 / 1e12)
    assert ours.working_set == 4 * FLOOR
    assert ours.warnings == ("noted",)
    assert broken == Score("broken", 3.0, warnings=broken.warnings)
    assert "wrong, so not timed" in broken.warnings[0]
    assert json.loads(json.dumps(broken.as_json()))["error_over_bound"] == 3.0
    assert "time" not in broken.as_json()


def test_a_set_that_does_not_fit_is_measured_by_the_streaming_roof() -> None:
    verdicts = {"ours": Verdict(0.5, "y")}
    (ours,) = score(PROBLEM, {"ours": _timed(2e-6, 1e-6)}, verdicts, on_chip_bytes=1)
    assert ours.copy_share == pytest.approx(0.5)
    assert ours.roof_share == pytest.approx(0.5 * (FLOOR + PROBLEM.tensor_bytes) / FLOOR)
    assert ours.rival_ratio is None
    assert ours.vendor_share is None


def test_a_processors_copy_may_read_what_it_overwrites_and_a_gpus_does_not() -> None:
    (on_cpu,) = score(PROBLEM, {"a": _timed(2e-6, 1e-6)}, {"a": Verdict(0.5, "y")}, 2**30)
    assert on_cpu.copy_bandwidth == pytest.approx(FLOOR / 1e-6 / 1e9)
    assert on_cpu.bus_share == pytest.approx(on_cpu.bandwidth / (1.5 * on_cpu.copy_bandwidth))
    on_gpu = replace(_timed(2e-6, 1e-6), state=GpuState(1980.0))
    (scored,) = score(PROBLEM, {"a": on_gpu}, {"a": Verdict(0.5, "y")}, 2**30)
    assert scored.copy_share == on_cpu.copy_share
    assert scored.bus_share is None
    assert rates(PROBLEM, on_gpu, 2**30).bus_bandwidth is None
    assert [dict(zip(HEADINGS, row, strict=True))["of bus"] for row in table([on_cpu, scored])] == ["33 %", ""]


def test_a_working_set_inside_the_cache_is_timed_and_not_scored() -> None:
    ours, *_ = _score(ours=_timed(2e-6, 1e-6, in_cache=True))
    assert ours.time == 2e-6
    assert ours.copy_share is ours.roof_share is ours.bus_share is None
    row = dict(zip(HEADINGS, table([ours])[0], strict=True))
    assert row["of copy"] == row["of roof"] == row["of bus"] == ""
    assert row["time"] == "2 µs"


@pytest.mark.parametrize(("seconds", "words"), [(2.5, "2.5 s"), (0.0123, "12.3 ms"), (4.56e-7, "456 ns")])
def test_times_are_written_in_a_unit_that_suits(seconds: float, words: str) -> None:
    assert table([Score("a", 0.1, seconds)])[0][1] == words
    assert table([Score("a", 9.0)])[0][1] == "wrong, not timed"
    assert table([Score("a", 0.9)])[0][1] == "not timed"  # it ran out of memory, say


def test_each_doubt_has_a_mark_that_the_legend_explains() -> None:
    load = Load()
    load.wall_seconds, load.own_seconds, load.others_seconds = 1.0, 0.1, 5.0
    held = GpuState(reasons=0x4).warnings()
    small = plan_sets(MEBIBYTE, 2 * MEBIBYTE, 4 * MEBIBYTE).warnings()
    inside = plan_sets(MEBIBYTE, 2 * MEBIBYTE, MEBIBYTE).warnings()
    faults = _cost_warnings([1.0], 10**6, 10)
    seen = (*Verdict(0.5, "y", shrunk_to=(2, 3)).warnings(), *Verdict(0.5, "y", partly=True).warnings())
    said = {
        "L": _latency(10**6),
        "H": held,
        "C": load.warnings(),
        "W": (*small, *inside),
        "S": seen,
        "P": faults,
        "+": ["noted"],
    }
    assert set(said) == set(MARKS)
    for mark, warnings in said.items():
        assert len(warnings) > 0
        assert marks(warnings) == mark
    one = Score("a", 0.1, 1.0, warnings=("noted", *held))
    assert table([one])[0][-1] == "H+"
    assert legend([one, Score("b", 0.1)]) == f"H: {MARKS['H'][1]}; +: {MARKS['+'][1]}"
    assert legend([Score("b", 0.1)]) == ""


def test_a_score_comes_back_from_json_with_the_gpus_state_and_an_infinite_error() -> None:
    state = GpuState(1980.0, 2619.0, 650.0, 71.0, 0x4)
    (timed,) = score(PROBLEM, {"ours": replace(_timed(2e-6, 1e-6), state=state)}, {"ours": Verdict(0.5, "y")}, 0)
    assert timed.state == state
    for one in (timed, Score("broken", math.inf, warnings=("wrong",))):
        written = json.dumps(one.as_json(), allow_nan=False)
        assert Score.from_json(json.loads(written)) == one
    assert timed.as_json()["state"]["reasons"] == 0x4


def test_the_workload_and_the_table_have_one_arithmetic() -> None:
    found = rates(PROBLEM, _timed(2e-6, 1e-6), on_chip_bytes=1)
    assert found.copy_bandwidth == pytest.approx(FLOOR / 1e-6 / 1e9)
    assert found.copy_share == pytest.approx(found.bandwidth / found.copy_bandwidth)
    (ours,) = score(PROBLEM, {"ours": _timed(2e-6, 1e-6)}, {"ours": Verdict(0.5, "y")}, on_chip_bytes=1)
    assert (ours.bandwidth, ours.copy_share, ours.roof_share) == (
        found.bandwidth, found.copy_share, found.roof_share,
    )  # fmt: skip


def test_markdown_has_a_row_for_each_score_and_explains_its_marks() -> None:
    one = Score("a", 0.1, 1e-3, 1e-3, 1e-3, 12.5, 25.0, 0.5, 0.5, 0.33, 1.25, warnings=("noted",))
    text = markdown([("layer forward", [one])])
    head, rule, row, *_ = text.splitlines()
    assert head.count("|") == rule.count("|") == row.count("|")
    assert row.startswith("| layer forward | a | 1 ms | 12.5 | 50 % | 33 % | 50 % | 1.25 | 0.1 | + |")
    assert f"Doubts: +: {MARKS['+'][1]}." in text


def test_a_column_that_is_empty_throughout_is_left_out_with_its_explanation() -> None:
    one = Score("a", 0.1, 1e-3, 1e-3, 1e-3, 12.5, 25.0, 0.5, 0.5, None, 1.25)
    text = markdown([("layer forward", [one, Score("b", 9.0)])])
    assert "of bus" not in text
    assert text.splitlines()[2].startswith("| layer forward | a | 1 ms | 12.5 | 50 % | 50 % | 1.25 | 0.1 |")
    assert "doubts" not in text
    assert text.splitlines()[3] == "| layer forward | b | wrong, not timed |  |  |  |  | 9 |"
    assert "of bus" in markdown([("layer forward", [replace(one, bus_share=0.3), Score("b", 9.0)])])


def test_the_table_has_every_norm_both_ways_and_the_known_cliffs() -> None:
    for chosen in (list(whole_table()), list(small_table())):
        assert {(p.norm, p.direction) for p in chosen} == {
            (n, d) for n in KERNEL_NORMS for d in ("forward", "backward")
        }
        assert len(set(chosen)) == len(chosen)
        assert any(p.layout == "channels_last" for p in chosen)
        assert any(not p.training for p in chosen)
    whole = {(p.norm, p.shape) for p in whole_table()}
    assert {("rms", (m, n)) for m in ROWS for n in COLUMNS} <= whole
    assert {(norm, shape) for norm, shapes in CLIFFS.items() for shape in shapes} <= whole
    tails = {shape[1] for norm, shape in whole if norm == "layer"}
    assert {*range(2040, 2051), 4095} <= tails


@pytest.fixture
def campaign(load_script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load_script("kernel_campaign")
    problems = [Problem("layer", "forward", (64, 96)), Problem("layer", "backward", (64, 96), "bfloat16")]
    monkeypatch.setattr(module, "small_table", lambda dtypes: iter(problems))
    monkeypatch.setattr(module, "MEMORY_BYTES", {"cpu": 2**20})
    return module


def test_the_campaign_checks_races_and_keeps_what_it_found(campaign, tmp_path: Path) -> None:
    kept = tmp_path / "campaign.json"
    arguments = ["--device", "cpu", "--provider", "torch_eager", "--no-check", "--json", str(kept)]
    outcome = CliRunner().invoke(campaign.main, arguments)
    assert outcome.exit_code == 0, outcome.output
    assert "2 problems, 0 left out" in outcome.output
    assert "wrong, not timed" in outcome.output  # PyTorch sums bfloat16 gradients of the parameters in bfloat16
    found = json.loads(kept.read_text())
    assert found["threads"] >= 1
    assert found["on_chip_bytes"] > 0
    shortest = min(one["time"] for row in found["table"] for one in row["scores"] if "time" in one)
    assert f"{found['clock_seconds'] / shortest:.2%} of the shortest kernel's time" in outcome.output
    assert "failures" not in found  # not checked
    right, wrong = (row["scores"][0] for row in found["table"])
    assert right["time"] > 0
    assert right["error_over_bound"] <= 1 < wrong["error_over_bound"]


def test_the_campaign_starts_nothing_when_its_time_is_up_and_counts_what_it_left(campaign) -> None:
    outcome = CliRunner().invoke(campaign.main, ["--device", "cpu", "--no-check", "--minutes", "0"])
    assert "0 problems, 2 left out" in outcome.output


def test_what_fits_depends_on_how_many_take_part() -> None:
    problem = Problem("layer", "forward", (2**20, 2**12))
    assert not fits(problem, 2**30, arms=1)
    assert fits(problem, 7 * floor_bytes(problem), arms=1)
    assert not fits(problem, 7 * floor_bytes(problem), arms=2)


def test_the_campaign_fails_where_ours_is_wrong_and_not_where_a_rival_is(
    campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch's kernels stand in for ours on the processor."""
    wrong = Problem("layer", "backward", (64, 96), "bfloat16")
    monkeypatch.setattr(campaign, "checked_problems", lambda: iter([wrong]))
    checked = ["--device", "cpu", "--minutes", "0"]
    raced = ["--device", "cpu", "--provider", "torch_eager", "--no-check", "--only", "backward"]
    for arguments, said in ((checked, "1 problems checked, 1 wrong"), (raced, "wrong, not timed")):
        outcome = CliRunner().invoke(campaign.main, arguments)
        assert said in outcome.output
        assert outcome.exit_code == 0
    monkeypatch.setattr(campaign, "OURS", {"torch_eager"})
    assert CliRunner().invoke(campaign.main, checked).exit_code == 1
    outcome = CliRunner().invoke(campaign.main, raced)
    assert outcome.exit_code == 1
    assert "ours: layer backward bfloat16 64x96: torch_eager: " in outcome.output


def test_ours_fails_where_it_cannot_be_timed_too() -> None:
    row = Row(PROBLEM, [Score("cuda", 0.5), Score("liger", 9.0)], {"cuda": "no memory", "quack": "no such norm"})
    assert row.faults({"cuda"}) == ["cuda: no memory"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "("], "no regular expression"),
        (["--provider", "torch_eagre"], "did you mean 'torch_eager'"),
        (["--json", "nosuch/dir/f.json"], "name another file"),
        (["--markdown", "nosuch/dir/f.md"], "name another file"),
        (["--json", __file__], "is no campaign's"),
    ],
)
def test_the_campaign_refuses_what_is_of_no_use_before_it_checks_anything(
    campaign, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.setattr(campaign, "checked_problems", lambda: pytest.fail("checked before the arguments were"))
    outcome = CliRunner().invoke(campaign.main, ["--device", "cpu", *arguments])
    assert outcome.exit_code == 2, outcome.output
    assert said in " ".join(outcome.output.split())


def test_a_campaign_goes_on_where_it_was_stopped(campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, table_file = tmp_path / "campaign.json", tmp_path / "campaign.md"
    monkeypatch.setattr(campaign, "checked_problems", lambda: iter([Problem("layer", "forward", (4, 8))]))
    arguments = ["--device", "cpu", "--provider", "torch_eager", "--json", str(kept), "--markdown", str(table_file)]
    runs: list[Problem] = []
    run = campaign.Race.run
    monkeypatch.setattr(campaign.Race, "run", lambda race, problem: runs.append(problem) or run(race, problem))
    stopped = CliRunner().invoke(campaign.main, [*arguments, "--minutes", "0"])
    assert "0 problems, 2 left out" in stopped.output
    assert CliRunner().invoke(campaign.main, arguments).exit_code == 0
    first = json.loads(kept.read_text())
    assert datetime.fromisoformat(first["created"]) <= datetime.now(UTC)
    again = CliRunner().invoke(campaign.main, arguments)
    assert again.exit_code == 0, again.output
    assert "2 problems, 0 left out" in again.output
    assert "problems checked" not in again.output
    assert len(runs) == 2
    assert json.loads(kept.read_text())["table"] == first["table"]
    assert json.loads(kept.read_text())["created"] == first["created"]
    written = table_file.read_text()
    assert written.count("torch_eager") == 2
    assert f"{first['threads']} threads" in written
    assert "of the shortest kernel's time" in written
    other = CliRunner().invoke(campaign.main, [*arguments, "--provider", "torch_compile"])
    assert other.exit_code == 2
    assert "of another campaign" in other.output
    kept.write_text(json.dumps({**first, "failures": [{"problem": "layer"}]}))
    assert CliRunner().invoke(campaign.main, [*arguments, "--no-check", "--only", "forward"]).exit_code == 0
    assert json.loads(kept.read_text())["failures"] == [{"problem": "layer"}]  # of the check before
    kept.write_text(json.dumps({**first, "environment": {**first["environment"], "python": "3.0"}}))
    other = CliRunner().invoke(campaign.main, arguments)
    assert "python: 3.0 then" in " ".join(other.output.split())


def test_what_ours_is_checked_on_can_be_planned_for_a_gpu(campaign) -> None:
    from ics_bench.kernels.cuda.geometry import Device
    from ics_bench.kernels.cuda.plan import plan

    problems = list(campaign.checked_problems())
    assert len(problems) > 300
    for problem in problems:
        assert plan(problem, Device(132, True, 227 * 1024), aligned=True).launches


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
