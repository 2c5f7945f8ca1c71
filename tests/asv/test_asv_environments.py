"""The whole of asv on a copy of this project: environments of its own, two commits, comparison, pages."""

import json
import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COPIED = ("ics_bench", "benchmarks", "asv.conf.json", "constraints.txt", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def ours(make_project):
    """This project as a repository whose last two commits measure the same."""
    project = make_project()
    (project.folder / "asv.conf.json").unlink()
    shutil.rmtree(project.folder / "benchmarks")
    for name in COPIED:
        source, target = ROOT / name, project.folder / name
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    shutil.copy(ROOT / ".gitignore", project.folder)
    project.environment.pop("ASV_PYTHONPATH")  # only what asv installs
    project.environment.pop("OMP_NUM_THREADS")
    user_settings = Path("~/.config/pip/pip.conf").expanduser()
    if user_settings.exists():
        project.environment.setdefault("PIP_CONFIG_FILE", str(user_settings))
    for _ in range(3):  # a range excludes its start, so two commits need a third below them
        project.commit()
    yield project
    shutil.rmtree(project.folder / ".asv/env", ignore_errors=True)  # about a gigabyte


def stored(project, commit):
    (path,) = (project.folder / ".asv/results/here").glob(f"{commit[:8]}-*.json")
    return json.loads(path.read_text())


@pytest.mark.full
def test_two_commits_are_measured_compared_and_published(ours):
    checked = ours.asv("check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    before, after = ours.git("rev-parse", "HEAD~1"), ours.git("rev-parse", "HEAD")
    done = ours.asv("run", "--quick", "--show-stderr", "--machine", "here", "HEAD~2..HEAD")
    assert done.returncode == 0, done.stdout + done.stderr
    for commit in (before, after):
        found = stored(ours, commit)
        assert found["env_name"].startswith("virtualenv-")
        assert found["params"]["torch"] == "2.13.0"

    marks = ours.compare(before, after)
    deterministic = {name: mark for name, mark in marks.items() if re.match(r"(init_scale|lr_ceiling)\..*track_", name)}
    assert len(deterministic) > 20
    assert set(deterministic.values()) == {""}  # the same code on the same machine

    assert ours.asv("publish", "--no-pull").returncode == 0
    index = json.loads((ours.folder / ".asv/html/index.json").read_text())
    assert len(index["revision_to_hash"]) == 2


@pytest.mark.full
def test_what_is_measured_is_not_measured_again_and_two_commits_are_measured_in_one_go(ours):
    """Without ``--quick``, of what is cheap."""
    where = ("--machine", "here", "--bench", "init_scale.InitScale.track_forward_rate_error")
    whole = ours.asv("run", "--show-stderr", *where, "HEAD^!")
    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert "track_forward_rate_error" in whole.stdout
    skipped = ours.asv("run", "--skip-existing", *where, "HEAD^!")
    assert "track_forward_rate_error" not in skipped.stdout, skipped.stdout
    both = ours.asv("continuous", "--quick", *where, "HEAD~1", "HEAD")
    assert both.returncode == 0, both.stdout + both.stderr
    assert "BENCHMARKS NOT SIGNIFICANTLY CHANGED" in both.stdout


@pytest.mark.full
def test_a_range_over_a_changed_declaration_is_refused_where_it_differs(ours):
    older = ours.git("rev-parse", "HEAD")
    ours.replace("ics_bench/workloads/lr_ceiling.py", "version = 2", "version = 3")
    newer = ours.commit()
    where = ("--machine", "here", "--bench", "LrCeiling.track")
    done = ours.asv("run", "--quick", "--show-stderr", *where, "HEAD~2..HEAD")
    assert done.returncode == 2
    assert "is declared otherwise at this commit" in done.stdout
    values = {}
    for commit in (older, newer):
        found = stored(ours, commit)
        at = found["result_columns"].index("result")
        values[commit] = found["results"]["lr_ceiling.LrCeiling.track_stable_ceiling"][at]
    assert values[older] is None  # failed, every case
    assert all(value > 0 for value in values[newer])
