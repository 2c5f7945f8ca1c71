"""Child processes of the gate: each is a process group of its own, which ends with it, whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Event = dict[str, Any]

POLL_SECONDS = 0.5
"""How soon the end of a child is noticed whose own children keep its pipe open."""

TAIL_LINES = 20


class ChildTimeoutError(Exception):
    """A child said nothing for longer than it may."""


class ChildDiedError(Exception):
    """A child ended before it was done; the text says how."""


@contextlib.contextmanager
def interruptions_held() -> Iterator[None]:
    """Hold back Ctrl-C and SIGTERM while something is done that must not stop halfway; they arrive afterwards.

    Unlike a mask, which children inherit, this holds them back from this process alone.
    """
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, frame: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


@contextlib.contextmanager
def group(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    log: Path,
    request: Path | None = None,
    pass_fds: Sequence[int] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command as a process group; at the end, kill what is left of it.

    Parameters
    ----------
    command : sequence of str
    folder : Path
        Where it runs.
    environment : mapping
    log : Path
        File that takes its output.
    request : Path, optional
        File that is its standard input; empty by default.
    pass_fds : sequence of int
        File descriptors that it inherits.
    """
    child: subprocess.Popen[bytes] | None = None
    try:
        with interruptions_held(), log.open("wb") as output, open(request or os.devnull, "rb") as standard_input:
            child = subprocess.Popen(
                command,
                cwd=folder,
                env=dict(environment),
                stdin=standard_input,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=pass_fds,
            )
        yield child
    finally:
        if child is not None:
            with interruptions_held(), contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def complete(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path, seconds: float
) -> int | None:
    """Run a command to its end and return its exit code; ``None`` where it took longer than ``seconds``."""
    with group(command, folder, environment, log) as child:
        try:
            return child.wait(seconds)
        except subprocess.TimeoutExpired:
            return None


def converse(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    log: Path,
    request: Mapping[str, Any],
    limit: Callable[[Event | None], float],
) -> Generator[Event, None, None]:
    """Start a child that reads a request and answers with JSON lines, and yield its events up to ``done``.

    Parameters
    ----------
    limit : callable
        Seconds that the child may take for the event after the given one; after ``None`` for the first.

    Raises
    ------
    ChildTimeoutError, ChildDiedError
    """
    asked = log.with_suffix(".request")
    asked.write_text(json.dumps(request))
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0) as answers:
        try:
            starting = group([*command, str(writing)], folder, environment, log, asked, (writing,))
            child = starting.__enter__()
        finally:
            os.close(writing)
        try:
            yield from _events(child, answers.fileno(), limit)
        finally:
            starting.__exit__(None, None, None)


def _events(child: subprocess.Popen[bytes], answers: int, limit: Callable[[Event | None], float]) -> Iterator[Event]:
    waiting, event = b"", None
    with selectors.DefaultSelector() as selector:
        selector.register(answers, selectors.EVENT_READ)
        deadline = time.monotonic() + limit(None)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise ChildTimeoutError
            ended = child.poll() is not None
            if not selector.select(0 if ended else min(left, POLL_SECONDS)):
                if ended:
                    raise ChildDiedError(how_it_ended(child.returncode))
                continue
            got = os.read(answers, 1 << 16)
            if not got:
                raise ChildDiedError(how_it_ended(child.wait()))
            *lines, waiting = (waiting + got).split(b"\n")
            for line in lines:
                event = _event(line)
                yield event
                if event["event"] == "done":
                    return
                deadline = time.monotonic() + limit(event)


def _event(line: bytes) -> Event:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if not isinstance(event, dict) or "event" not in event:
        raise ChildDiedError(f"wrote {line[:40]!r} where only its events belong")
    return event


def how_it_ended(code: int) -> str:
    """Say how a process ended.

    Examples
    --------
    >>> how_it_ended(-11), how_it_ended(3)
    ('killed by SIGSEGV', 'ended with exit code 3')
    """
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"killed by {name}{', perhaps for want of memory' if -code == signal.SIGKILL else ''}"


def last_lines(log: Path, lines: int = TAIL_LINES) -> list[str]:
    """Read the end of what a command said."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - (1 << 16)))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()][-lines:]
