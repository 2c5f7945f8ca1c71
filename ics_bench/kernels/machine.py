"""What else the machine was doing during a measurement."""

from __future__ import annotations

import os
import resource
import time
from types import TracebackType

import psutil

OTHERS_TOLERATED = 0.05
"""Share of one core that other processes may use before a timing carries a warning."""

OWN_MINIMUM = 0.9
"""A measurement that computes all the time has at least one processor second per second."""

TICK_SECONDS = 0.02
"""The kernel counts each core's time in hundredths of a second, at both ends of an interval."""


def page_faults() -> int:
    """Pages that this process has touched for the first time so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


class Load:
    """Watch the processor: ``with Load() as load: ...``, then ``load.warnings()``.

    Parameters
    ----------
    with_children : bool
        Whether processes that were started and waited for meanwhile are ours too.

    Attributes
    ----------
    wall_seconds : float
    own_seconds : float
        Processor time of this process, over all its threads, and of its children where they count.
    others_seconds : float
        Processor time of everyone else, time stolen by a hypervisor included.
    """

    def __init__(self, with_children: bool = False) -> None:
        self._with_children = with_children

    def __enter__(self) -> Load:
        self._start = self._now()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        start, end = self._start, self._now()
        self.wall_seconds, self.own_seconds, busy = (e - s for s, e in zip(start, end, strict=True))
        self.others_seconds = max(0.0, busy - self.own_seconds)

    def _now(self) -> tuple[float, float, float]:
        times = psutil.cpu_times()._asdict()
        busy = sum(times.get(name, 0.0) for name in ("user", "nice", "system", "irq", "softirq", "steal"))
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        own = time.process_time() + self._with_children * (children.ru_utime + children.ru_stime)
        return time.perf_counter(), own, busy

    def warnings(self) -> tuple[str, ...]:
        """Say what made the machine a contended one, if anything."""
        found = self.others_warnings()
        if self.own_seconds < OWN_MINIMUM * self.wall_seconds:
            found += (f"contended: {self.own_seconds:.2f} s of processor time in {self.wall_seconds:.2f} s of timing",)
        return found

    def others_warnings(self) -> tuple[str, ...]:
        """Say whether others used the processors, and how much."""
        cores = psutil.cpu_count(logical=True) or 1  # all of them, since cpu_times() counts them all
        if self.others_seconds <= OTHERS_TOLERATED * self.wall_seconds + TICK_SECONDS * cores:
            return ()
        return (
            f"contended: others used {self.others_seconds / self.wall_seconds:.2f} of {cores} cores while timing "
            f"(load average {os.getloadavg()[0]:.2f})",
        )
