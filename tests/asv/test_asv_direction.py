"""A metric that is better when higher: its drop is a regression, on asv's page and in our gate; its rise in neither."""

import json
from pathlib import Path

import pytest

import ics_bench

SUITE = """
from ics_bench.asv import TrackSuite

class Tiny(TrackSuite):
    workload = "tiny:WORKLOAD"
"""

INSTALL = """
import pathlib, shutil, sysconfig
own = pathlib.Path(sysconfig.get_path("purelib"))
shutil.copy("tiny.py", own)
(own / "ours.pth").write_text({root!r})
"""

DROP, RISE = "x.Tiny.track_accuracy('size=1')", "x.Tiny.track_accuracy('size=2')"


@pytest.fixture
def changed(project):
    """A repository in which accuracy drops in one case and rises in another."""
    project.write("benchmarks/x.py", SUITE)
    project.replace("tiny.py", 'Metric("accuracy", "1", "higher", "seeded")', ACCURACY)

    def change():
        project.replace("tiny.py", '"accuracy": 0.9', '"accuracy": 0.7 if size == 1 else 0.97')

    return project, change


ACCURACY = 'Metric("accuracy", "1", "higher", "seeded", smallest_effect=0.05)'


def test_in_the_gate(changed, command, monkeypatch, tmp_path):
    project, change = changed
    root = str(Path(ics_bench.__file__).parents[1])
    project.write("install.py", INSTALL.format(root=root))
    configuration = json.loads((project.folder / "asv.conf.json").read_text())
    configuration |= {"environment_type": "existing", "build_command": [], "install_command": ["python install.py"]}
    project.write("asv.conf.json", json.dumps(configuration))
    project.commit()
    change()
    project.commit()
    monkeypatch.chdir(project.folder)
    done = command("gate", "HEAD~1", "HEAD", "--json", tmp_path / "decision.json")
    assert done.code == 1, done.err
    found = {result["name"]: result for result in json.loads((tmp_path / "decision.json").read_text())["results"]}
    assert (found[DROP]["verdict"], found[RISE]["verdict"]) == ("regression", "improvement")
    assert {found[name]["verdict"] for name in found.keys() - {DROP, RISE}} == {"no change"}
    assert found[DROP]["better"] == "higher"
    (reading,) = found[DROP]["readings"]
    assert (reading["base"], reading["head"], reading["n"]) == (0.9, 0.7, 3 + 16)  # natively, and on enough seeds


@pytest.mark.full
def test_on_the_published_pages_of_asv(changed):
    project, change = changed
    commits = []
    for place in range(6):
        if place == 3:
            change()
        done, commit = project.run("--bench", "accuracy")
        assert done.returncode == 0, done.stdout + done.stderr
        commits.append(commit)
    assert project.asv("publish", "--no-pull").returncode == 0
    found = json.loads((project.folder / "html/regressions.json").read_text())["regressions"]
    (regression,) = found
    assert regression[0] == DROP
    index = json.loads((project.folder / "html/index.json").read_text())
    assert index["benchmarks"]["x.Tiny.track_accuracy"]["unit"] == "1/accuracy"
    marks = project.compare(commits[0], commits[-1])
    assert (marks[DROP], marks[RISE]) == ("+", "")
