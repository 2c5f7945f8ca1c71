from __future__ import annotations

import json
import random
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from ics_bench.gate.repository import Repository
from ics_bench.gate.session import Lists, get_ready
from ics_bench.gate.sides import Workspace

INSTALL = """
import pathlib, shutil, sysconfig
for path in pathlib.Path("src").glob("*.py"):
    shutil.copy(path, sysconfig.get_path("purelib"))
"""


class GateProject:
    """A small git repository with benchmarks, whose packages are those of the interpreter that runs the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "-q", "-b", "main")
        self.configure()
        self.write("install.py", INSTALL)
        self.write("src/answers.py", "ANSWER = 42\n")
        self.write("benchmarks/__init__.py", "")
        self.write("benchmarks/suite.py", "import answers\n\n\ndef track_answer():\n    return answers.ANSWER\n\n")
        self.append("benchmarks/suite.py", 'track_answer.better = "lower"\n')

    def configure(self, **settings: object) -> None:
        content = {"version": 1, "project": "small", "repo": ".", "environment_type": "existing", "build_command": []}
        content |= {"install_command": ["python install.py"], "default_benchmark_timeout": 20}
        self.write("asv.conf.json", json.dumps({**content, **settings}))

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def append(self, name: str, text: str) -> None:
        self.write(name, (self.folder / name).read_text() + text)

    def replace(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def git(self, *arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.hooksPath=/dev/null")
        command = ["git", *who, *arguments]
        return subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, message: str = "change") -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message, "--allow-empty")
        return self.git("rev-parse", "HEAD")

    def change(self, old: str, new: str, path: str = "src/answers.py") -> None:
        """Commit what there is, and then a change of it."""
        self.commit("before")
        self.replace(path, old, new)
        self.commit("after")

    def work_trees(self) -> int:
        return len(self.git("worktree", "list").splitlines())


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory) -> GateProject:
    return GateProject(tmp_path_factory.mktemp("repository"))


@dataclass(frozen=True)
class Gated:
    """What a gate said and wrote."""

    code: int
    out: str
    err: str
    results: dict[str, tuple[str, str]]
    """Verdict and reason by benchmark."""


@pytest.fixture
def gate(command, project, monkeypatch, tmp_path):
    """Run the gate in the project, in this process but for what it measures."""
    monkeypatch.chdir(project.folder)

    def run(*arguments: object) -> Gated:
        file = tmp_path / "decision.json"
        file.unlink(missing_ok=True)
        options = () if {"--json", "--help", "--calibrate"} & set(arguments) else ("--json", file)
        done = command("gate", *arguments, *options)
        content = json.loads(file.read_text()) if file.exists() else {"results": []}
        results = {result["name"]: (result["verdict"], result["reason"]) for result in content["results"]}
        return Gated(done.code, done.out, done.err, results)

    return run


@pytest.fixture
def live(project):
    """Build the last two commits and get their benchmarks ready."""
    with Workspace(project.folder / ".asv/gate", Repository.around(project.folder)) as workspace:

        def start(only=None, seconds=600.0, seed=1):
            sides = [
                workspace.add(workspace.repository.resolve(name), "asv.conf.json", "") for name in ("HEAD~1", "HEAD")
            ]
            deadline = time.monotonic() + seconds
            return get_ready(Lists(workspace), *sides, only, deadline, random.Random(seed), lambda *told: None)

        yield start
