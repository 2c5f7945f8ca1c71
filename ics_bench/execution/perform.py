"""Measures one task in this process."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace

from ics_bench.core import CaseRecord, Measurement, UsageError, Workload
from ics_bench.core.text import has_surrogate, without_surrogates
from ics_bench.execution.isolation import isolated, threads_of
from ics_bench.execution.plan import Task
from ics_bench.workloads import load_workload

REASON_LENGTH = 500
"""Characters of an error that are kept: some carry whole tensors."""


def perform(task: Task) -> CaseRecord:
    """Measure a task; an error in it becomes a failed record, never an exception."""
    start = time.perf_counter()
    try:
        workload = load_workload(task.workload)
        seed = workload.seed_for(task.case, task.seeds[0], "global")
        with isolated(threads_of(workload), workload.flush_denormal, seed):
            reason = workload.skip(task.case, task.device)
            if reason is not None:
                return CaseRecord(
                    task.workload, task.version, task.case, task.seeds, "skipped", without_surrogates(reason)
                )
            measurements = tuple(workload.measure(task.case, task.seeds, task.device))
        _check(task, workload, measurements)
    except (Exception, SystemExit) as error:
        return failure(task, _describe(error), time.perf_counter() - start)
    seconds = time.perf_counter() - start
    named = tuple(replace(m, workload=task.workload) for m in measurements)
    return CaseRecord(task.workload, task.version, task.case, task.seeds, "measured", "", seconds, named)


def failure(task: Task, reason: str, seconds: float = 0.0) -> CaseRecord:
    """Build the record of a task that could not be measured."""
    return CaseRecord(task.workload, task.version, task.case, task.seeds, "failed", without_surrogates(reason), seconds)


def _check(task: Task, workload: Workload, measurements: Sequence[Measurement]) -> None:
    """Hold a workload to its declaration: what it yields must be what it announced."""
    if not measurements:
        raise UsageError("the workload yielded no measurement")
    seen = set()
    for m in measurements:
        declared = workload.metric(m.metric)
        if m.unit != declared.unit:
            raise UsageError(f"metric {m.metric!r} came in {m.unit!r}, declared in {declared.unit!r}")
        if m.case != task.case or (m.seed is not None and m.seed not in task.seeds):
            raise UsageError(f"metric {m.metric!r} came for case {m.case} and seed {m.seed}, which were not asked for")
        if (m.metric, m.seed) in seen:
            raise UsageError(f"metric {m.metric!r} came twice for seed {m.seed}")
        seen.add((m.metric, m.seed))
        for text in (*m.warnings, *((m.curve.label,) if m.curve else ())):
            if has_surrogate(text):
                raise UsageError(f"metric {m.metric!r} came with the text {text!r:.80}, which no file can hold")


def _describe(error: BaseException) -> str:
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = "(an error whose text cannot be made)"
    if not isinstance(error, UsageError):
        frame = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {text[:REASON_LENGTH]} ({os.path.basename(frame.filename)}:{frame.lineno})"
    return text
