import json
import math
import sys
import sysconfig
from pathlib import Path

import pytest

import ics_bench

SUITES = """
from ics_bench.asv import TimeSuite, TrackSuite

class Tiny(TrackSuite):
    workload = "tiny:WORKLOAD"
"""

SKIP_THE_SMALL = """
    def skip(self, case, device):
        return "not today" if case["size"] == 1 else None

"""

SMALL, LARGE = "Tiny.track_{}('size=1')", "Tiny.track_{}('size=2')"


def test_direction_survives_the_way_through_asv(project):
    project.write("benchmarks/x.py", SUITES)
    first, before = project.run()
    assert first.returncode == 0, first.stdout + first.stderr
    stored = project.results(before)
    assert stored["x.Tiny.track_accuracy"] == [1 / 0.9, 1 / 0.9]
    assert stored["x.Tiny.track_loss"] == [0.5, 1.0]
    assert stored["x.Tiny.track_steps"] == [11, 11]
    assert set(stored) == {"x.Tiny.track_accuracy", "x.Tiny.track_loss", "x.Tiny.track_steps"}

    project.replace(
        "tiny.py", '"accuracy": 0.9, "loss": 0.5 * size', '"accuracy": 0.6 if size == 1 else 0.99, "loss": 0.1'
    )
    project.replace("tiny.py", '"steps": 10 + seed', '"steps": float("inf")')
    second, after = project.run()
    assert second.returncode == 0, second.stdout + second.stderr
    marks = project.compare(before, after)
    assert marks["x." + SMALL.format("accuracy")] == "+"
    assert marks["x." + LARGE.format("accuracy")] == ""
    assert marks["x." + SMALL.format("loss")] == "-"
    assert marks["x." + SMALL.format("steps")] == "+"
    assert project.results(after)["x.Tiny.track_steps"] == [1000, 1000]

    published = project.asv("publish", "--no-pull")
    assert published.returncode == 0, published.stderr
    index = json.loads((project.folder / "html/index.json").read_text())
    assert index["benchmarks"]["x.Tiny.track_accuracy"]["unit"] == "1/accuracy"
    assert len(index["revision_to_hash"]) == 2


def test_what_cannot_be_tracked_fails_and_a_skipped_case_is_skipped(project):
    project.write("benchmarks/x.py", SUITES)
    _, before = project.run()
    project.replace("tiny.py", '"loss": 0.5 * size', '"loss": float("nan") if size == 2 else 0.5')
    project.replace("tiny.py", "    def measure(", SKIP_THE_SMALL + "    def measure(")
    done, after = project.run()
    assert done.returncode == 2
    assert "loss is NaN" in done.stdout + done.stderr
    skipped, failed = project.results(after)["x.Tiny.track_loss"]
    assert math.isnan(skipped)
    assert failed is None
    marks = project.compare(before, after)
    assert marks["x." + LARGE.format("loss")] == "!"
    assert marks["x." + SMALL.format("loss")] == ""


def test_suites_in_one_file_do_not_share_a_cache(project):
    project.write(
        "benchmarks/x.py",
        SUITES
        + """
for name, size in (("Three", 3), ("Four", 4)):
    globals()[name] = type(name, (Tiny,), {"__module__": __name__, "cases": {"size": size}})

class Five(Tiny):
    cases = {"size": 5}
""",
    )
    done, commit = project.run("--bench", "track_loss")
    assert done.returncode == 0, done.stdout + done.stderr
    stored = project.results(commit)
    assert stored["x.Tiny.track_loss"] == [0.5, 1.0]
    assert [stored[f"x.{name}.track_loss"] for name in ("Three", "Four", "Five")] == [[1.5], [2.0], [2.5]]


@pytest.mark.parametrize("first", ["", "from ics_bench.asv import preload\n\npreload()\n"])
def test_torch_is_imported_before_asv_forks_where_a_suite_asks(project, first):
    project.write("benchmarks/__init__.py", first)
    project.write("benchmarks/x.py", "import sys\n\n\ndef track_ready():\n    return float('torch' in sys.modules)\n")
    _, commit = project.run()
    assert project.results(commit)["x.track_ready"] == [float(bool(first))]


def test_results_of_different_declarations_are_not_compared(project):
    project.write("benchmarks/x.py", SUITES)
    _, before = project.run("--bench", "track_loss")
    project.replace("tiny.py", "version = 1", "version = 2")
    _, after = project.run("--bench", "track_loss")
    assert project.compare(before, after)["x." + SMALL.format("loss")] == "x"


def test_someone_elses_norm_goes_through_our_suites(project):
    project.write("theirs/__init__.py", "")
    project.write(
        "theirs/layers.py",
        '''
from torch import nn


class Doubling(nn.Module):
    """Multiplies by two."""

    def __init__(self, num_features):
        super().__init__()

    def forward(self, x):
        return 2 * x


class Zero(Doubling):
    """Kills every unit."""

    def forward(self, x):
        return 0 * x
''',
    )
    project.write(
        "benchmarks/theirs.py",
        """
from ics_bench.asv import TimeSuite, TrackSuite

NETWORK = {"init": "he", "activation": "relu", "dtype": "float64", "width": 16, "depth": 6, "batch_size": 8}
NETWORK["draws"] = "generator"


class Named(TrackSuite):
    workload = "init_scale"
    metrics = ("dead_fraction",)
    norm = "theirs.layers:Zero"
    cases = NETWORK


class NamedTime(TimeSuite):
    workload, norm, cases = "init_scale", "theirs.layers:Doubling", NETWORK
""",
    )
    project.write(
        "benchmarks/given.py",
        """
from theirs.layers import Doubling, Zero

from ics_bench.asv import TrackSuite
from benchmarks.theirs import Named


class Given(Named):
    norm = (Doubling, Zero)
""",
    )
    checked = project.asv("check", "-E", f"existing:{sys.executable}")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    done, commit = project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    stored = project.results(commit)
    assert stored["theirs.Named.track_dead_fraction"] == [1.0]
    doubling, zero = stored["given.Given.track_dead_fraction"]
    assert doubling < zero == 1.0
    assert stored["theirs.NamedTime.time_measure"][0] > 0
    listed = json.loads((project.folder / "results/benchmarks.json").read_text())
    (case, _) = listed["given.Given.track_dead_fraction"]["params"][0]
    assert "norm=theirs.layers:Doubling" in case


INSTALL = """
import pathlib, shutil, sysconfig
packages = sysconfig.get_path("purelib")
shutil.copy("tiny.py", packages)
pathlib.Path(packages, "others.pth").write_text({found!r})
"""


@pytest.mark.full
def test_continuous_reads_our_directions_and_what_succeeded_is_not_run_again(project):
    """In an environment of asv's own, which finds what we need in this one and has each commit's ``tiny`` installed."""
    project.write("benchmarks/x.py", SUITES)
    ours, theirs = str(Path(ics_bench.__file__).parents[1]), sysconfig.get_path("purelib")
    project.environment.pop("ASV_PYTHONPATH")  # asv takes what it names off the path again
    project.write("install.py", INSTALL.format(found=f"{ours}\n{theirs}\n"))
    configuration = json.loads((project.folder / "asv.conf.json").read_text())
    configuration |= {"build_command": [], "install_command": ["in-dir={build_dir} python install.py"]}
    configuration |= {"pythons": [f"{sys.version_info.major}.{sys.version_info.minor}"]}
    project.write("asv.conf.json", json.dumps(configuration))
    project.commit()
    before = project.commit()
    project.replace("tiny.py", '"accuracy": 0.9', '"accuracy": 0.6')
    after = project.commit()

    where = ("--quick", "--show-stderr", "--machine", "here")
    worse = project.asv("continuous", *where, before, after)
    assert "PERFORMANCE DECREASED" in worse.stdout, worse.stdout + worse.stderr
    assert "x.Tiny.track_accuracy" in worse.stdout
    assert worse.returncode == 1
    better = project.asv("continuous", *where, after, before)
    assert better.returncode == 0, better.stdout + better.stderr
    assert "PERFORMANCE INCREASED" in better.stdout

    again = project.asv("run", *where, "--skip-existing-successful", "HEAD~2..HEAD")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "track_accuracy" not in again.stdout
    project.replace("tiny.py", '"loss": 0.5 * size', '"loss": float("nan")')
    failing = project.commit()
    assert project.asv("run", *where, "--skip-existing-successful", f"{failing}^!").returncode == 2
    repeated = project.asv("run", *where, "--skip-existing-successful", f"{failing}^!")
    assert repeated.returncode == 2
    assert "track_loss" in repeated.stdout  # what failed is run again
