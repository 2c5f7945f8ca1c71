"""A decision as strict JSON, for programs: infinities and NaN stand as strings."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from ics_bench.core.text import encode_number, without_surrogates
from ics_bench.gate.verdict import EXIT_CODES, VERDICTS, Decision, Reading, Result

SCHEMA = 1


def encode(decision: Decision) -> bytes:
    """Write a decision with everything that it rests on."""
    content = {
        "schema": SCHEMA,
        "base": decision.base,
        "head": decision.head,
        "exit_code": decision.exit_code,
        "meaning": EXIT_CODES[decision.exit_code],
        "verdicts": {verdict: sum(r.verdict == verdict for r in decision.results) for verdict in VERDICTS},
        "warnings": list(decision.warnings),
        "facts": dict(decision.facts),
        "rule": asdict(decision.rule),
        "results": [_result(result) for result in decision.results],
    }
    return json.dumps(_plain(content), indent=1, allow_nan=False).encode()


def _result(result: Result) -> dict[str, Any]:
    return {
        "name": result.name,
        "kind": result.benchmark.kind,
        "unit": result.benchmark.unit,
        "better": result.benchmark.better,
        "version": result.benchmark.version,
        "smallest_effect": result.benchmark.smallest_effect,
        "smallest_ratio": result.benchmark.smallest_ratio,
        "verdict": result.verdict,
        "accepted": result.accepted,
        "waiver": result.waiver or None,
        "reason": result.reason,
        "warnings": list(result.warnings),
        "readings": [_reading(reading) for reading in result.readings],
    }


def _reading(reading: Reading) -> dict[str, Any]:
    return {**asdict(reading), "interval": list(reading.interval)}


def _plain(value: Any) -> Any:
    """Turn a value into one that strict JSON holds."""
    if isinstance(value, float):
        return encode_number(value)
    if isinstance(value, str):
        return without_surrogates(value)
    if isinstance(value, dict):
        return {without_surrogates(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value
