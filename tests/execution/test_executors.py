from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from ics_bench.core import CaseRecord, UsageError
from ics_bench.execution.executors import DIED, parse_executor
from ics_bench.execution.plan import Settings, Task, resolve, tasks_of
from ics_bench.results.codec import encode_record


def tasks(*names: str, **overrides: tuple[str, ...]) -> list[Task]:
    return tasks_of(resolve(Settings(tuple(f"plugin_workloads:{name}" for name in names), overrides=overrides)))


def by_case(records) -> dict[str, CaseRecord]:
    return {f"{record.workload} {record.case.id}": record for record in records}


def without_time(record: CaseRecord) -> str:
    return encode_record(CaseRecord(**{**{n: getattr(record, n) for n in record.__slots__}, "seconds": 0.0}))


@pytest.mark.parametrize("text", ["inlin", "inline:2", "local:", "local:0", "local:-1", "local:two", "dask:x", ""])
def test_an_unknown_executor_names_the_known_ones(text):
    with pytest.raises(UsageError, match="use inline, local or local:N"):
        parse_executor(text)


def test_processes_and_this_process_give_the_same_records(workplace):
    # SUBJECTS draws from the global generators: their seeds must not depend on who ran what before.
    todo = tasks("SUBJECTS", norm=("batch", "none", "plugin_workloads:doubling_norm")) + tasks("DRAWS")
    here, there = (by_case(parse_executor(name)(todo)) for name in ("inline", "local:2"))
    assert here.keys() == there.keys()
    assert len(here) == len(todo)
    for key, record in here.items():
        assert without_time(record) == without_time(there[key])


def test_a_process_that_dies_fails_its_case_and_no_other(workplace):
    todo = tasks("DYING", how=("segfault", "well", "once"))  # once: killed as for want of memory, then well
    found = {record.case["how"]: record for record in parse_executor("local:2")(todo)}
    assert {how: record.status for how, record in found.items()} == {
        "segfault": "failed",
        "well": "measured",
        "once": "measured",
    }
    assert found["segfault"].reason == DIED


def test_exclusive_cases_run_one_at_a_time_and_after_the_others(workplace):
    todo = [*tasks("ALONE"), *tasks("DRAWS")[:1]]
    found = list(parse_executor("local:2")(todo))
    assert [record.workload.rpartition(":")[2] for record in found] == ["DRAWS"] + ["ALONE"] * 3
    spans = sorted(tuple(map(float, line.split())) for line in Path("intervals").read_text().splitlines())
    assert len(spans) == 3
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))


def test_nothing_to_do_starts_nothing():
    assert list(parse_executor("local")([])) == []
