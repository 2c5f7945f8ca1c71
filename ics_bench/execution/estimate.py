"""How long the rest of a run takes, from what its finished cases took."""

from __future__ import annotations

from collections.abc import Sequence

from ics_bench.core import CaseRecord
from ics_bench.execution.plan import Task
from ics_bench.workloads import load_workload


class Estimate:
    """Share of a run that is done, and the seconds that remain.

    `Workload.cost` weighs the cases. What a unit of cost takes is learned for each workload from its
    finished cases; a workload without any borrows the others' rate.

    Parameters
    ----------
    tasks : sequence of Task
        Everything that is to be measured.
    workers : int
        Tasks in flight at once; an exclusive workload has one.
    """

    def __init__(self, tasks: Sequence[Task], workers: int) -> None:
        self._cost = {task.key: load_workload(task.workload).cost(task.case) for task in tasks}
        self._left = {task.key: task.workload for task in tasks}
        self._lanes = {n: 1 if load_workload(n).exclusive else workers for n in dict.fromkeys(self._left.values())}
        self._spent = dict.fromkeys(self._lanes, 0.0)
        self._finished_cost = dict.fromkeys(self._lanes, 0.0)

    def finish(self, record: CaseRecord) -> None:
        """Take note of a finished case; a skipped one teaches nothing about the rate."""
        workload = self._left.pop(record.key, None)
        if workload is not None and record.status != "skipped":
            self._spent[workload] += record.seconds
            self._finished_cost[workload] += self._cost[record.key]

    @property
    def share(self) -> float:
        """Part of the whole cost that is done, between 0 and 1."""
        total = sum(self._cost.values())
        return 1.0 - sum(self._cost[key] for key in self._left) / total if total else 1.0

    @property
    def seconds(self) -> float | None:
        """Seconds that remain; ``None`` before the first case is finished."""
        known = sum(self._finished_cost.values())
        if not self._left:
            return 0.0
        if not known:
            return None
        common = sum(self._spent.values()) / known
        remaining = 0.0
        for key, workload in self._left.items():
            cost = self._finished_cost[workload]
            rate = self._spent[workload] / cost if cost else common
            remaining += self._cost[key] * rate / self._lanes[workload]
        return remaining
