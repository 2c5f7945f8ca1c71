from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ics_bench.results.run import Run

DRAWS = "plugin_workloads:DRAWS"
INLINE = ("--executor", "inline")


def test_run_prints_tables_and_an_account(command):
    done = command("run", DRAWS, "plugin_workloads:DYING", "--case", "size=1", *INLINE, "--out", "r")
    assert (done.code, done.err) == (0, "")
    assert "2 cases: 2 measured, 0 skipped, 0 failed" in done.out
    assert re.search(r"^run     r$", done.out, re.MULTILINE)
    assert re.search(r"^ +draw +limit \[s\] +seeds +warnings$", done.out, re.MULTILINE)
    run = Run.open("r")
    assert run.complete
    assert f"{run.summary(DRAWS).rows[0][0]:.4g}" in done.out


def test_values_are_replaced_and_seeds_counted(command):
    done = command(
        *("run", DRAWS, "--case", "size=2", "--case", "size=9", "--case", "flavour=odd"),
        *("--seeds", 3, "--first-seed", 10, *INLINE, "--out", "r"),
    )
    assert done.code == 0
    run = Run.open("r")
    assert {record.case.id for record in run.records} == {"size=2,flavour=odd", "size=9,flavour=odd"}
    assert run.records[0].seeds == (10, 11, 12)
    assert "warning (2 cases): odd numbers" in done.out


def test_skipped_and_failed_cases_are_told_with_their_reasons(command):
    done = command("run", DRAWS, "--case", "flavour=unfit", "--case", "flavour=plain", *INLINE, "--out", "s")
    assert done.code == 0
    assert "6 cases: 3 measured, 3 skipped, 0 failed" in done.out
    assert "skipped  plugin_workloads:DRAWS size=1,flavour=unfit and 2 more: this flavour has no numbers" in done.out
    done = command("run", "plugin_workloads:DYING", "--case", "how=raises", "--case", "how=well", *INLINE, "--out", "t")
    assert done.code == 2
    assert "2 cases: 1 measured, 0 skipped, 1 failed" in done.out
    assert "ArithmeticError: the sum does not add up" in done.out


def test_a_norm_and_a_model_of_ones_own(command):
    done = command(
        *("run", "plugin_workloads:SUBJECTS", "--norm", "plugin_workloads:doubling_norm", "--norm", "none"),
        *("--model", "plugin_workloads:small_model", *INLINE, "--out", "r"),
    )
    assert done.code == 0
    values = {r.case["norm"]: r.measurements[0].value for r in Run.open("r").records}
    assert values["plugin_workloads:doubling_norm"] == pytest.approx(2 * values["none"])


def test_local_processes_find_what_lies_in_the_working_folder(process):
    popen = process(
        *("run", "plugin_workloads:SUBJECTS", "--norm", "plugin_workloads:doubling_norm", "--out", "r"),
        *("--executor", "local:1"),
    )
    out, err = popen.communicate(timeout=120)
    assert (popen.returncode, err) == (0, "")
    assert "1 case: 1 measured" in out


def test_the_default_folder_is_new_every_time(command):
    for _ in range(2):
        assert command("run", DRAWS, *INLINE).code == 0
    assert len(list(Path("runs").iterdir())) == 2


def test_resume_measures_what_is_missing(command):
    command("run", DRAWS, *INLINE, "--out", "r")
    path = Path("r/measurements.jsonl")
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:1]) + b'{"torn')
    done = command("run", "--resume", "--out", "r", *INLINE)
    assert (done.code, done.err) == (0, "")
    assert "3 cases: 3 measured" in done.out
    assert [r.case["size"] for r in Run.open("r").records] == [1, 2, 3]


def test_resume_reports_corrupt_records(command):
    command("run", DRAWS, *INLINE, "--out", "r")
    path = Path("r/measurements.jsonl")
    path.write_bytes(b"garbage\n" + path.read_bytes())
    shown = command("show", "r")
    assert shown.code == 2
    assert "ics-bench run --resume --out r" in shown.err
    done = command("run", "--resume", "--out", "r", *INLINE)
    assert done.code == 0
    assert done.err == "warning: 1 corrupt record set aside in r; their cases are measured again\n"
    assert command("show", "r").code == 0


def test_the_report_is_written_into_the_run(command):
    done = command("run", "init_scale", "--case", "init=he", "--seeds", 1, *INLINE, "--out", "r", "--report")
    assert done.code == 0
    assert "report  r/report/index.html" in done.out
    assert "init_scale" in Path("r/report/index.html").read_text()


def test_progress_is_for_terminals_only(workplace):
    """The bar goes to stderr when that is a terminal; the results are the same on stdout."""
    leader, follower = os.openpty()
    command = [sys.executable, "-m", "ics_bench.cli.main", "run", DRAWS, *INLINE, "--out", "r"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    done = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=follower, env=environment)
    os.close(follower)
    out = done.communicate(timeout=120)[0].decode()
    seen = b""
    while chunk := _read(leader):
        seen += chunk
    os.close(leader)
    assert done.returncode == 0
    assert b"3/3 cases" in seen
    assert "3 cases: 3 measured" in out
    assert "\x1b" not in out


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # EIO: the other end is closed
        return b""


def test_header_json_is_strict(command):
    command("run", DRAWS, *INLINE, "--out", "r")
    header = json.loads(Path("r/run.json").read_text(), parse_constant=pytest.fail)
    assert header["settings"]["workloads"] == [DRAWS]
