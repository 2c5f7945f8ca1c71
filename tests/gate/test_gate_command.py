"""The gate on real repositories: each kind of change and of trouble, with its exit code and what is said of it."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from ics_bench.gate import commits, requirements, sides


def test_a_worse_number_is_a_regression_and_a_better_one_is_none(project, gate):
    project.change("42", "43")
    worse = gate("HEAD~1", "HEAD")
    assert worse.code == 1, worse.err
    assert worse.results["suite.track_answer"][0] == "regression"
    better = gate("HEAD", "HEAD~1")
    assert better.code == 0
    assert better.results["suite.track_answer"][0] == "improvement"
    assert re.search(r"^base: built in .*: before$", worse.out, flags=re.MULTILINE)
    assert project.work_trees() == 1


def test_a_number_that_varies_about_zero_is_reported_and_not_judged_without_a_direction(project, gate):
    varying = "import random\n\ndef track_x():\n    return random.random() - 0.5\n"
    directed = "\ndef track_answer():\n    return 42\ntrack_answer.better = 'lower'\n"
    project.write("benchmarks/suite.py", varying + directed)
    project.commit()
    done = gate("HEAD", "HEAD")
    assert done.code == 0, done.out
    verdict, reason = done.results["suite.track_x"]
    assert verdict == "not judged"
    assert "a ratio needs positive, finite numbers" in reason


def test_equal_commits_are_warned_about_and_run(project, gate):
    project.commit()
    done = gate("HEAD", "main")
    assert done.code == 0, done.out
    assert "base and head are the same commit: any difference is noise" in done.out
    assert done.results["suite.track_answer"] == ("no change", "equal to the last bit")


def test_builds_that_are_equal_are_warned_about(project, gate):
    project.commit()
    project.write("README", "words")
    project.commit()
    assert "both sides install the same files and have the same benchmarks" in gate("HEAD~1", "HEAD").out


def test_a_dirty_work_tree_is_labelled_and_not_measured(project, gate):
    project.change("42", "42.0")
    project.replace("src/answers.py", "42", "99")
    done = gate("HEAD~1", "HEAD")
    assert done.code == 0
    assert "the work tree has 1 changed file in no commit; what is measured is the commit without them" in done.out


TROUBLE = """
import answers
import os, time

def track_answer():
    return answers.ANSWER

def track_trouble():
    if answers.ANSWER == 43:
        {trouble}
    return 1
track_answer.better = track_trouble.better = "lower"
track_trouble.timeout = 1.5
"""


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("raise RuntimeError('no luck')", "RuntimeError: no luck"),
        ("time.sleep(600)", "timed out after 1.5 s"),
        ("os.kill(os.getpid(), 11)", "its process killed by SIGSEGV"),
        ("os.kill(os.getpid(), 9)", "its process killed by SIGKILL, perhaps for want of memory"),
        ("os._exit(0)", "its process ended with exit code 0"),
        ("return 'text'", "returned str 'text'; the gate needs a number"),
    ],
)
def test_a_benchmark_in_trouble_is_an_error_and_never_a_pass(project, gate, trouble, reason):
    project.write("benchmarks/suite.py", TROUBLE.format(trouble=trouble))
    project.change("42", "43")
    done = gate("HEAD~1", "HEAD", "--only", "trouble")
    assert done.code == 2
    verdict, why = done.results["suite.track_trouble"]
    assert verdict == "error"
    assert why.startswith("failed on head: ")
    assert reason in why


def test_trouble_on_both_sides_is_an_error_too(project, gate):
    project.write("benchmarks/suite.py", TROUBLE.format(trouble="raise RuntimeError('no luck')"))
    project.replace("src/answers.py", "42", "43")
    project.commit()
    done = gate("HEAD", "HEAD")
    assert done.code == 2
    assert done.results["suite.track_trouble"] == ("error", "failed on both sides: RuntimeError: no luck")
    assert done.results["suite.track_answer"][0] == "no change"


def test_a_number_that_is_none_on_head_alone_is_a_regression(project, gate):
    project.change("42", "float('nan')")
    done = gate("HEAD~1", "HEAD")
    assert done.code == 1
    assert done.results["suite.track_answer"] == ("regression", "nan on head alone")


def test_benchmarks_that_come_and_go(project, gate):
    project.append("benchmarks/suite.py", "def track_old(): return 1\n")
    project.change("track_old", "track_new", "benchmarks/suite.py")
    done = gate("HEAD~1", "HEAD")
    assert done.code == 2
    found = done.results
    assert (found["suite.track_old"][0], found["suite.track_new"][0]) == ("missing", "new")
    assert gate("HEAD~1", "HEAD", "--only", "answer|new").code == 0


def test_a_benchmark_that_means_something_else_now_is_not_compared(project, gate):
    project.change("return answers.ANSWER", "return 2 * answers.ANSWER", "benchmarks/suite.py")
    done = gate("HEAD~1", "HEAD")
    assert done.code == 2
    assert done.results["suite.track_answer"][0] == "incomparable"


def test_without_a_direction_a_number_is_reported_and_not_judged(project, gate):
    project.replace("benchmarks/suite.py", 'track_answer.better = "lower"', "")
    project.change("42", "43")
    done = gate("HEAD~1", "HEAD")
    assert done.results["suite.track_answer"] == ("not judged", "unknown direction: reported, not judged")


STEPPING = """
import itertools, time
import answers
steps = itertools.count()
time.time = lambda: 1e9 + 86400 * (-1) ** next(steps) * next(steps)

def time_sum():
    sum(range(1000))

def track_answer():
    return answers.ANSWER
track_answer.better = "lower"
"""


def test_a_clock_that_is_set_back_and_forth_decides_nothing(project, gate, monkeypatch):
    project.write("benchmarks/suite.py", STEPPING)
    project.change("42", "43")
    days = itertools.cycle((0, 86400 * 30, -86400 * 30))
    monkeypatch.setattr(time, "time", lambda: 1e9 + next(days))
    done = gate("HEAD~1", "HEAD", "--budget", "0.5")
    assert done.results["suite.track_answer"][0] == "regression"
    assert done.results["suite.time_sum"][0] in ("no change", "inconclusive")  # as busy as the machine is
    assert int(re.search(r"measured: (\d+) pairs in", done.out)[1]) >= 16


def test_each_comparison_has_its_half_of_the_time(project, gate, monkeypatch):
    project.commit()
    deadlines, real = [], commits.get_ready

    def get_ready(lists, base, head, only, deadline, rng, listener):
        deadlines.append(deadline - time.monotonic())
        if len(deadlines) == 1:
            time.sleep(1)
        return real(lists, base, head, only, deadline, rng, listener)

    monkeypatch.setattr(commits, "get_ready", get_ready)
    gate("HEAD", "HEAD", "--also-since", "HEAD", "--budget", "2")
    first, second = deadlines
    assert 30 < first <= 60
    assert 60 < second < 119  # what the first left over is the second's


def test_what_is_not_measured_and_who_else_was_there_is_warned_about(project, gate, monkeypatch, tmp_path):
    project.commit()
    real = sides.make_requirements
    monkeypatch.setattr(sides, "make_requirements", lambda *a: replace(real(*a), left_out=("py3.11", "py3.13")))
    monkeypatch.setattr(commits.Load, "others_warnings", lambda load: ("contended: others used 1.50 of 2 cores",))
    done = gate("HEAD", "HEAD", "--json", tmp_path / "d.json")
    assert done.code == 0
    for text in (done.out, (tmp_path / "d.json").read_text()):
        assert "contended: others used 1.50 of 2 cores" in text
        assert "measured in the first environment of asv's matrix alone, existing" in text
        assert "left out: py3.11, py3.13; --env picks another" in text


def test_asv_names_the_environments_that_are_left_out(project, monkeypatch, tmp_path):
    from asv.plugins.virtualenv import Virtualenv

    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    project.configure(environment_type="virtualenv", pythons=[python], matrix={"env": {"X": ["1", "2", "3"]}})
    monkeypatch.setattr(Virtualenv, "create", lambda self: None)
    monkeypatch.setattr(Virtualenv, "find_executable", lambda self, name: sys.executable)
    answer = tmp_path / "answer"
    requirements.main(str(project.folder / "asv.conf.json"), str(tmp_path), "", str(answer))
    found = json.loads(answer.read_text())
    assert (found["name"], found["left_out"]) == (
        f"virtualenv-py{python}-X1",
        [f"virtualenv-py{python}-X2", f"virtualenv-py{python}-X3"],
    )


SLOWER = """
import answers

def time_count():
    for _ in range(100 * answers.ANSWER):
        pass
"""


def test_a_slow_down_is_found_and_a_budget_that_ends_is_no_pass(project, gate, tmp_path):
    project.write("benchmarks/suite.py", SLOWER)
    project.change("42", "168")
    slower = gate("HEAD~1", "HEAD", "--seed", "1")
    assert slower.code == 1, slower.out
    content = json.loads((tmp_path / "decision.json").read_text())
    assert content["seed"] == 1
    assert {"cpu", "python", "cores", "load_average"} <= set(content["machine"])
    assert {"ics-bench", "asv", "asv_runner"} <= set(content["machine"]["packages"])
    (pairs,) = (result["pairs"] for result in content["results"])
    assert len(pairs["log_ratios"]["wall time"]) == len(pairs["head_first"]) >= 32
    assert slower.results["suite.time_count"][0] == "regression"
    cut = gate("HEAD~1", "HEAD", "--budget", "0.02")
    assert cut.code == 3, cut.out
    verdict, reason = cut.results["suite.time_count"]
    assert verdict == "inconclusive"
    assert "the budget ended" in reason


def test_creep_is_seen_against_an_older_commit(project, gate, tmp_path):
    project.commit()
    project.git("tag", "v1")
    project.change("42", "43")
    project.commit("nothing")
    since_last = gate("HEAD~1", "HEAD")
    assert since_last.code == 0
    since_release = gate("HEAD~1", "HEAD", "--also-since", "v1")
    assert since_release.code == 1
    assert since_release.results["suite.track_answer"][0] == "no change"
    later = json.loads((tmp_path / "decision-since.json").read_text())
    assert [result["verdict"] for result in later["results"]] == ["regression"]
    assert later["base"].startswith("v1 ")


def test_a_project_whose_benchmarks_lie_deeper(project, gate):
    """A configuration in a folder of its own, with the project above it, as many projects have it."""
    project.git("add", "-A")
    project.git("mv", "benchmarks", "perf")
    project.git("mv", "-k", "asv.conf.json", "perf/asv.conf.json")
    project.write("perf/asv.conf.json", (project.folder / "perf/asv.conf.json").read_text().replace('"."', '".."'))
    text = (project.folder / "perf/asv.conf.json").read_text()
    project.write("perf/asv.conf.json", text.replace('"version": 1', '"version": 1, "benchmark_dir": "suites"'))
    for name in ("__init__.py", "suite.py"):
        project.write(f"perf/suites/{name}", (project.folder / "perf" / name).read_text())
    project.change("42", "43")
    assert gate("HEAD~1", "HEAD").code == 1


def test_the_command_line_starts_without_what_only_others_need(project):
    project.commit()
    code = "import sys\nimport ics_bench.cli.gate\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
