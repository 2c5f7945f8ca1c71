from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil
import pytest

import ics_bench
from ics_bench.results.run import Run

SLOW = "plugin_workloads:SLOW"
PATIENCE = 120


def wait_for(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


def lines(folder: Path) -> int:
    path = folder / "measurements.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def workers(workplace: Path) -> set[int]:
    return {int(path.name.removeprefix("pid-")) for path in workplace.glob("pid-*")}


def under_way(process, workplace: Path, executor: str = "local:2") -> subprocess.Popen[str]:
    """A run with two cases done and the next ones in flight."""
    popen = process("run", SLOW, "--out", "r", "--executor", executor)
    wait_for(lambda: lines(workplace / "r") == 2, "two records")
    return popen


def no_process_is_left(workplace: Path, popen: subprocess.Popen[str]) -> bool:
    ours = {p.pid for p in psutil.process_iter() if _group(p.pid) == popen.pid and p.status() != psutil.STATUS_ZOMBIE}
    return not ours - {popen.pid} and not any(psutil.pid_exists(pid) for pid in workers(workplace))


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


@pytest.fixture
def whole(workplace: Path) -> pd.DataFrame:
    """The same run, uninterrupted."""
    (workplace / "hurry").touch()
    frame = ics_bench.run(SLOW, out=workplace / "whole").frame()
    (workplace / "hurry").unlink()
    for path in workplace.glob("pid-*"):
        path.unlink()
    return frame


@pytest.mark.parametrize(("sent", "code", "to_all"), [(signal.SIGINT, 130, True), (signal.SIGTERM, 143, False)])
def test_interrupted_by_a_signal(process, workplace, whole, command, sent, code, to_all):
    popen = under_way(process, workplace)
    if to_all:
        os.killpg(popen.pid, sent)  # as a terminal does on Ctrl-C
    else:
        popen.send_signal(sent)
    out, err = popen.communicate(timeout=PATIENCE)
    assert popen.returncode == code
    assert out == ""
    said = re.fullmatch(r"interrupted: 2 of 6 cases are kept; to finish: (.*)\n", err)
    assert said, err
    wait_for(lambda: no_process_is_left(workplace, popen), "the workers to end")
    (workplace / "hurry").touch()
    program, *arguments = shlex.split(said[1])
    assert program == "ics-bench"
    done = command(*[argument.replace("local:2", "inline") for argument in arguments])
    assert done.code == 0
    run = Run.open("r")
    assert run.complete
    pd.testing.assert_frame_equal(run.frame(), whole)


def test_killed_outright(process, workplace, whole, command):
    popen = under_way(process, workplace)
    popen.kill()
    popen.wait(PATIENCE)
    wait_for(lambda: no_process_is_left(workplace, popen), "the workers to end by themselves")
    with (workplace / "r" / "measurements.jsonl").open("ab") as file:
        file.write(b'{"workload":"plugin_workloads:SLOW","version":1,"ca')  # killed in mid-append
    (workplace / "hurry").touch()
    assert command("run", "--resume", "--out", "r", "--executor", "inline").code == 0
    pd.testing.assert_frame_equal(Run.open("r").frame(), whole)


def test_two_writers(process, workplace, command):
    popen = under_way(process, workplace, "local:1")
    second = command("run", "--resume", "--out", "r")
    assert (second.code, second.out) == (2, "")
    assert second.err == "error: 'r' is being written by another process; wait for it to end\n"
    assert command("show", "r").code == 0  # reading is free
    popen.kill()
    popen.wait(PATIENCE)
    (workplace / "hurry").touch()
    wait_for(lambda: command("run", "--resume", "--out", "r", "--executor", "inline").code == 0, "the lock")
    assert len(Run.open("r").records) == 6


def test_ctrl_c_before_anything_is_measured(process, workplace):
    popen = process("run", SLOW, "--executor", "inline", "--case", "size=1", "--out", "r")
    wait_for(lambda: bool(workers(workplace)), "the first case to begin")
    popen.send_signal(signal.SIGINT)
    _, err = popen.communicate(timeout=PATIENCE)
    assert popen.returncode == 130
    assert err == ("interrupted: 0 of 1 cases are kept; to finish: ics-bench run --resume --out r --executor inline\n")
