"""Ends the children of a process that was killed: a small process that outlives it and then kills what it left."""

from __future__ import annotations

import contextlib
import functools
import subprocess
import sys

GUARD = """
import os, signal, sys
groups = set()
for line in sys.stdin:
    (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
"""
"""Keeps a list of process groups, and kills them when whoever told it of them is gone: its standard input ends then."""


@functools.cache
def _guard() -> subprocess.Popen[bytes]:
    # The end of the pipe that we hold is inherited by nobody, so it closes with us, whatever ends us.
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", GUARD],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        bufsize=0,
    )


def watch(group: int) -> None:
    """Have a process group killed should this process be gone before `forget` was called."""
    _tell("+", group)


def forget(group: int) -> None:
    """Say that a process group has ended."""
    _tell("-", group)


def _tell(sign: str, group: int) -> None:
    pipe = _guard().stdin
    assert pipe is not None
    with contextlib.suppress(BrokenPipeError):  # killed by somebody: then the groups are ours alone to end
        pipe.write(f"{sign}{group}\n".encode())
