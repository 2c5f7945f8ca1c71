from __future__ import annotations

import pytest

from ics_bench.core import CaseRecord
from ics_bench.execution.estimate import Estimate
from ics_bench.execution.plan import Settings, Task, resolve, tasks_of


def tasks(*names: str) -> list[Task]:
    return tasks_of(resolve(Settings(tuple(f"plugin_workloads:{name}" for name in names))))


def finished(task: Task, seconds: float, status: str = "measured") -> CaseRecord:
    return CaseRecord(task.workload, task.version, task.case, task.seeds, status, "", seconds)


def test_costs_weigh_the_rest(workplace):
    todo = tasks("DRAWS")  # costs 1, 2 and 3
    estimate = Estimate(todo, workers=1)
    assert estimate.seconds is None
    assert estimate.share == 0.0
    estimate.finish(finished(todo[0], 2.0))
    assert estimate.seconds == pytest.approx(2.0 * (2 + 3))
    assert estimate.share == pytest.approx(1 / 6)
    estimate.finish(finished(todo[2], 12.0))  # now 14 s for a cost of 4
    assert estimate.seconds == pytest.approx(14 / 4 * 2)
    estimate.finish(finished(todo[1], 1.0))
    assert (estimate.seconds, estimate.share) == (0.0, 1.0)


def test_processes_share_the_rest_but_an_exclusive_workload_has_one(workplace):
    todo = tasks("DRAWS", "ALONE")
    estimate = Estimate(todo, workers=3)
    for task in (todo[0], todo[3]):
        estimate.finish(finished(task, 1.0))
    assert estimate.seconds == pytest.approx(5 / 3 + 5)


def test_a_workload_without_finished_cases_borrows_the_rate(workplace):
    todo = tasks("DRAWS", "ALONE")
    estimate = Estimate(todo, workers=1)
    estimate.finish(finished(todo[0], 2.0))
    assert estimate.seconds == pytest.approx(2.0 * (2 + 3 + 1 + 2 + 3))


def test_a_skipped_case_teaches_no_rate(workplace):
    todo = tasks("DRAWS")
    estimate = Estimate(todo, workers=1)
    estimate.finish(finished(todo[2], 0.0, "skipped"))
    assert estimate.seconds is None
    assert estimate.share == pytest.approx(0.5)
