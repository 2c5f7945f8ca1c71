"""The campaign's script, on problems of a few elements."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from ics_bench.kernels.race import Row, fits
from ics_bench.kernels.scores import Score
from ics_bench.kernels.spec import Problem, floor_bytes


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
    row = Row(
        Problem("batch", "forward", (8, 4, 16, 16)),
        [Score("cuda", 0.5), Score("liger", 9.0)],
        {"cuda": "no memory", "quack": "no such norm"},
    )
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


def test_on_a_processor_whose_kernels_are_checked_are_those_that_see_adversarial_inputs(
    campaign: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []
    run = campaign.Race.run
    monkeypatch.setattr(campaign.Race, "run", lambda race, problem: tried.append(race.tried) or run(race, problem))
    providers = ["--provider", "torch_eager", "--provider", "module"]
    arguments = ["--device", "cpu", *providers, "--no-check", "--only", "forward"]
    for option in ("all", "ours"):
        assert CliRunner().invoke(campaign.main, [*arguments, "--adversarial", option]).exit_code == 0
    assert tried == [{"torch_eager", "module"}, {"torch_eager"}]
