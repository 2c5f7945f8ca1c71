"""What the gate refuses or cannot build: what is said, and that it is said everywhere."""

from __future__ import annotations

import json
import re

import pytest

PATIENCE = 60


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
        (("HEAD", "main", "--report", ".", "--also-since", "main"), "'.', which has no name; name it"),
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
