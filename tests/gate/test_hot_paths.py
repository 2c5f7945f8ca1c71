"""The suite of hot paths runs apart from the tests, unseen by asv, and `compare` takes what it writes."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def hot_paths(*options):
    suite = [sys.executable, "-m", "pytest", "-q", "benchmarks/hot_paths", *options]
    done = subprocess.run(suite, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_hot_path_runs():
    said = hot_paths("--benchmark-disable")
    assert re.search(r"^\d+ passed in", said, flags=re.MULTILINE), said  # none skipped


def test_the_suite_of_hot_paths_is_compared(command, tmp_path):
    before = tmp_path / "before.json"
    options = ["--benchmark-max-time=0.1", "--benchmark-min-rounds=30", f"--benchmark-json={before}"]
    hot_paths("-k", "store_append or gate_decision", *options)
    content = json.loads(before.read_text())
    for found in content["benchmarks"]:
        found["stats"]["data"] = [2 * seconds for seconds in found["stats"]["data"]]
    after = tmp_path / "after.json"
    after.write_text(json.dumps(content))
    assert command("compare", before, before, "--better", "lower").code in (0, 3)
    slower = command("compare", before, after, "--better", "lower", "--json", tmp_path / "decision.json")
    assert slower.code == 1
    results = json.loads((tmp_path / "decision.json").read_text())["results"]
    assert {result["verdict"] for result in results} == {"regression"}
    assert any("test_store_append" in result["name"] for result in results)
