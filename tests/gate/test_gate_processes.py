"""Child processes of the gate end with it, and how they ended is said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from ics_bench.gate.processes import (
    ChildDiedError,
    ChildError,
    ChildTimeoutError,
    complete,
    conversation,
    group,
    how_it_ended,
    interruptions_held,
    last_lines,
    listen,
)
from ics_bench.gate.sides import hear_out

PATIENCE = 30

FAMILY = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open("pids.new", "w").write(f"{os.getpid()} {child.pid}")
os.rename("pids.new", "pids")
time.sleep(600)
"""


def wait_for(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


def gone(pids: list[int]) -> bool:
    def ended(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return all(map(ended, pids))


def family(folder: Path) -> list[int]:
    wait_for((folder / "pids").exists, "the family")
    return [int(pid) for pid in (folder / "pids").read_text().split()]


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


SAY = "import json, os, sys\nsay = lambda event: os.write(int(sys.argv[1]), json.dumps(event).encode() + b'\\n')\n"


def talk(code: str, folder: Path, limit: float = PATIENCE) -> list[dict]:
    with conversation(python(SAY + code), folder, os.environ, folder / "log", {"q": 1}, lambda event: limit) as child:
        return list(hear_out(child))


def test_a_command_and_its_children_end_when_it_takes_too_long(tmp_path):
    assert complete(python(FAMILY), tmp_path, os.environ, tmp_path / "log", 3) is None
    wait_for(lambda: gone(family(tmp_path)), "the family to end")


def test_a_command_and_its_children_end_when_we_are_interrupted(tmp_path):
    def interrupted() -> None:
        with group(python(FAMILY), tmp_path, os.environ, tmp_path / "log"):
            assert not gone(family(tmp_path))
            signal.raise_signal(signal.SIGINT)
            time.sleep(PATIENCE)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    wait_for(lambda: gone(family(tmp_path)), "the family to end")


def test_what_a_command_leaves_behind_ends_with_it(tmp_path):
    leaving = FAMILY.replace("time.sleep(600)\n", "")
    assert complete(python(leaving), tmp_path, os.environ, tmp_path / "log", PATIENCE) == 0
    wait_for(lambda: gone(family(tmp_path)), "the child left behind to end")


KILLED = """
import os, sys, time
from pathlib import Path
from ics_bench.gate.processes import group
here = Path.cwd()
with group([sys.executable, "-c", (here / "family.py").read_text()], here, os.environ, here / "log"):
    time.sleep(600)
"""

KILLED_WHILE_BUSY = """
import os, time
import psutil
from ics_bench.gate.calibrate import BUSY, busy
with busy(2):
    found = [child.pid for child in psutil.Process().children() if BUSY in child.cmdline()]
    open("pids.new", "w").write(" ".join(map(str, found)))
    os.rename("pids.new", "pids")
    time.sleep(600)
"""


@pytest.mark.parametrize("code", [KILLED, KILLED_WHILE_BUSY])
def test_children_end_when_we_are_killed(tmp_path, code):
    (tmp_path / "family.py").write_text(FAMILY)
    ours = subprocess.Popen(python(code), cwd=tmp_path)
    try:
        pids = family(tmp_path)
        assert len(pids) == 2
        assert not any(gone([pid]) for pid in pids)
    finally:
        ours.kill()
        ours.wait()
    wait_for(lambda: gone(pids), "the children to end")


def test_events_come_as_they_were_said(tmp_path):
    said = talk("request = json.load(sys.stdin)\nsay({'event': 'x', **request}); say({'event': 'done'})", tmp_path)
    assert said == [{"event": "x", "q": 1}, {"event": "done"}]


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("sys.exit(3)", "ended with exit code 3"),
        ("os._exit(0)", "ended with exit code 0"),
        ("os.kill(os.getpid(), 11)", "killed by SIGSEGV"),
        ("os.kill(os.getpid(), 9)", "killed by SIGKILL, perhaps for want of memory"),
    ],
)
def test_a_child_that_dies_is_not_taken_for_done(tmp_path, code, how):
    with pytest.raises(ChildDiedError, match=f"^{how}$"):
        talk(f"say({{'event': 'begin'}}); {code}", tmp_path)


def test_a_child_that_dies_is_noticed_though_its_own_child_holds_the_pipe(tmp_path):
    with pytest.raises(ChildDiedError, match="exit code 5"):
        talk("if os.fork() == 0:\n    import time; time.sleep(600)\nos._exit(5)", tmp_path)


def test_a_child_that_writes_to_our_pipe_is_told_apart_from_its_events(tmp_path):
    with pytest.raises(ChildDiedError, match="where only its events belong"):
        talk("os.write(int(sys.argv[1]), b'garbage\\n')", tmp_path)


def test_children_are_heard_as_they_speak_and_the_death_of_one_leaves_the_other(tmp_path):
    dying = "say({'event': 'x'}); os._exit(3)"
    living = "import time; time.sleep(1); say({'event': 'y'}); say({'event': 'done'})"
    with ExitStack() as stack:
        talks = [
            stack.enter_context(
                conversation(python(SAY + code), tmp_path, os.environ, tmp_path / name, {}, lambda event: PATIENCE)
            )
            for name, code in (("one", living), ("two", dying))
        ]
        heard = [
            (place, str(said) if isinstance(said, ChildError) else said["event"]) for place, said in listen(*talks)
        ]
    assert heard == [(1, "x"), (1, "ended with exit code 3"), (0, "y"), (0, "done")]


def test_a_silent_child_is_ended(tmp_path):
    with pytest.raises(ChildTimeoutError):
        talk("open('pids', 'w').write(str(os.getpid()))\nimport time; time.sleep(600)", tmp_path, limit=1)
    assert gone(family(tmp_path))


def test_a_conversation_that_is_left_ends_the_child(tmp_path):
    code = 'import os, sys, time\nos.write(int(sys.argv[1]), b\'{"event": "x"}\\n\')\n' + FAMILY
    with conversation(python(code), tmp_path, os.environ, tmp_path / "log", {}, lambda event: PATIENCE) as child:
        next(hear_out(child))
        pids = family(tmp_path)
    wait_for(lambda: gone(pids), "the child to end")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_waits_for_what_must_not_stop_halfway(number):
    arrived = []
    before = signal.signal(number, lambda number, frame: arrived.append(number))
    try:
        with interruptions_held():
            signal.raise_signal(number)
            assert arrived == []
        assert arrived == [number]
    finally:
        signal.signal(number, before)


def test_an_unknown_signal_has_its_number():
    assert how_it_ended(-199) == "killed by signal 199"


def test_the_end_of_a_long_log_is_read(tmp_path):
    (tmp_path / "log").write_text("x\n" * 100_000 + "the\n\nend\n")
    assert last_lines(tmp_path / "log", 2) == ["the", "end"]
    assert last_lines(tmp_path / "none") == []
