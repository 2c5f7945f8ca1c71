"""The workflow that other projects call: its script is run here as a runner would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/gate.yml").read_text())
INPUTS = WORKFLOW[True]["workflow_call"]["inputs"]  # YAML 1.1 reads `on` as true
(COMPARE,) = (step for step in WORKFLOW["jobs"]["gate"]["steps"] if step.get("name") == "Compare")
COMMAND = f'#!/bin/sh\nexec {sys.executable} -c "from ics_bench.cli.main import main; main()" "$@"\n'


@pytest.fixture
def runner(project, tmp_path):
    """Run the step that compares, in a clone's place, with these inputs."""
    tool = tmp_path / "bin" / "ics-bench"
    tool.parent.mkdir()
    tool.write_text(COMMAND)
    tool.chmod(0o755)

    def run(**inputs: str) -> subprocess.CompletedProcess[str]:
        defaults = {name: str(found["default"]).lower() for name, found in INPUTS.items() if "default" in found}
        given = {**defaults, **{name.replace("_", "-"): value for name, value in inputs.items()}}
        for of_the_event in ("before", "event"):
            given.setdefault(of_the_event, "")
        env = {name: given[name.lower().replace("_", "-")] for name in COMPARE["env"]}
        env |= {"PATH": f"{tool.parent}:{os.environ['PATH']}", "RUNNER_TEMP": str(tmp_path), "HOME": str(tmp_path)}
        env |= {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary"), "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT))}
        script = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", COMPARE["run"]]
        return subprocess.run(script, cwd=project.folder, env=env, capture_output=True, text=True, check=False)

    return run


def test_a_pull_request_that_is_worse_fails_and_says_so(project, runner, tmp_path):
    project.commit()
    project.git("tag", "v1")
    project.replace("src/answers.py", "42", "43")
    project.commit()
    done = runner(base="v1", only="answer")
    assert done.returncode == 1, done.stderr
    assert "1 regression" in (tmp_path / "summary").read_text()
    assert {path.name for path in (tmp_path / "decision").iterdir()} == {"gate.json", "gate.markdown", "gate.junit"}
    project.commit("nothing")
    assert runner(before="0" * 40).returncode == 0  # the first push of a branch: against its parent
    assert runner(before=project.git("rev-parse", "v1")).returncode == 1
    mistyped = runner(base="v11", before="HEAD~1")
    assert mistyped.returncode == 2
    assert "unknown commit 'v11'; did you mean 'v1'?" in mistyped.stderr
    since = runner(base="HEAD~1", also_since="v1")
    assert since.returncode == 1
    (project.folder / "waivers.toml").write_text(
        "[[waiver]]\nbenchmark = '.*'\nreason = 'agreed'\nexpires = 2999-01-01\n"
    )
    assert runner(base="v1", waivers="waivers.toml").returncode == 0


def test_a_pull_request_is_not_blamed_for_what_its_base_got_meanwhile(project, runner):
    project.commit()
    old = project.git("rev-parse", "HEAD")
    main = project.git("symbolic-ref", "--short", "HEAD")
    project.git("checkout", "-q", "-b", "mine")
    project.write("harmless.txt", "of the pull request")
    project.commit()
    project.git("checkout", "-q", main)
    project.replace("src/answers.py", "42", "43")
    project.commit()  # what is worse comes from elsewhere
    project.git("checkout", "-q", "--detach", main)
    project.git("merge", "-q", "--no-edit", "mine")
    assert runner(before=old, event="push", only="answer").returncode == 1
    assert runner(before=old, event="pull_request", only="answer").returncode == 0


def test_what_callers_pass_is_no_part_of_the_script(project, runner):
    project.commit()
    done = runner(base="$(touch owned)", only='"; touch owned; "')
    assert done.returncode == 2
    assert not (project.folder / "owned").exists()
    for step in WORKFLOW["jobs"]["gate"]["steps"]:
        assert "${{" not in step.get("run", "")


@pytest.mark.parametrize(("allowed", "code"), [("false", 3), ("true", 0)])
def test_inconclusive_fails_unless_it_is_allowed(project, runner, allowed, code):
    project.write("benchmarks/suite.py", "def time_x():\n    sum(range(100))\n")
    project.commit()
    assert runner(base="HEAD", budget="0.0001", allow_inconclusive=allowed).returncode == code


def test_the_lines_to_copy_name_inputs_that_exist():
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    copied = yaml.safe_load(block)["jobs"]["gate"]
    assert copied["uses"].partition("/.github/")[2] == "workflows/gate.yml@main"
    assert set(copied["with"]) <= set(INPUTS)
    own = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["gate"]
    assert set(own["with"]) <= set(INPUTS)
