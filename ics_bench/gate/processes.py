"""Child processes of the gate: each is a process group of its own, which ends with it, whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ics_bench.gate import guard

Event = dict[str, Any]

POLL_SECONDS = 0.5
"""How soon the end of a child is noticed whose own children keep its pipe open."""

TAIL_LINES = 20


class ChildError(Exception):
    """A child did not come to its end as it should."""


class ChildTimeoutError(ChildError):
    """A child said nothing for longer than it may."""


class ChildDiedError(ChildError):
    """A child ended before it was done; the text says how."""


@contextlib.contextmanager
def interruptions_held() -> Iterator[None]:
    """Hold back Ctrl-C, SIGTERM and SIGHUP while something is done that must not stop halfway; they arrive afterwards.

    Unlike a mask, which children inherit, this holds them back from this process alone.
    """
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, frame: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
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
    """Start a command as a process group; at the end, kill what is left of it, even should this process be killed.

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
            guard.watch(child.pid)
        yield child
    finally:
        if child is not None:
            with interruptions_held(), contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            guard.forget(child.pid)


def complete(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path, seconds: float
) -> int | None:
    """Run a command to its end and return its exit code; ``None`` where it took longer than ``seconds``."""
    with group(command, folder, environment, log) as child:
        try:
            return child.wait(seconds)
        except subprocess.TimeoutExpired:
            return None


@contextlib.contextmanager
def conversation(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    log: Path,
    request: Mapping[str, Any],
    limit: Callable[[Event | None], float],
    pass_fds: Sequence[int] = (),
) -> Iterator[Conversation]:
    """Start a child that reads a request and answers with JSON lines; it ends with the context.

    Parameters
    ----------
    limit : callable
        Seconds that the child may take for the event after the given one; after ``None`` for the first.
    pass_fds : sequence of int
        File descriptors that it inherits besides.
    """
    asked = log.with_suffix(".request")
    asked.write_text(json.dumps(request))
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0) as answers:
        try:
            starting = group([*command, str(writing)], folder, environment, log, asked, (writing, *pass_fds))
            child = starting.__enter__()
        finally:
            os.close(writing)
        try:
            yield Conversation(child, answers.fileno(), limit)
        finally:
            starting.__exit__(None, None, None)


@dataclass
class Conversation:
    """A child that says events, the last of which is ``done``.

    Parameters
    ----------
    child : subprocess.Popen
    answers : int
        File descriptor to read them from.
    limit : callable
        Seconds until the next event.
    """

    child: subprocess.Popen[bytes]
    answers: int
    limit: Callable[[Event | None], float]
    _unfinished: bytes = b""

    def __post_init__(self) -> None:
        self._allow(None)

    def _allow(self, event: Event | None) -> None:
        self._deadline = time.monotonic() + self.limit(event)

    def wait_seconds(self) -> float:
        """How long to wait for it before looking after it again."""
        return max(0.0, min(self._deadline - time.monotonic(), POLL_SECONDS))

    def look_after(self, ended: bool) -> None:
        """Find out why it says nothing; ``ended`` tells whether it had ended before one looked."""
        if ended:
            raise ChildDiedError(how_it_ended(self.child.wait()))
        if time.monotonic() >= self._deadline:
            raise ChildTimeoutError

    def hear(self) -> Iterator[Event]:
        """Take what it has said."""
        got = os.read(self.answers, 1 << 16)
        if not got:
            raise ChildDiedError(how_it_ended(self.child.wait()))
        *lines, self._unfinished = (self._unfinished + got).split(b"\n")
        for line in lines:
            event = _event(line)
            yield event
            if event["event"] == "done":
                return
            self._allow(event)


def listen(*talks: Conversation) -> Iterator[tuple[int, Event | ChildError]]:
    """Yield what several children say, as it comes, with the place of each, up to the end of all.

    The end of a child that did not say ``done`` is the error; the others are heard on.
    """
    with selectors.DefaultSelector() as selector:
        for place, talk in enumerate(talks):
            selector.register(talk.answers, selectors.EVENT_READ, place)
        while selector.get_map():
            waiting = [key.data for key in selector.get_map().values()]
            ended = {place: talks[place].child.poll() is not None for place in waiting}
            seconds = 0.0 if any(ended.values()) else min(talks[place].wait_seconds() for place in waiting)
            ready = {key.data for key, _ in selector.select(seconds)}
            for place in waiting:
                try:
                    if place not in ready:
                        talks[place].look_after(ended[place])
                        continue
                    for event in talks[place].hear():
                        yield place, event
                        if event["event"] == "done":
                            selector.unregister(talks[place].answers)
                except ChildError as error:
                    selector.unregister(talks[place].answers)
                    yield place, error


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
