from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import ics_bench
from ics_bench.results.run import Run

BULKY = "plugin_workloads:BULKY"
INLINE = ("--executor", "inline")


def limit(kib: int) -> str:
    """No file may grow past ``kib``: what a full disk does, without filling one."""
    return f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({kib * 1024}, {kib * 1024}))"


def test_a_full_disk_keeps_whole_records_and_resumes(process, workplace, command):
    popen = process("run", BULKY, *INLINE, "--out", "r", prefix=limit(1000))
    out, err = popen.communicate(timeout=120)
    assert (popen.returncode, out) == (2, "")
    assert err == (
        "error: 'r/measurements.jsonl' cannot be appended to: File too large; earlier records are kept, "
        "to finish: ics-bench run --resume --out r\n"
    )
    kept = Run.open("r").records
    assert 0 < len(kept) < 3
    assert Path("r/measurements.jsonl").read_bytes().endswith(b"\n")  # nothing torn stays
    assert command("run", "--resume", "--out", "r", *INLINE).code == 0
    pd.testing.assert_frame_equal(Run.open("r").frame(), ics_bench.run(BULKY).frame())


def test_a_disk_too_full_for_the_header_leaves_no_folder(process, workplace):
    popen = process("run", BULKY, *INLINE, "--out", "new/r", prefix=limit(1))
    _, err = popen.communicate(timeout=120)
    assert popen.returncode == 2
    assert err == "error: output folder 'new/r' cannot be written: File too large; name another\n"
    assert not (workplace / "new").exists()


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_a_full_disk_leaves_the_old_export(process, workplace, command, kind):
    command("run", BULKY, *INLINE, "--out", "r")
    (workplace / "old").write_text("old")
    popen = process("export", "r", "--format", kind, "--out", "old", prefix=limit(16))
    _, err = popen.communicate(timeout=120)
    assert popen.returncode == 2
    assert err == "error: 'old' cannot be written: File too large; name another file\n"
    assert (workplace / "old").read_text() == "old"
    assert sorted(path.name for path in workplace.iterdir() if path.name.startswith(".")) == []


def test_the_verdicts_are_refused_before_measuring(command):
    done = command("claims", "init-4", "--json", "missing/verdicts.json", "--out", "r")
    assert done.code == 2
    assert not Path("r").exists()


def test_a_run_that_cannot_be_read(command, workplace):
    command("run", "plugin_workloads:DRAWS", *INLINE, "--out", "r")
    (workplace / "r" / "measurements.jsonl").unlink()
    done = command("show", "r")
    assert (done.code, done.out) == (2, "")
    assert "measurements.jsonl' cannot be read: No such file" in done.err
    (workplace / "r" / "measurements.jsonl").mkdir()
    assert command("show", "r").code == 2


@pytest.mark.parametrize("content", [b"PK\x03\x04", b"\x80\x04\x95", b"[" * 200_000, b'{"a":' * 200_000])
def test_pickles_archives_and_bombs_are_no_runs(command, workplace, content):
    folder = workplace / "r"
    folder.mkdir()
    (folder / "run.json").write_bytes(content)
    done = command("show", "r")
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1
    header = {"schema": 1, "settings": {"profile": "quick"}, "environment": {}, "plan": [], "workloads": {}}
    (folder / "run.json").write_text(json.dumps(header))
    (folder / "measurements.jsonl").write_bytes(content + b"\n")
    done = command("show", "r")
    assert (done.code, done.out) == (2, "")
    assert "line 1 is corrupt" in done.err
    assert len(done.err) < 1000
