"""The campaign of live runs: what it gates, keeps and counts."""

import json
import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks/gate_live.py"
MUTANT = "mutant: half the steps"


def campaign(*arguments):
    done = subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_run_is_kept_and_counted_and_not_made_twice(tmp_path):
    file = tmp_path / "live.json"
    first = campaign("runs", file, "--kind", MUTANT)
    (run,) = json.loads(file.read_text())["runs"]
    assert (run["kind"], run["exit_code"]) == (MUTANT, 1)
    assert run["verdicts"]["track_loss"] == "regression"
    assert run["reasons"]["track_loss"]
    assert run["cpu"]
    assert run["cores"] >= 1
    kept = file.read_bytes()
    again = campaign("runs", file, "--kind", MUTANT)
    assert file.read_bytes() == kept
    assert again == campaign("summary", file)
    assert first.endswith(again)
    assert MUTANT in again


def test_examples_are_written_with_their_exit_codes(tmp_path):
    file = tmp_path / "examples.md"
    said = campaign("examples", file, "--kind", "equal", "--kind", "mutant: NaN", "--only", "track_")
    assert said == "equal: exit code 0\nmutant: NaN: exit code 1\n"
    assert re.match(r"Decided by commit ([0-9a-f]{40}|unknown) on \d+ cores of ", file.read_text())
    equal, broken = file.read_text().split("# mutant: NaN: exit code 1")
    assert "✖ regression" not in equal
    assert "track&#95;loss" in broken
    assert "regression" in broken


def test_a_run_that_decided_nothing_is_no_run_without_false_alarms(tmp_path):
    file = tmp_path / "live.json"
    run = {"kind": "equal", "number": 0, "exit_code": 2, "seconds": 1.0}
    decided = {**run, "number": 1, "exit_code": 0, "verdicts": {"time_loop": "no change"}}
    file.write_text(json.dumps({"schema": 1, "runs": [{**run, "error": "boom"}, decided]}))
    *_, row = campaign("summary", file).splitlines()
    assert row.split()[:7] == ["equal", "2", "1", "-", "-", "0", "95.0%"]
