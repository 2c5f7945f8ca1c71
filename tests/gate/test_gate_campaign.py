"""The campaign of live runs: what it gates, keeps and counts."""

import json
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
    kept = file.read_bytes()
    again = campaign("runs", file, "--kind", MUTANT)
    assert file.read_bytes() == kept
    assert again == campaign("summary", file)
    assert first.endswith(again)
    assert MUTANT in again
