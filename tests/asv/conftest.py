import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ics_bench

TINY = """
from ics_bench.core import Axis, Metric, Workload


class Tiny(Workload):
    name = "tiny:WORKLOAD"
    version = 1
    summary = "values by hand"
    metrics = (
        Metric("accuracy", "1", "higher", "seeded"),
        Metric("loss", "nat", "lower", "seeded"),
        Metric("steps", "step", "lower", "seeded", asv_ceiling=1000.0),
        Metric("mean", "1", "neutral", "seeded"),
        Metric("detail", "1", "lower", "seeded", headline=False),
    )
    axes = (Axis("size", "how large", quick=(1, 2)),)
    seeds = {"quick": 3, "standard": 5, "full": 5}

    def values(self, size, seed):
        return {"accuracy": 0.9, "loss": 0.5 * size, "steps": 10 + seed, "mean": 1.0, "detail": 1.0}

    def measure(self, case, seeds, device):
        for seed in seeds:
            for metric, value in self.values(case["size"], seed).items():
                yield self.measurement(case, seed, metric, value)


WORKLOAD = Tiny()
"""


class AsvProject:
    """A git repository of somebody else's, with benchmarks of its own, driven by the real asv."""

    def __init__(self, folder, home):
        self.folder = folder
        sources = [str(folder), str(Path(ics_bench.__file__).parents[1])]
        self.environment = {
            **os.environ,
            "HOME": str(home),  # asv keeps its description of the machine there
            "ASV_PYTHONPATH": os.pathsep.join(sources),
            "OMP_NUM_THREADS": "1",
            **{f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }
        self.environment.pop("PYTHONPATH", None)
        self.git("init", "-q", "-b", "main")
        self.write("benchmarks/__init__.py", "")
        self.write("tiny.py", TINY)
        configuration = {"version": 1, "project": "theirs", "repo": ".", "branches": ["main"]}
        configuration |= {"environment_type": "virtualenv", "launch_method": "forkserver"}
        self.write("asv.conf.json", json.dumps(configuration))
        self.asv("machine", "--yes", "--machine", "here")

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def replace(self, name, old, new):
        text = (self.folder / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def git(self, *arguments):
        command = ["git", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self):
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "change", "--allow-empty")
        return self.git("rev-parse", "HEAD")

    def asv(self, *arguments):
        command = [sys.executable, "-m", "asv", *arguments]
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=1800,
        )

    def run(self, *arguments):
        """Commit what is there and measure it with this interpreter; return what asv said and the commit."""
        commit = self.commit()
        where = ("-E", f"existing:{sys.executable}", "--set-commit-hash", commit, "--machine", "here")
        return self.asv("run", "--quick", "--show-stderr", *where, *arguments), commit

    def results(self, commit):
        """Values by benchmark: ``None`` failed, NaN skipped."""
        (path,) = (self.folder / "results" / "here").glob(f"{commit[:8]}*.json")
        stored = json.loads(path.read_text())
        at = stored["result_columns"].index("result")
        return {name: columns[at] for name, columns in stored["results"].items()}

    def compare(self, before, after):
        """Asv's mark for every benchmark: ``+`` worse, ``-`` better, ``!`` newly failing, ``x`` incomparable."""
        done = self.asv("compare", "--machine", "here", before, after)
        assert done.returncode == 0, done.stderr
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if "|" in line]
        return {row[-1]: row[0] for row in rows if row[0] not in ("Change",) and not row[0].startswith("-" * 3)}


@pytest.fixture(scope="session")
def make_project(tmp_path_factory):
    return lambda: AsvProject(tmp_path_factory.mktemp("repository"), tmp_path_factory.mktemp("home"))


@pytest.fixture
def project(make_project):
    return make_project()
