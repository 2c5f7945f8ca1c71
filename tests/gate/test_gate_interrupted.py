"""The gate interrupted, killed and hung up on leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

PATIENCE = 60

STALE = '{"exit_code": 0}'


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
