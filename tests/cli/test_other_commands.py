from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from ics_bench.claims import load_catalogue
from ics_bench.execution import doctor
from ics_bench.results.run import Run

DRAWS = "plugin_workloads:DRAWS"


@pytest.fixture
def run(command) -> str:
    command("run", DRAWS, "plugin_workloads:SUBJECTS", "--executor", "inline", "--out", "r")
    return "r"


def test_show_prints_all_tables_or_one(command, run):
    everything = command("show", run)
    one = command("show", run, DRAWS)
    assert (everything.code, one.code) == (0, 0)
    assert DRAWS in one.out
    assert "plugin_workloads:SUBJECTS: medians" in everything.out
    assert "plugin_workloads:SUBJECTS: medians" not in one.out
    wrong = command("show", run, "plugin_workloads:DRAW")
    assert wrong.code == 2
    assert "did you mean 'plugin_workloads:DRAWS'" in wrong.err


def test_show_needs_no_third_party_code(command, run, workplace):
    (workplace / "plugin_workloads.py").unlink()
    sys.modules.pop("plugin_workloads")
    assert command("show", run).code == 0


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_export_writes_every_measurement(command, run, kind):
    done = command("export", run, "--format", kind, "--out", f"out.{kind}")
    assert (done.code, done.err) == (0, "")
    count = len(Run.open(run).frame())
    assert done.out == f"{count} measurements  out.{kind}\n"
    if kind == "csv":
        with Path("out.csv").open(newline="") as file:
            assert len(list(csv.reader(file))) == count + 1


def test_export_of_an_unfinished_run_says_so(command, run):
    path = Path("r/measurements.jsonl")
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    done = command("export", run, "--format", "csv", "--out", "f")
    assert done.code == 0
    assert "not complete" in done.err


def test_report_writes_a_page(command, run):
    done = command("report", run, "--out", "site")
    assert done.code == 0
    assert done.out == "report  site/index.html\n"
    assert "<html" in Path("site/index.html").read_text()


SECTIONS = ("workloads", "norms", "inits", "models", "data", "optimizers", "kernels", "claims")


def test_list_shows_every_section(command):
    done = command("list")
    assert done.code == 0
    lines = done.out.splitlines()
    assert [line for line in lines if line in SECTIONS] == list(SECTIONS)
    for name in (
        "init_scale",
        "lr_ceiling",
        "batch",
        "none",
        "he",
        "residual",
        "digits",
        "adam-0.98",
        "torch_eager",
        "bn-1",
    ):
        assert any(line.split()[:1] == [name] for line in lines), name


@pytest.mark.parametrize("section", SECTIONS)
def test_list_json_is_strict(command, section):
    content = json.loads(command("list", section, "--json").out, parse_constant=pytest.fail)
    assert list(content) == [section]
    assert all(row["name"] and row["summary"] for row in content[section])


def test_list_json_holds_the_declarations(command):
    rows = {row["name"]: row for row in json.loads(command("list", "--json").out)["workloads"]}
    assert rows["lr_ceiling"]["axes"]["norm"]["quick"]
    assert rows["lr_ceiling"]["metrics"]["trainable_ceiling"]["better"] == "higher"
    assert rows["lr_ceiling"]["cases"]["standard"] > rows["lr_ceiling"]["cases"]["quick"]


def test_list_says_where_a_norm_is_defined_and_what_a_claim_may_cost(command):
    assert "arXiv:1502.03167" in next(line for line in command("list", "norms").out.splitlines() if "batch" in line)
    rows = {row["name"]: row for row in json.loads(command("list", "claims", "--json").out)["claims"]}
    claims = {claim.id: claim for claim in load_catalogue()}
    assert {name: (row["page"], row["budget_seconds"]) for name, row in rows.items()} == {
        name: (claim.page, claim.budget_seconds) for name, claim in claims.items()
    }


def test_doctor_finds_what_this_machine_has(command):
    done = command("doctor", "--json")
    assert done.code == 0
    rows = {row["name"]: row for row in json.loads(done.out, parse_constant=pytest.fail)}
    assert rows["torch"]["state"] == "ok"
    assert rows["processor"]["state"] == "ok"
    assert all(row["remedy"] for row in rows.values() if row["state"] != "ok")
    assert command("doctor").out.count("torch") >= 1


def test_doctor_says_what_is_missing_and_what_for(monkeypatch, command, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    monkeypatch.setattr(
        doctor, "PACKAGES", (("cupy-cuda13x", "no_such_module_here", "CUDA kernels", "pip install it"),)
    )
    done = command("doctor")
    assert done.code == 0
    for name in ("git", "chromium", "nvidia-smi", "cupy-cuda13x"):
        assert any(line.split()[:2] == [name, "missing"] for line in done.out.splitlines()), name
    assert "pip install it" in done.out


def test_doctor_without_torch_cannot_measure(monkeypatch, command):
    monkeypatch.setitem(sys.modules, "torch", None)
    done = command("doctor")
    assert done.code == 2
    assert any(line.split()[:2] == ["torch", "missing"] for line in done.out.splitlines())


def test_a_reader_that_goes_away_is_no_traceback(process, run):
    popen = process("list", prefix="import time; time.sleep(0.5)")
    popen.stdout.close()
    err = popen.stderr.read()
    assert popen.wait(60) == 141
    assert err == ""
