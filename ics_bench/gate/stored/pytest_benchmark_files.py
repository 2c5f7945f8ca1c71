"""pytest-benchmark's JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ics_bench.core import UsageError
from ics_bench.gate.series import Benchmark, Observation
from ics_bench.gate.stored.directions import Directions
from ics_bench.gate.stored.json_file import broken
from ics_bench.gate.stored.result import Entry, Stored

SOURCE = "pytest-benchmark"
MAJOR = 5
"""Newest major version whose files are read."""


def looks_like(content: object) -> bool:
    """Whether parsed JSON may be pytest-benchmark's."""
    return isinstance(content, dict) and "machine_info" in content and "benchmarks" in content


def read_pytest_benchmark(path: Path, content: Mapping[str, Any], directions: Directions) -> Stored:
    """Read one file; single rounds are there where it was written by ``--benchmark-json`` or with the data saved.

    Raises
    ------
    UsageError
        If the file is broken, or of a newer version.
    """
    try:
        version = str(content["version"])
        if int(version.partition(".")[0]) > MAJOR:
            raise UsageError(f"{str(path)!r} is of {SOURCE} {version}; up to {MAJOR} is read: upgrade ics-bench")
        entries = tuple(_entry(raw, directions) for raw in content["benchmarks"])
        environment = _environment(content["machine_info"])
        state: Mapping[str, Any] = content.get("commit_info") or {}
        commit = str(state.get("id") or "").replace("unversioned", "")
        warnings = (f"{path.name} was measured with uncommitted changes",) if state.get("dirty") else ()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise broken(path, SOURCE, error) from error
    return Stored(str(path), SOURCE, entries, environment, commit, warnings)


def _entry(raw: Mapping[str, Any], directions: Directions) -> Entry:
    name, stats = str(raw["fullname"]), raw["stats"]
    samples = tuple(float(value) for value in stats.get("data") or ())
    if not all(map(math.isfinite, (float(stats["median"]), *samples))):
        raise ValueError(f"{name:.80} holds NaN or infinity")
    benchmark = Benchmark(name, "timing", "s", directions.of(name))
    return Entry(benchmark, Observation(float(stats["median"])), samples)


def _environment(machine: Mapping[str, Any]) -> dict[str, str]:
    cpu: Mapping[str, Any] = machine.get("cpu") or {}
    return {
        "python": f"{machine.get('python_implementation')} {machine.get('python_version')}",
        "cpu": str(cpu.get("brand_raw") or machine.get("processor") or "unknown"),
        "cores": str(cpu.get("count") or "unknown"),
        "arch": str(machine.get("machine")),
        "system": str(machine.get("system")),
    }
