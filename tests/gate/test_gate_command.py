"""The gate on real repositories: each kind of change and of trouble, with its exit code and what is said of it."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from ics_bench.gate import commits, requirements, sides

PATIENCE = 60


def change(project, old, new, path="src/answers.py"):
    project.commit("before")
    project.replace(path, old, new)
    project.commit("after")


def test_a_worse_number_is_a_regression_and_a_better_one_is_none(project, gate):
    change(project, "42", "43")
    worse = gate("HEAD~1", "HEAD")
    assert worse.code == 1, worse.err
    assert worse.results["suite.track_answer"][0] == "regression"
    better = gate("HEAD", "HEAD~1")
    assert better.code == 0
    assert better.results["suite.track_answer"][0] == "improvement"
    assert re.search(r"^base: built in .*: before$", worse.out, flags=re.MULTILINE)
    assert project.work_trees() == 1


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
    change(project, "42", "42.0")
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
    change(project, "42", "43")
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
    change(project, "42", "float('nan')")
    done = gate("HEAD~1", "HEAD")
    assert done.code == 1
    assert done.results["suite.track_answer"] == ("regression", "nan on head alone")


def test_benchmarks_that_come_and_go(project, gate):
    project.append("benchmarks/suite.py", "def track_old(): return 1\n")
    change(project, "track_old", "track_new", "benchmarks/suite.py")
    done = gate("HEAD~1", "HEAD")
    assert done.code == 2
    found = done.results
    assert (found["suite.track_old"][0], found["suite.track_new"][0]) == ("missing", "new")
    assert gate("HEAD~1", "HEAD", "--only", "answer|new").code == 0


def test_a_benchmark_that_means_something_else_now_is_not_compared(project, gate):
    change(project, "return answers.ANSWER", "return 2 * answers.ANSWER", "benchmarks/suite.py")
    done = gate("HEAD~1", "HEAD")
    assert done.code == 2
    assert done.results["suite.track_answer"][0] == "incomparable"


def test_without_a_direction_a_number_is_reported_and_not_judged(project, gate):
    project.replace("benchmarks/suite.py", 'track_answer.better = "lower"', "")
    change(project, "42", "43")
    done = gate("HEAD~1", "HEAD")
    assert done.results["suite.track_answer"] == ("not judged", "unknown direction: reported, not judged")


@pytest.mark.parametrize("broken", ["base", "head"])
def test_a_build_that_fails_is_an_error_with_its_own_last_lines(project, gate, broken):
    project.commit("works")
    project.configure(build_command=["python -c \"print('almost'); 1 / 0\""])
    project.commit("broken")
    sides = ("HEAD", "HEAD~1") if broken == "base" else ("HEAD~1", "HEAD")
    done = gate(*sides)
    assert done.code == 2
    assert re.search(
        r"error: " + broken + r" HEAD \(\w+\) cannot be measured: .* ended with exit code 1$", done.err.strip()
    )
    assert "  | almost\n" in done.err
    assert "  | ZeroDivisionError: division by zero\n" in done.err
    assert re.search(rf"^{broken} +HEAD \(\w+\) +.*ended with exit code 1$", done.out, flags=re.MULTILINE)
    assert project.work_trees() == 1


STALE = '{"exit_code": 0}'


@pytest.mark.parametrize("refusal", ["build", "commit", "waivers"])
def test_why_nothing_was_decided_is_written_to_every_output(project, gate, tmp_path, monkeypatch, refusal):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    project.commit("works")
    project.configure(build_command=["python -c \"print('almost'); 1 / 0\""])
    project.commit("broken")
    files = {option: tmp_path / f"out.{option}" for option in ("json", "markdown", "junit")}
    since = tmp_path / "out-since.json"
    for path in (*files.values(), since):
        path.write_text(STALE)
    options = [word for option, path in files.items() for word in (f"--{option}", path)]
    base, reason = "HEAD~1", "ended with exit code 1"
    if refusal == "commit":
        base, reason = "mian", "unknown commit 'mian'; did you mean 'main'?"
    elif refusal == "waivers":
        options, reason = [*options, "--waivers", tmp_path / "gone.toml"], "No such file"
    done = gate(base, "HEAD", "--also-since", "HEAD~1", *options)
    assert done.code == 2
    assert re.search(r"^side +commit +state$", done.out, flags=re.MULTILINE)
    assert reason in done.out
    for path in (*files.values(), since, tmp_path / "summary.md"):
        text = path.read_text().replace("&#58;", ":").replace("&#39;", "'")
        assert reason in text, path
        assert ("ZeroDivisionError: division by zero" in text) == (refusal == "build"), path
        assert STALE not in text
    content = json.loads(files["json"].read_text())
    assert (content["exit_code"], content["results"]) == (2, [])


def test_a_checkout_that_fails_is_an_error(project, gate):
    project.commit()
    project.write(".gitmodules", '[submodule "sub"]\n\tpath = sub\n\turl = /no/such/repository\n')
    project.git("add", ".gitmodules")
    project.git("update-index", "--add", "--cacheinfo", f"160000,{project.git('rev-parse', 'HEAD')},sub")
    project.git("commit", "-q", "-m", "with a submodule that is gone")
    done = gate("HEAD~1", "HEAD")
    assert done.code == 2
    assert re.search(r"error: HEAD \(\w+\) cannot be checked out into '.*': .*/no/such/repository", done.err)
    assert project.work_trees() == 1


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
    change(project, "42", "43")
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


def test_the_second_comparisons_files_are_looked_at_where_there_is_one(project, gate, tmp_path):
    project.commit()
    (tmp_path / "d-since.json").mkdir()
    assert gate("HEAD", "HEAD", "--json", tmp_path / "d.json").code == 0
    done = gate("HEAD", "HEAD", "--json", tmp_path / "d.json", "--also-since", "HEAD")
    assert (done.code, "d-since.json' is no regular file" in done.err) == (2, True)


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


def test_bad_input_is_one_line_that_names_the_remedy(project, gate, tmp_path, monkeypatch):
    project.commit()
    for arguments, error in (
        (("mian", "HEAD"), "unknown commit 'mian'; did you mean 'main'?"),
        (("HEAD",), "gate compares two commits; for example ics-bench gate main HEAD"),
        ((), "gate compares two commits; for example ics-bench gate main HEAD"),
        (("HEAD", "main", "--budget", "0"), "--budget 0: expected a positive number of minutes"),
        (("HEAD", "main", "--budget", "nan"), "--budget nan: expected a positive number of minutes"),
        (("HEAD", "main", "--only", "("), "--only '(' is no regular expression"),
        (
            ("HEAD", "main", "--only", "answr"),
            "--only 'answr' matches no benchmark; there are, for example, suite.track",
        ),
        (("HEAD", "main", "--json", "no/such/folder/x"), "cannot be written"),
        (("HEAD", "main", "--pairs", "3"), "--pairs is for --calibrate"),
        (("HEAD", "main", "--calibrate", "x"), "--calibrate compares one commit with itself"),
        (("HEAD", "--calibrate", "x", "--also-since", "main"), "leave --also-since out"),
        (("HEAD", "main", "--config", "gone.json"), "'gone.json' is no file of main"),
        (("HEAD", "main", "--env", "imaginary"), "its requirements cannot be installed"),
    ):
        done = gate(*arguments)
        assert done.code == 2, arguments
        assert error in done.err.splitlines()[-1], done.err
        assert done.err.splitlines()[-1].startswith("error: ")
    monkeypatch.chdir(tmp_path)
    assert f"{str(tmp_path)!r} lies in no git work tree" in gate("HEAD", "HEAD").err


def test_commits_without_benchmarks(project, gate):
    project.git("commit", "-q", "--allow-empty", "-m", "empty")
    project.commit()
    done = gate("HEAD~1", "HEAD")
    assert (done.code, "HEAD~1" in done.err) == (2, True)
    assert "has no asv.conf.json, so no benchmarks" in done.err
    project.git("rm", "-rq", "benchmarks")
    project.commit()
    assert "has no files in benchmarks/, so no benchmarks" in gate("HEAD~1", "HEAD").err


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("import sys; sys.modules['asv'] = None", "asv is not installed; pip install 'ics-bench[gate]'"),
        ("import os; os.environ['PATH'] = ''", "git is not installed; install it"),
    ],
)
def test_without_a_part_it_says_which_and_what_still_works(project, process, missing, said):
    project.commit()
    popen = process("gate", "HEAD", "HEAD", prefix=f"{missing}\nimport os; os.chdir({str(project.folder)!r})")
    _, err = popen.communicate(timeout=PATIENCE)
    assert popen.returncode == 2
    assert said in err
    assert "ics-bench compare" in err


ENDLESS = """
import os, time
def time_long():
    with open(PLACE, "a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(0.2)
"""


def pids(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_for(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("sent", "code", "to_all"), [(signal.SIGINT, 130, True), (signal.SIGTERM, 143, False), (signal.SIGHUP, 129, False)]
)
def test_an_interrupted_gate_leaves_no_process_and_no_checkout(project, process, tmp_path, sent, code, to_all):
    noted = tmp_path / "pids"
    project.write("benchmarks/suite.py", f"PLACE = {str(noted)!r}\n{ENDLESS}")
    project.commit()
    (tmp_path / "d.json").write_text(STALE)
    here = f"import os; os.chdir({str(project.folder)!r})"
    popen = process("gate", "HEAD", "HEAD", "--json", tmp_path / "d.json", prefix=here)
    wait_for(lambda: len(pids(noted)) > 5, "some epochs")
    os.killpg(popen.pid, sent) if to_all else popen.send_signal(sent)
    out, err = popen.communicate(timeout=PATIENCE)
    assert popen.returncode == code
    assert (out, err) == ("", "interrupted: nothing is decided; builds are kept for the next run\n")
    assert not [pid for pid in pids(noted) if psutil.pid_exists(pid)]
    assert project.work_trees() == 1
    assert not (project.folder / ".asv/gate/run").exists()
    assert json.loads((tmp_path / "d.json").read_text())["failures"] == ["interrupted: nothing is decided"]


def test_a_killed_gate_leaves_no_process(project, process, tmp_path):
    noted = tmp_path / "pids"
    project.write("benchmarks/suite.py", f"PLACE = {str(noted)!r}\n{ENDLESS}".replace("0.2", "600"))
    project.commit()
    popen = process("gate", "HEAD", "HEAD", prefix=f"import os; os.chdir({str(project.folder)!r})")
    wait_for(lambda: bool(pids(noted)), "an epoch that hangs")
    popen.kill()
    popen.wait()
    wait_for(lambda: not any(map(psutil.pid_exists, pids(noted))), "the epochs to end")


def test_a_hangup_that_is_ignored_stays_ignored(command, monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        command("--version")
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_interrupted_while_it_builds(project, process, tmp_path):
    sleep = f"import os, time; open({str(tmp_path / 'pids')!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    project.configure(build_command=[f'python -c "{sleep}"'])
    project.commit()
    popen = process("gate", "HEAD", "HEAD", prefix=f"import os; os.chdir({str(project.folder)!r})")
    wait_for(lambda: bool(pids(tmp_path / "pids")), "the build")
    popen.send_signal(signal.SIGTERM)
    popen.communicate(timeout=PATIENCE)
    assert popen.returncode == 143
    assert not psutil.pid_exists(*pids(tmp_path / "pids"))
    assert project.work_trees() == 1


SLOWER = """
import answers

def time_count():
    for _ in range(100 * answers.ANSWER):
        pass
"""


def test_a_slow_down_is_found_and_a_budget_that_ends_is_no_pass(project, gate, tmp_path):
    project.write("benchmarks/suite.py", SLOWER)
    change(project, "42", "168")
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
    change(project, "42", "43")
    project.commit("nothing")
    since_last = gate("HEAD~1", "HEAD")
    assert since_last.code == 0
    since_release = gate("HEAD~1", "HEAD", "--also-since", "v1")
    assert since_release.code == 1
    assert since_release.results["suite.track_answer"][0] == "no change"
    later = json.loads((tmp_path / "decision-since.json").read_text())
    assert [result["verdict"] for result in later["results"]] == ["regression"]
    assert later["base"].startswith("v1 ")


def test_a_known_regression_is_waived_until_a_day(project, gate, tmp_path):
    change(project, "42", "43")
    waivers = tmp_path / "waivers.toml"
    for expires, code in (("2999-01-01", 0), ("2020-01-01", 1)):
        waivers.write_text(f"[[waiver]]\nbenchmark = 'suite.*'\nreason = 'agreed'\nexpires = {expires}\n")
        assert gate("HEAD~1", "HEAD", "--waivers", waivers).code == code


def test_every_output_is_written(project, gate, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    change(project, "42", "43")
    files = {option: tmp_path / f"out.{option}" for option in ("json", "markdown", "junit", "report")}
    options = [word for option, path in files.items() for word in (f"--{option}", path)]
    assert gate("HEAD~1", "HEAD", *options).code == 1
    assert "1 regression" in (tmp_path / "summary.md").read_text()
    for path in (*list(files.values())[:3], files["report"] / "index.html"):
        assert "regression" in path.read_text()


def test_noise_is_recorded_under_three_loads(project, gate, tmp_path):
    from ics_bench.gate.recording import load_recordings

    project.write("benchmarks/suite.py", "def time_sum():\n    sum(range(1000))\n\ndef track_x():\n    return 1\n")
    project.commit()
    file = tmp_path / "noise.json.gz"
    for _ in range(2):  # the second adds to the first
        done = gate("--calibrate", file, "--pairs", "1", "--budget", "0.001")
        assert done.code == 0, done.err
    found = load_recordings(file)
    assert [recording.load for recording in found] == 2 * ["quiet", "one busy core", "two busy cores"]
    assert {tuple(recording.benchmarks) for recording in found} == {("suite.time_sum",)}
    assert {recording.pairs for recording in found} == {1}


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
    change(project, "42", "43")
    assert gate("HEAD~1", "HEAD").code == 1


def test_help_says_what_each_exit_code_means(gate, project):
    project.commit()
    codes = gate("--help").out.partition("Exit codes:")[2]
    assert re.findall(r"^ +(\d+(?:, \d+)*)  \S", codes, flags=re.MULTILINE) == [
        "0",
        "1",
        "2",
        "3",
        "129, 130, 143",
        "141",
    ]


def test_the_command_line_starts_without_what_only_others_need(project):
    project.commit()
    code = "import sys\nimport ics_bench.cli.gate\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
