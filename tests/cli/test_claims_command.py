from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ics_bench.claims import load_catalogue, select
from ics_bench.claims.judge import Judgement
from ics_bench.cli.claims import exit_code
from ics_bench.results.run import Run
from ics_bench.stats import Interval

CHEAP = "init-4"


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One claim measured at standard: a few seconds."""
    from ics_bench.execution.executors import parse_executor
    from ics_bench.execution.plan import Settings
    from ics_bench.execution.session import start

    folder = tmp_path_factory.mktemp("claims") / "run"
    with start(Settings(profile="standard", claims=(CHEAP,)), folder) as session:
        session.measure(parse_executor("inline"))
    return folder


def test_a_run_is_judged_by_what_it_measured(command, judged):
    done = command("claims", "--run", judged, "--json", "verdicts.json")
    (claim,) = select(load_catalogue(), [CHEAP])
    (row,) = [line for line in done.out.splitlines() if line.startswith(f"{CHEAP} ")]
    content = json.loads(Path("verdicts.json").read_text(), parse_constant=pytest.fail)
    verdict = content["judgements"][0]
    assert [j["id"] for j in content["judgements"]] == [CHEAP]
    assert verdict["registered"] == claim.registered
    assert f"{verdict['effect']:.4g}" in row
    assert done.code == (0 if verdict["verdict"] == claim.registered else 1)


def test_only_what_the_claims_need_is_measured(judged):
    cases = {record.case["draws"] for record in Run.open(judged).records}
    assert cases == {"numpy-legacy-42"}


def test_quick_measures_and_never_judges(command):
    done = command("claims", CHEAP, "--profile", "quick", "--executor", "inline", "--out", "r")
    assert done.code == 3
    assert "inconclusive" in done.out
    assert f"ics-bench claims {CHEAP} --profile standard" in done.out
    assert Run.open("r").complete


def test_a_run_made_for_a_claim_is_judged_on_that_claim(command):
    command("claims", "init-1", "--profile", "quick", "--executor", "inline", "--out", "r")
    verdicts = {}
    for asked in ([], ["init-3"]):
        command("claims", *asked, "--run", "r", "--json", "f.json")
        verdicts[tuple(asked)] = [j["id"] for j in json.loads(Path("f.json").read_text())["judgements"]]
    assert verdicts == {(): ["init-1"], ("init-3",): ["init-3"]}


def test_a_run_that_bears_on_no_claim(command):
    command("run", "plugin_workloads:DRAWS", "--executor", "inline", "--out", "r")
    done = command("claims", "--run", "r")
    assert done.code == 2
    assert "bears on no claim" in done.err


def test_a_failed_measurement_is_no_verdict(command, judged, tmp_path):
    content = (judged / "measurements.jsonl").read_bytes().splitlines()
    broken = json.loads(content[0])
    broken.update(status="failed", reason="boom", measurements=[])
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "run.json").write_bytes((judged / "run.json").read_bytes())
    lines = [json.dumps(broken).encode(), *content[1:]]
    (folder / "measurements.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    done = command("claims", CHEAP, "--run", folder)
    assert done.code == 2
    assert "boom" in done.out


def test_the_report_of_claims_holds_their_verdicts(command, judged, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(judged, folder)
    done = command("claims", "--run", folder, "--report")
    page = folder / "report" / "index.html"
    assert f"report  {page}" in done.out.splitlines()
    (claim,) = select(load_catalogue(), [CHEAP])
    assert claim.statement in page.read_text()


def judgement(verdict: str, registered: str) -> Judgement:
    return Judgement("x", verdict, registered, "theory", "standard", "s", 1.0, Interval(0.0, 2.0), 3, "1")


SAME, OTHER = judgement("supported", "supported"), judgement("refuted", "supported")
OPEN, REGISTERED_OPEN = judgement("inconclusive", "supported"), judgement("inconclusive", "inconclusive")


@pytest.mark.parametrize(
    ("judgements", "failed", "code"),
    [
        ([SAME], False, 0),
        ([SAME, REGISTERED_OPEN], False, 0),
        ([SAME, OTHER], False, 1),
        ([SAME, OPEN], False, 3),
        ([OPEN, OTHER], False, 1),
        ([SAME], True, 2),
        ([OTHER], True, 2),
    ],
)
def test_exit_codes(judgements, failed, code):
    assert exit_code(judgements, failed) == code
