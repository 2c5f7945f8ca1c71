from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ics_bench.claims import load_catalogue, select
from ics_bench.claims.judge import Judgement
from ics_bench.cli.claims import choose, exit_code, left_out
from ics_bench.core import UsageError
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
    run = Run.open(judged)
    assert content["runs"][verdict["run"]]["settings"] == run.header["settings"]
    assert content["runs"][verdict["run"]]["environment"]["packages"]["torch"] == run.environment["packages"]["torch"]
    assert done.code == (0 if verdict["verdict"] == claim.registered else 1)


def test_only_what_the_claims_need_is_measured(judged):
    cases = {record.case["draws"] for record in Run.open(judged).records}
    assert cases == {"numpy-legacy-42"}


def test_quick_measures_and_never_judges(command):
    done = command("claims", CHEAP, "--profile", "quick", "--executor", "inline", "--out", "r")
    assert done.code == 3
    assert "inconclusive" in done.out
    assert f"profile quick never judges; run: ics-bench claims {CHEAP}" in done.out
    assert Run.open("r").complete


def test_a_run_made_for_a_claim_is_judged_on_that_claim(command):
    command("claims", "init-1", "--profile", "quick", "--executor", "inline", "--out", "r")
    verdicts = {}
    for asked in ([], ["init-3"]):
        command("claims", *asked, "--run", "r", "--json", "f.json")
        verdicts[tuple(asked)] = [j["id"] for j in json.loads(Path("f.json").read_text())["judgements"]]
    assert verdicts == {(): ["init-1"], ("init-3",): ["init-3"]}


@pytest.mark.parametrize(
    ("tier", "profile", "tiers"),
    [
        (None, "standard", {"standard"}),
        (None, "quick", {"standard"}),
        (None, "full", {"standard", "full"}),
        ("full", "standard", {"full"}),
        ("standard", "full", {"standard"}),
    ],
)
def test_what_is_measured_without_an_id_and_what_is_left_out(tier, profile, tiers):
    catalogue = load_catalogue()
    assert choose(catalogue, (), tier, profile) == tuple(claim.id for claim in catalogue if claim.tier in tiers)
    left = left_out(catalogue, (), tier, profile)
    assert left == [claim.id for claim in catalogue if tier is None and claim.tier not in tiers]


def test_what_is_asked_for_is_measured_whatever_its_tier():
    (deep,) = select(load_catalogue(), ["era-2012"])
    assert deep.tier == "full"
    assert choose(load_catalogue(), ("era-2012",), None, "standard") == ("era-2012",)
    assert left_out(load_catalogue(), ("era-2012",), None, "standard") == []
    with pytest.raises(UsageError, match="no claim that was asked for is of tier standard"):
        choose(load_catalogue(), ("era-2012",), "standard", "standard")


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


def test_the_table_has_sections_budgets_and_what_was_taken(command, judged):
    done = command("claims", "--run", judged)
    (claim,) = select(load_catalogue(), [CHEAP])
    lines = done.out.splitlines()
    (place,) = [number for number, line in enumerate(lines) if line.startswith(f"{CHEAP} ")]
    assert lines[place - 1] == claim.section
    cells = lines[place].split()
    took = sum(record.seconds for record in Run.open(judged).records)
    assert cells[-3:-1] == [f"{claim.budget_seconds:g}", f"{took:.4g}"] or float(cells[-2]) == pytest.approx(
        took, abs=0.06
    )
    assert cells[-3] == f"{claim.budget_seconds:g}"
    assert "1 of 1 verdict as registered" in done.out


def test_a_verdict_that_depends_on_the_setting_names_the_settings(capsys):
    from ics_bench.claims import Finding
    from ics_bench.cli.verdicts import verdict_table

    found = Finding("supported", 1.0, Interval(0.5, 2.0), 11)
    settings = {"deep": found, "shallow": Finding("refuted", 0.0, Interval(-0.1, 0.1), 11), "aside": found}
    depends = Judgement(
        "x", "setting-dependent", "supported", "training", "full", "deep", 1.0, Interval(0.5, 2.0), 11, "decades",
        settings=settings, primary=frozenset({"deep", "shallow"}), section="A section", tier="full", budget_seconds=90,
    )  # fmt: skip
    text = verdict_table([depends], [], {"x": 12.34})
    assert "x: supported in 'deep'; refuted in 'shallow'" in text
    assert "aside" not in text
    assert "1 [0.5, 2] decades" in text
    (row,) = [line for line in text.splitlines() if line.startswith("x ")]
    assert row.split()[-4:] == ["full", "90", "12.3", "0"]
    assert "0 of 1 verdict as registered; not: x" in text
    assert "†" not in text


def test_what_was_changed_when_results_had_been_seen_is_marked(capsys):
    from ics_bench.cli.verdicts import verdict_table

    def judgement(name, revised):
        return Judgement(
            name, "refuted", "refuted", "theory", "full", "a", 1.0, Interval(1.0, 1.0), 11, "1", revised=revised
        )

    text = verdict_table([judgement("x", "rule"), judgement("y", ""), judgement("z", "verdict")], [], {})
    marks = {line.split()[0]: "refuted†" in line.split() for line in text.splitlines() if "refuted" in line}
    assert marks == {"x": True, "y": False, "z": True}
    assert text.splitlines()[-1].endswith("the registered verdict of z; the rule or settings of x")


def test_fresh_seeds_are_printed_kept_and_can_be_repeated(command):
    first = command("claims", CHEAP, "--fresh-seeds", "--profile", "quick", "--executor", "inline", "--out", "one")
    seed = Run.open("one").settings["first_seed"]
    assert seed >= 10_000
    assert f"--first-seed {seed}" in first.out
    command("claims", CHEAP, "--first-seed", seed, "--profile", "quick", "--executor", "inline", "--out", "two")
    one, two = Run.open("one"), Run.open("two")
    assert one.settings == two.settings
    assert [r.seeds for r in one.records] == [r.seeds for r in two.records]
    assert one.records[0].seeds[0] == seed
    assert list(one.measurements()) == list(two.measurements())


def test_repeated_runs_are_on_seeds_of_their_own_and_their_shares_are_written(command):
    done = command(
        "claims", CHEAP, "--repeat", 2, "--first-seed", 70_000, "--executor", "inline", "--out", "r", "--json", "f.json"
    )
    (claim,) = select(load_catalogue(), [CHEAP])
    content = json.loads(Path("f.json").read_text(), parse_constant=pytest.fail)
    assert content["first_seeds"] == [70_000, 80_000]
    assert [Run.open(Path("r") / name).settings["first_seed"] for name in "12"] == [70_000, 80_000]
    (entry,) = content["claims"]
    found = entry["verdicts"]
    assert (entry["id"], list(found)) == (CHEAP, ["70000", "80000"])
    assert entry["share_registered"] == list(found.values()).count(claim.registered) / 2
    assert f"2 {entry['commonest']}" in done.out
    assert "% of the pairs of runs agree on a verdict" in done.out
    assert done.code == (0 if set(found.values()) == {claim.registered} else 1)
    again = command("claims", "--by-seeds", "--run", "r/1", "--run", "r/2", "--json", "again.json")
    assert again.code == done.code
    assert Path("again.json").read_bytes() == Path("f.json").read_bytes()
    alone = command("claims", "--by-seeds", "--run", "r/2")
    assert "seeds from 80000: 1 of 1 verdict as registered" in alone.out
    assert "pairs of runs" not in alone.out
    lacking = command("claims", "init-1", "--by-seeds", "--run", "r/2")
    assert (lacking.code, "init-1: no run was made for it" in lacking.err) == (2, True)


def test_runs_that_share_seeds_are_no_repetition(command):
    for first in (0, 1):
        command("claims", "init-3", "--executor", "inline", "--first-seed", first, "--out", f"r{first}")
    done = command("claims", "--by-seeds", "--run", "r0", "--run", "r1")
    assert done.code == 2
    assert "the runs from seed 0 and from 1 share seeds up to" in done.err


def test_the_evidence_of_several_runs_is_judged_together(command, judged):
    command("claims", "init-1", "--profile", "quick", "--executor", "inline", "--out", "r")
    command("claims", "--run", judged, "--run", "r", "--json", "f.json")
    found = {j["id"]: j["profile"] for j in json.loads(Path("f.json").read_text())["judgements"]}
    assert found == {CHEAP: "standard", "init-1": "quick"}
    entry = json.loads(Path("f.json").read_text())["judgements"][-1]
    assert entry["statement"]
    assert entry["map"]
    assert {"section", "tier", "budget_seconds", "seconds", "history"} <= set(entry)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fresh-seeds", "--first-seed", "5"], "give one of them"),
        (["--repeat", "0"], "--repeat 0"),
        (["--run", "gone", "--repeat", "0"], "--repeat says how to measure"),
        (["--run", "gone", "--first-seed", "0"], "--first-seed says how to measure"),
        (["--run", "gone", "--out", "page"], "add --report"),
        (["--run", "gone", "--run", "lost", "--report"], "say where it goes with --out"),
        (["--by-seeds"], "name them with --run"),
        (["--repeat", "2", "--report"], "--report is about one run"),
        (["--tier", "standrad"], "did you mean 'standard'"),
        (["--profile", "standrad"], "did you mean 'standard'"),
        ([CHEAP, "--tier", "full"], "is of tier full"),
        (["--first-seed", "-1"], "--first-seed -1"),
        (["--run", "gone", "--fresh-seeds"], "--fresh-seeds says how to measure"),
        (["--run", "gone", "--repeat", "2"], "--repeat says how to measure"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_measured(command, arguments, message):
    done = command("claims", *arguments)
    assert done.code == 2
    assert message in done.err
    assert done.out == ""
    assert not Path("runs").exists()


def test_claims_are_listed_with_family_tier_and_budget(command):
    done = command("list", "claims")
    (claim,) = select(load_catalogue(), [CHEAP])
    (row,) = [line for line in done.out.splitlines() if line.startswith(f"{CHEAP} ")]
    assert row.split()[1:5] == [claim.family, claim.tier, f"{claim.budget_seconds:g}", claim.registered]


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
