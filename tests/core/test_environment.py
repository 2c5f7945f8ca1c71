from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from ics_bench.core.environment import (
    cache_sizes,
    differences,
    fingerprint,
    git_state,
    last_level_cache_bytes,
    private_cache_bytes,
    usable_cores,
)


def test_the_fingerprint_is_strict_json_and_complete():
    found = fingerprint()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert {"python", "packages", "cpu", "cores", "gpu", "git", "load_average", "memory_bytes"} <= found.keys()
    assert found["packages"]["torch"]
    assert 1 <= found["cores_usable"] <= found["cores"]
    assert len(found["load_average"]) == 3


def test_a_machine_compares_with_itself():
    assert differences(fingerprint(), fingerprint()) == []


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("cpu", "another", "cpu"),
        ("cores_usable", 1024, "cores_usable"),
        ("gpu", ["H200"], "gpu: none then"),
        ("packages", {"torch": "1.0"}, "torch: "),
        ("variables", {"OMP_NUM_THREADS": "7"}, "OMP_NUM_THREADS: "),
        ("source", {"commit": "abc", "dirty": False}, "ics-bench commit"),
    ],
)
def test_what_does_not_compare_is_named(field, value, said):
    now = fingerprint()
    found = differences(now, {**now, field: value})
    assert any(text.startswith(said) for text in found)


def test_load_and_the_working_folder_may_differ():
    now = fingerprint()
    assert differences(now, {**now, "load_average": [9.0, 9.0, 9.0], "git": {"commit": "abc"}}) == []


def git(folder: Path, *arguments: str) -> None:
    names = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", *names, *arguments], cwd=folder, check=True, capture_output=True)


def test_git_tells_commit_dirt_and_untracked_files(tmp_path):
    assert git_state(tmp_path) is None
    git(tmp_path, "init")
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "one")
    clean = git_state(tmp_path)
    assert clean is not None
    assert (clean["dirty"], clean["untracked"], len(clean["commit"])) == (False, False, 40)
    (tmp_path / "other").touch()
    assert git_state(tmp_path) == {**clean, "untracked": True}
    (tmp_path / "file").write_text("two")
    assert git_state(tmp_path) == {**clean, "dirty": True, "untracked": True}


def test_without_git_the_commit_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(Path.cwd()) is None
    assert fingerprint()["git"] is None


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system binds no process to cores")
def test_cores_are_those_that_may_be_used():
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_the_cache_is_a_size_or_unknown():
    size = last_level_cache_bytes()
    assert size is None or size > 2**10


def describe_cache(folder: Path, index: int, level: str, size: str) -> None:
    cache = folder / f"index{index}"
    cache.mkdir()
    (cache / "level").write_text(f"{level}\n")
    (cache / "size").write_text(f"{size}\n")


def test_caches_are_told_apart_by_level(tmp_path, monkeypatch):
    monkeypatch.setattr("ics_bench.core.environment.CPU_CACHES", tmp_path)
    assert (private_cache_bytes(), last_level_cache_bytes()) == (0, None)
    describe_cache(tmp_path, 0, "1", "64K")
    describe_cache(tmp_path, 1, "1", "48K")
    describe_cache(tmp_path, 2, "2", "2048K")
    describe_cache(tmp_path, 3, "3", "480M")
    assert cache_sizes() == {1: 64 * 2**10, 2: 2 * 2**20, 3: 480 * 2**20}
    assert private_cache_bytes() == 2 * 2**20
    assert last_level_cache_bytes() == 480 * 2**20


def test_a_cache_that_cannot_be_read_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr("ics_bench.core.environment.CPU_CACHES", tmp_path)
    describe_cache(tmp_path, 0, "2", "large")
    assert cache_sizes() == {}
