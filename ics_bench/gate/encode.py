"""A decision as strict JSON, for programs: infinities and NaN stand as strings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ics_bench.core.text import encode_number, without_surrogates
from ics_bench.gate.channels import channels, faults
from ics_bench.gate.evidence import Evidence
from ics_bench.gate.recording import flags
from ics_bench.gate.series import Benchmark, Observation, Pair
from ics_bench.gate.verdict import EXIT_CODES, VERDICTS, Decision, Reading, Result

SCHEMA = 1


def encode(decision: Decision) -> bytes:
    """Write a decision with everything that it rests on.

    ``failures`` says what keeps it from passing beside its ``results``, and ``said`` holds the last lines of a build
    that failed; then there are no results. Where commits were measured, it can be checked again:

    - ``seed`` drew the order of sides and benchmarks, ``machine`` is the fingerprint of where they were measured, with
      the versions of what measured them.
    - Every result has its ``pairs`` in the order in which they were measured: of ``base`` and ``head`` the ``value`` of
      each pair (wall seconds per call, bytes, or the number itself), and where there are any the ``cpu_seconds``, the
      trajectories by seed as ``seeds``, the ``error`` that stands for a value, and what ``failed_in_turns`` before it;
      why a pair is ``unsure``, where one is; by a character a pair whether the head was first (``head_first``) and
      whether it lay in the first work tree (``swapped``); and as ``log_ratios``, of times and memory, what was tested,
      by quantity, positive for the worse.

    `ics_bench.gate.decision.decide`, given the declarations and the ``rule`` from this file and a measure that hands
    these pairs out in their order, comes to the same results. Waivers are applied afterwards.
    """
    content = {
        "schema": SCHEMA,
        "base": decision.base,
        "head": decision.head,
        "exit_code": decision.exit_code,
        "meaning": EXIT_CODES[decision.exit_code],
        "verdicts": {verdict: sum(r.verdict == verdict for r in decision.results) for verdict in VERDICTS},
        "failures": list(decision.failures),
        "said": list(decision.said),
        "warnings": list(decision.warnings),
        "facts": dict(decision.facts),
        "seed": decision.evidence and decision.evidence.seed,
        "machine": decision.evidence and dict(decision.evidence.machine),
        "rule": asdict(decision.rule),
        "results": [_result(result, decision.evidence) for result in decision.results],
    }
    return json.dumps(_plain(content), indent=1, allow_nan=False).encode()


def _result(result: Result, evidence: Evidence | None) -> dict[str, Any]:
    pairs = evidence.pairs.get(result.name) if evidence else None
    return {
        "name": result.name,
        "kind": result.benchmark.kind,
        "unit": result.benchmark.unit,
        "better": result.benchmark.better,
        "version": result.benchmark.version,
        "smallest_effect": result.benchmark.smallest_effect,
        "smallest_ratio": result.benchmark.smallest_ratio,
        "infinity_is_best": result.benchmark.infinity_is_best,
        "verdict": result.verdict,
        "accepted": result.accepted,
        "waiver": result.waiver or None,
        "reason": result.reason,
        "warnings": list(result.warnings),
        "readings": [_reading(reading) for reading in result.readings],
        "pairs": pairs and _pairs(result.benchmark, pairs),
    }


def _pairs(benchmark: Benchmark, pairs: Sequence[Pair]) -> dict[str, Any]:
    tested = benchmark.kind in ("timing", "memory") and not faults(benchmark, pairs)
    return {
        "base": _column([pair.base for pair in pairs]),
        "head": _column([pair.head for pair in pairs]),
        "head_first": flags([pair.head_first for pair in pairs]),
        "swapped": flags([pair.swapped for pair in pairs]),
        **({"unsure": [pair.unsure for pair in pairs]} if any(pair.unsure for pair in pairs) else {}),
        "log_ratios": {c.quantity: c.worsening.tolist() for c in channels(benchmark, pairs)} if tested else {},
    }


def _column(observations: Sequence[Observation]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {
        "value": [o.value for o in observations],
        "cpu_seconds": [o.cpu_seconds for o in observations],
        "seeds": [o.seeds and {str(seed): list(values) for seed, values in o.seeds.items()} for o in observations],
        "error": [o.error for o in observations],
        "failed_in_turns": [o.failed_in_turns for o in observations],
    }
    return {name: found for name, found in columns.items() if any(entry not in (None, "") for entry in found)}


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
