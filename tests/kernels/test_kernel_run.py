"""Campaigns put together as a run: every number arrives, and what does not belong together is refused."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner, Result

from ics_bench.report.site import write_report
from ics_bench.results.run import Run

ROOT = Path(__file__).parents[2]
CAMPAIGNS = sorted((ROOT / "reports/h200").glob("*.json"))


@pytest.fixture(scope="module")
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("kernel_run")


def _put_together(script: ModuleType, folder: Path, *files: Path) -> Result:
    return CliRunner().invoke(script.main, [*map(str, files), "--out", str(folder)])


def test_every_score_of_every_campaign_is_in_the_run(script: ModuleType, tmp_path: Path) -> None:
    outcome = _put_together(script, tmp_path / "run", *CAMPAIGNS)
    assert outcome.exit_code == 0, outcome.output
    run = Run.open(tmp_path / "run")
    assert run.complete
    found = {record.case: {m.metric: m.value for m in record.measurements} for record in run.measured}
    reasons = {record.case: record.reason for record in run.skipped}
    scores = 0
    for path in CAMPAIGNS:
        campaign = json.loads(path.read_text())
        for row in map(script.Row.from_json, campaign["table"]):
            for score in row.scores:
                values = found[script.case_of(row.problem, score.provider, campaign["memory_bytes"])]
                for name in script.SCORED:
                    assert values.get(name) == getattr(score, name), (row.problem, name)
                assert values["error_over_bound"] == score.error_over_bound
                assert ("gpu_power" in values) == (score.state is not None)
                scores += 1
            for provider in set(row.cannot) - {score.provider for score in row.scores}:
                assert reasons[script.case_of(row.problem, provider, campaign["memory_bytes"])] == row.cannot[provider]
    assert scores == len(found) > 100


def test_a_page_of_the_run_tells_how_it_was_measured(script: ModuleType, tmp_path: Path) -> None:
    assert _put_together(script, tmp_path / "run", CAMPAIGNS[0]).exit_code == 0
    text = write_report([Run.open(tmp_path / "run")], tmp_path / "page").read_text()
    assert "python benchmarks/kernel_campaign.py --device cuda --json FILE" in text
    assert "ics_bench.run(" not in text
    assert "Kernels under the roof" in text


def test_the_last_of_two_that_measured_the_same_counts(script: ModuleType, tmp_path: Path) -> None:
    campaign = json.loads(CAMPAIGNS[0].read_text())
    campaign["table"] = [row for row in campaign["table"] if any("time" in one for one in row["scores"])][:1]
    later = tmp_path / "later.json"
    timed = next(one for one in campaign["table"][0]["scores"] if "time" in one)
    timed["time"] = 123.0
    later.write_text(json.dumps(campaign))
    assert _put_together(script, tmp_path / "run", CAMPAIGNS[0], later).exit_code == 0
    times = [m.value for m in Run.open(tmp_path / "run").measurements() if m.metric == "time"]
    assert times.count(123.0) == 1


def test_a_wrong_kernel_has_an_infinite_error_and_no_times(script: ModuleType, tmp_path: Path) -> None:
    campaign = json.loads(CAMPAIGNS[0].read_text())
    campaign["table"] = campaign["table"][:1]
    campaign["table"][0]["scores"] = [{"provider": "cuda", "error_over_bound": "inf", "warnings": ["wrong"]}]
    (tmp_path / "wrong.json").write_text(json.dumps(campaign))
    assert _put_together(script, tmp_path / "run", tmp_path / "wrong.json").exit_code == 0
    (record,) = Run.open(tmp_path / "run").measured
    (measurement,) = record.measurements
    assert measurement.value == math.inf
    assert measurement.warnings == ("wrong",)


def test_a_right_kernel_that_could_not_be_timed_says_why(script: ModuleType, tmp_path: Path) -> None:
    campaign = json.loads(CAMPAIGNS[0].read_text())
    (row, *_) = campaign["table"]
    row["scores"] = [{"provider": "cuda", "error_over_bound": 0.5, "warnings": []}]
    row["cannot"] = {"cuda": "OutOfMemoryError()", "quack": "it is not installed"}
    (tmp_path / "full.json").write_text(json.dumps({**campaign, "table": [row]}))
    assert _put_together(script, tmp_path / "run", tmp_path / "full.json").exit_code == 0
    run = Run.open(tmp_path / "run")
    (measurement,) = run.measurements()
    assert (measurement.value, measurement.warnings) == (0.5, ("not timed: OutOfMemoryError()",))
    assert [record.reason for record in run.skipped] == ["it is not installed"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"environment": {"python": "3.0"}}, "python"),
        ({"device": "cpu"}, "device: 'cuda' then, 'cpu' now); make a run of each"),
        ({"adversarial": "ours"}, "adversarial: 'all' then, 'ours' now"),
        ({"table": [{"problem": {}}]}, "is no campaign's"),
        ({"seed": None, "table": "none"}, "is no campaign's"),
    ],
    ids=["environment", "device", "adversarial", "row", "table"],
)
def test_what_does_not_belong_together_is_refused(
    script: ModuleType, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    campaign = json.loads(CAMPAIGNS[0].read_text())
    for name, value in change.items():
        campaign[name] = {**campaign[name], **value} if isinstance(value, dict) else value
    (tmp_path / "other.json").write_text(json.dumps(campaign))
    outcome = _put_together(script, tmp_path / "run", CAMPAIGNS[0], tmp_path / "other.json")
    assert outcome.exit_code == 2, outcome.output
    assert said in " ".join(outcome.output.split())
    assert not (tmp_path / "run").exists()


def test_other_groups_than_the_workloads_are_refused(script: ModuleType, tmp_path: Path) -> None:
    campaign = json.loads(CAMPAIGNS[0].read_text())
    row = next(row for row in campaign["table"] if row["problem"]["norm"] == "group")
    row["problem"]["groups"] = 2
    (tmp_path / "other.json").write_text(json.dumps(campaign))
    outcome = _put_together(script, tmp_path / "run", tmp_path / "other.json")
    assert outcome.exit_code == 2, outcome.output
    assert "has 2 groups and the workload 32" in " ".join(outcome.output.split())


def test_a_folder_that_exists_is_left_alone(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    outcome = _put_together(script, tmp_path / "run", CAMPAIGNS[0])
    assert outcome.exit_code == 2
    assert "exists; name another" in " ".join(outcome.output.split())
