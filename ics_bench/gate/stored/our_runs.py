"""Our own runs as one side of a comparison: the metrics that say which way is better, seed by seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ics_bench.core import CaseRecord, Measurement, Metric
from ics_bench.gate.series import Benchmark, Observation
from ics_bench.gate.stored.result import Entry, Stored
from ics_bench.results.run import Run

SOURCE = "ics-bench"


def read_run(folder: Path) -> Stored:
    """Read the folder of a run: one entry for each case and headline metric that has a direction.

    Raises
    ------
    UsageError
        If the folder holds no readable run.
    """
    run = Run.open(folder)
    entries = [entry for record in run.records if record.status != "skipped" for entry in _entries(run, record)]
    commit = (run.environment.get("source") or {}).get("commit") or ""
    warnings = [] if run.complete else [f"{folder.name or folder} is unfinished or has failed cases"]
    if (run.environment.get("source") or {}).get("dirty"):
        warnings.append(f"{folder.name or folder} was measured with uncommitted changes")
    return Stored(str(folder), SOURCE, tuple(entries), _environment(run), str(commit), tuple(warnings))


def _entries(run: Run, record: CaseRecord) -> list[Entry]:
    version = f"{record.version} {_digest(run.header['workloads'].get(record.workload, {}).get('recipe'))}"
    return [
        _entry(record, metric, version)
        for metric in run.metrics(record.workload)
        if metric.headline and metric.better != "neutral" and (record.status == "failed" or _of(record, metric.name))
    ]


def _of(record: CaseRecord, metric: str) -> list[Measurement]:
    return [m for m in record.measurements if m.metric == metric]


def _entry(record: CaseRecord, metric: Metric, version: str) -> Entry:
    name = f"{record.workload} {record.case.id} {metric.name}"
    matters = metric.smallest_effect, metric.smallest_ratio, metric.infinity_is_best
    benchmark = Benchmark(name, metric.kind, metric.unit, metric.better, version, *matters)
    if record.status == "failed":
        return Entry(benchmark, Observation(float("nan"), error=record.reason))
    found = _of(record, metric.of_each_seed) or _of(record, metric.name)
    if metric.kind in ("exact", "seeded") and all(m.seed is not None for m in found):
        seeds = {int(m.seed): _trajectory(m) for m in found if m.seed is not None}
        return Entry(benchmark, Observation(found[0].value, seeds=seeds))
    samples = found[0].curve.y if len(found) == 1 and found[0].curve else tuple(m.value for m in found)
    return Entry(benchmark, Observation(found[0].value), samples if metric.kind == "timing" else ())


def _trajectory(measurement: Measurement) -> tuple[float, ...]:
    return (*(measurement.curve.y if measurement.curve else ()), measurement.value)


def _digest(recipe: object) -> str:
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:8]


def _environment(run: Run) -> dict[str, str]:
    """Take what must agree from a fingerprint; the commit must not."""
    recorded = run.environment
    found = {name: _text(recorded.get(name)) for name in ("python", "cpu", "cores", "cores_usable", "gpu")}
    packages: Mapping[str, Any] = recorded.get("packages") or {}
    found |= {name: str(version) for name, version in packages.items() if name != "ics-bench"}
    found |= {name: str(value) for name, value in (recorded.get("variables") or {}).items()}
    return {**found, "device": _text(run.settings.get("device"))}


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)
