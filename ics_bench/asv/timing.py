"""A benchmark that times a workload itself: how long measuring one of its cases takes."""

from __future__ import annotations

import collections
from dataclasses import replace
from typing import Any, ClassVar

from ics_bench.asv.declaration import Declared, require_as_discovered, tasks_declared, version_of, workload_of
from ics_bench.core import UsageError
from ics_bench.execution.isolation import isolated, threads_of
from ics_bench.execution.plan import Task


class TimeSuite(Declared):
    """Times the measurement of one representative case, on its first seed and one thread.

    The case is the one of median cost among those declared; narrow ``cases`` to choose another. It
    is measured once before the clock starts, so that imports and data sets are loaded.

    Raises
    ------
    UsageError
        When a subclass names what does not exist, or a workload that is itself a stopwatch: those
        repeat until they know enough, and how long that takes says nothing.

    Examples
    --------
    >>> class OursTime(TimeSuite):
    ...     workload = "init_scale"
    ...     norm = "layer"
    """

    timeout: ClassVar[float] = 300
    version: ClassVar[str]
    task: ClassVar[Task]

    _warm = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Generate ``time_measure``."""
        super().__init_subclass__(**kwargs)
        if not cls.workload:
            return
        workload = workload_of(cls)
        if workload.exclusive:
            raise UsageError(f"workload {workload.name!r} measures time itself; track its metrics instead")
        tasks = sorted(tasks_declared(cls), key=lambda task: workload.cost(task.case))
        median = tasks[(len(tasks) - 1) // 2]
        cls.task = replace(median, seeds=median.seeds[:1])
        cls.version = version_of(workload, [cls.task], None)
        # Not a method of this class: asv would find it here too, wherever the name TimeSuite is imported.
        cls.time_measure = _measure  # type: ignore[attr-defined]

    def setup(self) -> None:
        """Check that the case can be measured, and measure it once."""
        require_as_discovered(type(self), {"time_measure": self.version})
        reason = workload_of(type(self)).skip(self.task.case, self.task.device)
        if reason is not None:
            raise NotImplementedError(reason)
        if not self._warm:
            _measure(self)
            self._warm = True


def _measure(suite: TimeSuite) -> None:
    workload, task = workload_of(type(suite)), suite.task
    with isolated(threads_of(workload), workload.flush_denormal, workload.seed_for(task.case, task.seeds[0], "global")):
        collections.deque(workload.measure(task.case, task.seeds, task.device), maxlen=0)
