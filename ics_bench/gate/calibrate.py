"""Records the noise of this machine: equal builds against each other, under several loads."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from ics_bench.core import UsageError
from ics_bench.core.environment import fingerprint
from ics_bench.gate.processes import group
from ics_bench.gate.recording import Recording, load_recordings, record, require_times, save_recordings
from ics_bench.gate.session import Ready

LOADS = {"quiet": 0, "one busy core": 1, "two busy cores": 2}
"""What else the machine does meanwhile, and with how many processes."""

PAIRS = 128
"""Pairs of one recording: enough for a screen and for the last look at fresh ones."""

BUSY = "data = bytes(1 << 24)\nwhile True:\n    sum(range(1 << 18))\n    bytearray(data)"
"""What a busy core does: computes, and now and then moves memory."""


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep this many cores busy meanwhile."""
    command = [sys.executable, "-I", "-c", BUSY]
    with ExitStack() as stack:
        for _ in range(processes):
            stack.enter_context(group(command, Path("/"), os.environ, Path(os.devnull)))
        yield


def calibrate(ready: Ready, file: Path, pairs: int, deadline: float, say: Callable[[str], None]) -> list[Recording]:
    """Record each load in turn, round after round, until the time ends; one round whatever it takes.

    Every recording is on disk, added to those that the file had, before the next one begins.

    Parameters
    ----------
    ready : Ready
        Two builds of one commit.
    file : Path
    pairs : int
        Of each recording.
    deadline : float
        Of `time.monotonic`; it does not cut the first round.
    say : callable
        Hears of each recording.

    Returns
    -------
    list of Recording
        The new ones.

    Raises
    ------
    UsageError
        If there is nothing to time, a benchmark fails, or the file cannot be read or written.
    """
    names = [benchmark.name for benchmark in ready.head if benchmark.kind == "timing" and benchmark.unit == "s"]
    if not names:
        raise UsageError("noise is recorded of times, and no benchmark that was chosen takes any")
    require_times({name: pairs for name, pairs in ready.measure.settled.items() if name in names})
    kept = load_recordings(file) if file.exists() else []
    made: list[Recording] = []
    machine = fingerprint()
    while True:
        for load, processes in LOADS.items():
            started = datetime.now(UTC).isoformat(timespec="seconds")
            with busy(processes):
                measured = ready.measure(names, pairs)
            require_times(measured)
            if min(map(len, measured.values())) < pairs:
                return made
            made.append(record(load, started, measured, machine))
            save_recordings(file, [*kept, *made])
            say(f"{started}  {load}: {pairs} pairs of {len(names)} benchmarks")
        ready.measure.deadline = deadline
