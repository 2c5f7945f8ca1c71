"""Records as strict JSON. Infinities and NaN, which JSON lacks, stand as strings."""

from __future__ import annotations

import json
import math
import sys
from typing import Any, TypeVar

from ics_bench.core import Case, CaseRecord, Curve, Measurement, Scalar

_NAMES = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}

T = TypeVar("T")


def encode_number(value: float) -> float | str:
    """Return a finite number as it is, any other by its name."""
    value = float(value)  # numpy's scalars are no JSON
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def decode_number(value: object) -> float:
    """Undo `encode_number`.

    Raises
    ------
    ValueError
        For anything that it does not write, such as a literal too large for a float.
    """
    if isinstance(value, str) and value in _NAMES:
        return _NAMES[value]
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max:
        return float(value)
    raise ValueError(f"{value!r:.80} is no number")


def strict_loads(text: str | bytes) -> Any:
    """Parse JSON and refuse what the standard does not know: NaN tokens and repeated keys.

    Raises
    ------
    ValueError
        If the text is not strict JSON, or nested too deeply to be read.
    """

    def refuse_constant(token: str) -> float:
        raise ValueError(f"bare {token} is not JSON")

    def refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("an object repeats a key")
        return found

    try:
        return json.loads(text, parse_constant=refuse_constant, object_pairs_hook=refuse_repeats)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def encode_record(record: CaseRecord) -> str:
    """Write a record as one line of JSON."""
    return json.dumps(
        {
            "workload": record.workload,
            "version": record.version,
            "case": dict(record.case),
            "seeds": list(record.seeds),
            "status": record.status,
            "reason": record.reason,
            "seconds": record.seconds,
            "measurements": [_encode_measurement(m) for m in record.measurements],
        },
        allow_nan=False,
        separators=(",", ":"),
    )


def _encode_measurement(measurement: Measurement) -> dict[str, Any]:
    encoded: dict[str, Any] = {
        "seed": measurement.seed,
        "metric": measurement.metric,
        "value": encode_number(measurement.value),
        "unit": measurement.unit,
    }
    if measurement.curve is not None:
        curve = measurement.curve
        encoded["curve"] = {
            "label": curve.label,
            "x": [encode_number(x) for x in curve.x],
            "y": [encode_number(y) for y in curve.y],
        }
    if measurement.warnings:
        encoded["warnings"] = list(measurement.warnings)
    return encoded


def decode_record(line: str | bytes) -> CaseRecord:
    """Read one line back.

    Raises
    ------
    ValueError
        If the line is not a record.
    """
    raw = strict_loads(line)
    try:
        workload, case = _is(str, raw["workload"]), Case.of({k: _scalar(v) for k, v in raw["case"].items()})
        return CaseRecord(
            workload=workload,
            version=_integer(raw["version"]),
            case=case,
            seeds=tuple(_integer(seed) for seed in raw["seeds"]),
            status=raw["status"],
            reason=_is(str, raw["reason"]),
            seconds=decode_number(raw["seconds"]),
            measurements=tuple(_decode_measurement(workload, case, m) for m in raw["measurements"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a record: {error!r}") from error


def _decode_measurement(workload: str, case: Case, raw: dict[str, Any]) -> Measurement:
    curve = None
    if "curve" in raw:
        x, y = (tuple(decode_number(v) for v in raw["curve"][axis]) for axis in ("x", "y"))
        curve = Curve(x, y, _is(str, raw["curve"]["label"]))
    return Measurement(
        workload=workload,
        case=case,
        seed=None if raw["seed"] is None else _integer(raw["seed"]),
        metric=_is(str, raw["metric"]),
        value=decode_number(raw["value"]),
        unit=_is(str, raw["unit"]),
        curve=curve,
        warnings=tuple(_is(str, text) for text in raw.get("warnings", ())),
    )


def _is(kind: type[T], value: object) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r:.80} is not {kind.__name__}")
    return value


def _integer(value: object) -> int:
    if isinstance(value, bool):
        raise TypeError(f"{value!r} is not int")
    return _is(int, value)


def _scalar(value: object) -> Scalar:
    if not isinstance(value, str | int | float):
        raise TypeError(f"{value!r:.80} is no value of a case")
    return value
