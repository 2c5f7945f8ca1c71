"""asv's results of one commit, ``results/<machine>/<commit>-<environment>.json``."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ics_bench.core import UsageError
from ics_bench.core.metric import Kind
from ics_bench.gate.series import Benchmark, Observation
from ics_bench.gate.stored.directions import Directions
from ics_bench.gate.stored.json_file import broken, read_json
from ics_bench.gate.stored.result import Entry, Stored
from ics_bench.gate.suite import UNITS

SOURCE = "asv"
VERSION = 2
"""Of the files that are read."""

KINDS: tuple[tuple[str, Kind, str], ...] = (
    ("time", "timing", "s"),
    ("peakmem", "memory", "bytes"),
    ("mem", "memory", "bytes"),
    ("track", "seeded", "1"),
)
"""What a benchmark measures, by the beginning of its function's name, and in which unit."""

MACHINE = ("machine", "arch", "cpu", "num_cpu")


def looks_like(content: object) -> bool:
    """Whether parsed JSON may be asv's."""
    return isinstance(content, dict) and "commit_hash" in content and "results" in content


def read_asv(path: Path, content: Mapping[str, Any], directions: Directions) -> Stored:
    """Read the results of one commit in one environment.

    asv knows neither units nor directions in this file; units come from the ``benchmarks.json`` that asv keeps two
    folders up, directions from the user.

    Raises
    ------
    UsageError
        If the file is broken, or of another version.
    """
    version = content.get("version")
    if version != VERSION:
        newer = isinstance(version, int) and version > VERSION
        remedy = "upgrade ics-bench" if newer else "run: asv update"
        raise UsageError(f"{str(path)!r} is of asv's version {version!r:.40}; version {VERSION} is read: {remedy}")
    try:
        units = _units(path)
        entries = tuple(
            entry
            for name, row in content["results"].items()
            for entry in _entries(name, dict(zip(content["result_columns"], row, strict=False)), units, directions)
        )
        environment = _environment(content)
        commit = str(content["commit_hash"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise broken(path, SOURCE, error) from error
    return Stored(str(path), SOURCE, entries, environment, commit)


def _units(path: Path) -> dict[str, str]:
    listed = path.resolve().parent.parent / "benchmarks.json"
    if not listed.is_file():
        return {}
    content = read_json(listed)
    return {name: str(entry["unit"]) for name, entry in content.items() if isinstance(entry, dict) and "unit" in entry}


def _entries(name: str, row: Mapping[str, Any], units: Mapping[str, str], directions: Directions) -> Iterator[Entry]:
    params: Sequence[Sequence[str]] = row.get("params") or []
    values, samples = row.get("result"), row.get("samples") or []
    combinations = list(itertools.product(*params))
    if values is None:
        values = [None] * len(combinations)
    for place, (combination, value) in enumerate(zip(combinations, values, strict=True)):
        full = f"{name}({', '.join(combination)})" if combination else name
        kind, unit = _kind(name)
        if isinstance(value, float) and math.isnan(value):
            continue  # skipped
        if directions.is_exact(full):
            kind = "exact"
        unit = units.get(name, unit)
        benchmark = Benchmark(full, kind, UNITS.get(unit, unit), directions.of(full), str(row.get("version") or ""))
        if value is None:
            yield Entry(benchmark, Observation(math.nan, error="asv stored no value: it failed"))
        else:
            taken = samples[place] if place < len(samples) else None
            yield Entry(benchmark, Observation(float(value)), tuple(map(float, taken or ())))


def _kind(name: str) -> tuple[Kind, str]:
    function = name.rpartition(".")[2]
    return next(((kind, unit) for start, kind, unit in KINDS if function.startswith(start)), ("seeded", "1"))


def _environment(content: Mapping[str, Any]) -> dict[str, str]:
    machine: Mapping[str, Any] = content.get("params") or {}
    found = {"cores" if name == "num_cpu" else name: str(machine.get(name)) for name in MACHINE}
    found["python"] = str(content.get("python"))
    for part in ("requirements", "env_vars"):
        found |= {str(name): str(value) for name, value in (content.get(part) or {}).items()}
    return found
