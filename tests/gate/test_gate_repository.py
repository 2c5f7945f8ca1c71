"""Commits by name, and what is said where there is none."""

from __future__ import annotations

import re

import pytest

from ics_bench.core import UsageError
from ics_bench.gate.configuration import locate, read_configuration
from ics_bench.gate.repository import Commit, Repository


@pytest.fixture
def repository(project):
    project.commit("the beginning")
    return Repository.around(project.folder)


def test_a_commit_is_found_by_any_name(project, repository):
    at = project.git("rev-parse", "HEAD")
    project.git("tag", "v1.0")
    for name in ("HEAD", "main", "v1.0", at, at[:7]):
        assert repository.resolve(name) == Commit(name, at, "the beginning")
    assert str(repository.resolve("v1.0")) == f"v1.0 ({at[:10]})"
    assert str(repository.resolve(at)) == at[:10]


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("mian", "did you mean 'main'?"),
        ("v1.1", "did you mean 'v1.0'?"),
        ("--all", "git log, git branch --all and git tag list what there is"),
        ("", "git log, git branch --all and git tag list what there is"),
        ("0" * 40, "git log, git branch --all and git tag list what there is"),
    ],
)
def test_an_unknown_commit_comes_with_the_near_ones(project, repository, name, remedy):
    project.git("tag", "v1.0")
    with pytest.raises(UsageError, match=f"^{re.escape(f'unknown commit {name!r}; {remedy}')}$"):
        repository.resolve(name)


def test_a_shallow_clone_is_told_how_to_be_whole(project, repository, tmp_path):
    project.commit("later")
    project.git("clone", "-q", "--depth", "1", f"file://{project.folder}", str(tmp_path / "clone"))
    with pytest.raises(UsageError, match="this clone is shallow: git fetch --unshallow"):
        Repository.around(tmp_path / "clone").resolve("0.9.7")


def test_a_work_tree_that_git_will_not_read_is_not_called_none(project, repository, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own way to try this
    remedy = f"git config --global --add safe.directory {project.folder}"
    with pytest.raises(UsageError, match=f"of another user's.*{re.escape(remedy)}$"):
        Repository.around(project.folder / "src")


def test_what_is_in_no_commit_is_counted(project, repository):
    assert repository.uncommitted() == ""
    project.append("src/answers.py", "# edited")
    assert repository.uncommitted() == "1 changed file"
    project.write("new.py", "")
    assert repository.uncommitted() == "1 changed file, 1 untracked path"


def test_a_checkout_is_that_of_the_commit_and_leaves_no_trace(project, repository, tmp_path):
    project.replace("src/answers.py", "42", "43")
    project.commit()
    marker = tmp_path / "hooked"
    hook = project.folder / ".git/hooks/post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {marker}\n")
    hook.chmod(0o755)
    tree = tmp_path / "tree"
    repository.add_work_tree(tree, repository.resolve("HEAD~1"))
    assert "42" in (tree / "src/answers.py").read_text()
    assert not marker.exists()  # somebody's hook was written for their own checkouts
    assert project.work_trees() == 2
    (tree / "left.txt").touch()
    repository.remove_work_tree(tree)
    assert project.work_trees() == 1
    assert not tree.exists()


def test_the_nearest_configuration_is_taken_then_the_only_one(project, repository):
    commit = repository.resolve("HEAD")
    (project.folder / "benchmarks" / "deep").mkdir()
    assert locate(repository, commit, project.folder / "benchmarks" / "deep", None) == "asv.conf.json"
    project.git("mv", "asv.conf.json", "benchmarks/asv.conf.json")
    project.commit()
    commit = repository.resolve("HEAD")
    assert locate(repository, commit, project.folder, None) == "benchmarks/asv.conf.json"
    assert locate(repository, commit, project.folder / "benchmarks", "asv.conf.json") == "benchmarks/asv.conf.json"
    project.write("other/asv.conf.jsonc", "{}")
    project.commit()
    commit = repository.resolve("HEAD")
    with pytest.raises(UsageError, match=r"several configurations: benchmarks/asv\.conf\.json, other/asv\.conf\.jsonc"):
        locate(repository, commit, project.folder, None)
    assert locate(repository, commit, project.folder, "other/asv.conf.jsonc") == "other/asv.conf.jsonc"
    with pytest.raises(UsageError, match="is no file of"):
        locate(repository, commit, project.folder, "/etc/passwd")


def test_a_configuration_with_comments_is_read_as_asv_does(project, repository):
    project.write("asv.conf.json", '{\n// a comment\n"project": "p", "repo": "..", "build_command": "make", }')
    project.commit()
    found = read_configuration(repository, repository.resolve("HEAD"), "asv.conf.json")
    assert (found.project, found.build_commands, found.benchmark_seconds) == ("p", ("make",), 60.0)
    assert found.install_commands[0].startswith("in-dir={env_dir} python -m pip install")


@pytest.mark.parametrize(
    ("written", "remote", "same"),
    [
        ("https://example.org/a/x.git", "https://example.org/a/x", True),
        ("https://example.org/a/x", "git@example.org:a/x.git", True),
        ("git@Example.org:a/x", "ssh://git@example.org:22/a/x.git/", True),
        ("https://example.org/a/x", "https://example.org/b/x", False),
        ("https://example.org/a/x", "https://example.net/a/x", False),
        ("git@example.org:a/x", "https://example.org/a/xx", False),
    ],
)
def test_a_configuration_that_names_this_repository_by_its_address_is_ours(project, repository, written, remote, same):
    project.git("remote", "add", "other", "https://example.com/z")
    project.git("remote", "add", "upstream", remote)
    project.configure(repo=written)
    project.commit()
    if same:
        assert read_configuration(repository, repository.resolve("HEAD"), "asv.conf.json").project == "small"
    else:
        with pytest.raises(UsageError, match=r"benchmarks another repository, .* which is no remote of this one"):
            read_configuration(repository, repository.resolve("HEAD"), "asv.conf.json")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[1]", "holds list where asv expects an object"),
        ("{", "asv.conf.json of HEAD .* cannot be read"),
        ('{"repo": "https://example.org/x.git"}', "benchmarks another repository"),
        ('{"benchmark_dir": 3}', "benchmark_dir in asv.conf.json of HEAD .* is 3;"),
        ('{"install_timeout": "long"}', "install_timeout .* is 'long'"),
        ('{"build_command": [null]}', r"build_command .* is \[None\]"),
        ('{"install_command": ["true", 1]}', "install_command .* is .*1"),
        ('{"benchmark_dir": "elsewhere"}', "has no files in elsewhere/, so no benchmarks"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_named(project, repository, text, error):
    project.write("asv.conf.json", text)
    project.commit()
    with pytest.raises(UsageError, match=error):
        read_configuration(repository, repository.resolve("HEAD"), "asv.conf.json")
