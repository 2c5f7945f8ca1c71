"""Records as strict JSON. Infinities and NaN, which JSON lacks, stand as strings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from ics_bench.core import Case, CaseRecord, Curve, Measurement, Scalar
from ics_bench.core.text import decode_number, encode_number, has_surrogate
from ics_bench.core.workload import RESERVED_AXES

T = TypeVar("T")


def strict_loads(text: str | bytes, *, constants: bool = False) -> Any:
    """Parse JSON and refuse what the standard does not know: NaN tokens and repeated keys.

    Parameters
    ----------
    text : str or bytes
    constants : bool
        Take bare NaN and infinities after all, for files of other tools that write them.

    Raises
    ------
    ValueError
        If the text is not strict JSON, or nested too deeply to be read.
    """

    def constant(token: str) -> float:
        if constants:
            return float(token)
        raise ValueError(f"bare {token} is not JSON")

    def refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("an object repeats a key")
        return found

    try:
        return json.loads(text, parse_constant=constant, object_pairs_hook=refuse_repeats)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def encode_record(record: CaseRecord) -> str:
    """Write a record as one line of JSON.

    Raises
    ------
    ValueError
        If a text holds a lone surrogate: other readers of JSON refuse it, and two of them side by
        side would come back as another character.
    """
    return json.dumps(
        {
            "workload": _text(record.workload),
            "version": record.version,
            "case": {_text(key): _scalar(value) for key, value in record.case.items()},
            "seeds": list(record.seeds),
            "status": record.status,
            "reason": _text(record.reason),
            "seconds": record.seconds,
            "measurements": [_encode_measurement(m) for m in record.measurements],
        },
        allow_nan=False,
        separators=(",", ":"),
    )


def _encode_measurement(measurement: Measurement) -> dict[str, Any]:
    encoded: dict[str, Any] = {
        "seed": measurement.seed,
        "metric": _text(measurement.metric),
        "value": encode_number(measurement.value),
        "unit": _text(measurement.unit),
    }
    if measurement.curve is not None:
        curve = measurement.curve
        encoded["curve"] = {
            "label": _text(curve.label),
            "x": [encode_number(x) for x in curve.x],
            "y": [encode_number(y) for y in curve.y],
        }
    if measurement.warnings:
        encoded["warnings"] = [_text(warning) for warning in measurement.warnings]
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
        workload, case = _text(raw["workload"]), _case(raw["case"])
        return CaseRecord(
            workload=workload,
            version=_integer(raw["version"]),
            case=case,
            seeds=tuple(_integer(seed) for seed in raw["seeds"]),
            status=raw["status"],
            reason=_text(raw["reason"]),
            seconds=decode_number(raw["seconds"]),
            measurements=tuple(_decode_measurement(workload, case, m) for m in raw["measurements"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a record: {error!r}") from error


def _decode_measurement(workload: str, case: Case, raw: dict[str, Any]) -> Measurement:
    curve = None
    if "curve" in raw:
        x, y = (tuple(decode_number(v) for v in raw["curve"][axis]) for axis in ("x", "y"))
        curve = Curve(x, y, _text(raw["curve"]["label"]))
    return Measurement(
        workload=workload,
        case=case,
        seed=None if raw["seed"] is None else _integer(raw["seed"]),
        metric=_text(raw["metric"]),
        value=decode_number(raw["value"]),
        unit=_text(raw["unit"]),
        curve=curve,
        warnings=tuple(_text(text) for text in raw.get("warnings", ())),
    )


def _case(raw: Mapping[str, object]) -> Case:
    """Refuse a key that would take the place of a column of the run's frame."""
    for key in raw:
        if key in RESERVED_AXES:
            raise ValueError(f"case key {key!r} has the name of a result column")
    return Case.of({_text(key): _scalar(value) for key, value in raw.items()})


def _text(value: object) -> str:
    text = _is(str, value)
    if has_surrogate(text):
        raise ValueError(f"the text {text!r:.80} holds a lone surrogate, which is no character")
    return text


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
    return _text(value) if isinstance(value, str) else value
