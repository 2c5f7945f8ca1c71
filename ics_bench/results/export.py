"""A run's measurements as one file for other tools: Parquet, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ics_bench.core import UsageError
from ics_bench.core.text import encode_number
from ics_bench.results import store
from ics_bench.results.files import check_target, write_file
from ics_bench.results.run import Run

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def export(run: Run, kind: str, path: Path) -> Path:
    """Write a run to one file, in one step: on failure an old file stays as it was.

    Parameters
    ----------
    run : Run
    kind : {"parquet", "csv", "json"}
    path : Path
        Replaced if it is a file. What it links to is replaced, not the link.

    Raises
    ------
    UsageError
        If the path cannot be written, or Parquet is asked for and pyarrow is missing.
    """
    check_target(path)
    try:
        content = FORMATS[kind](run)
    except ValueError as error:  # of the format's own library
        raise UsageError(f"{kind} cannot hold this run: {error}; choose another of {', '.join(FORMATS)}") from error
    return write_file(path, content)


def as_csv(run: Run) -> bytes:
    """Write one row a measurement; curves and warnings as JSON, an absent value as an empty cell."""
    columns, rows = _rows(run)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([safe_cell(name) for name in columns])
    for row in rows:
        writer.writerow([_csv_cell(value) for value in row])
    return text.getvalue().encode("utf-8", errors="backslashreplace")


def safe_cell(text: str) -> str:
    """Keep a spreadsheet from running text as a formula; numbers, negative ones too, stay as they are.

    Examples
    --------
    >>> safe_cell("=1+1"), safe_cell("-0.5"), safe_cell("-1+cmd")
    ("'=1+1", '-0.5', "'-1+cmd")
    """
    if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def as_json(run: Run) -> bytes:
    """Write settings, environment and one object a measurement; infinities and NaN as strings."""
    columns, rows = _rows(run)
    content = {
        "schema": store.SCHEMA,
        "settings": run.settings,
        "environment": run.environment,
        "measurements": [
            {name: _json_value(value) for name, value in zip(columns, row, strict=True) if value is not None}
            for row in rows
        ],
    }
    return json.dumps(content, indent=1, allow_nan=False).encode()


def as_parquet(run: Run) -> bytes:
    """Write the frame of the run, its settings and environment among the file's metadata.

    Raises
    ------
    UsageError
        If pyarrow is missing.
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise UsageError("Parquet needs pyarrow: pip install 'ics-bench[parquet]', or take csv or json") from None
    frame = run.frame()
    for name in frame.columns[3:]:
        kinds = {type(value) for value in frame[name].dropna()}
        if len(kinds) > 1 and name not in ("value", "seed"):  # a column of Parquet has one type
            frame[name] = [None if value is None or value != value else str(value) for value in frame[name]]
    frame.attrs = {"schema": store.SCHEMA, "settings": run.settings, "environment": run.environment}
    return bytes(frame.to_parquet(None, engine="pyarrow", index=False))


FORMATS: dict[str, Callable[[Run], bytes]] = {"parquet": as_parquet, "csv": as_csv, "json": as_json}


def _rows(run: Run) -> tuple[list[str], list[list[Any]]]:
    keys = list(dict.fromkeys(key for record in run.records for key in record.case))
    columns = ["workload", "version", "case", *keys, "seed", "metric", "value", "unit"]
    columns += ["curve_x", "curve_y", "curve_label", "warnings"]
    rows = [
        [
            *(record.workload, record.version, record.case.id),
            *(record.case.get(key) for key in keys),
            *(m.seed, m.metric, m.value, m.unit),
            *((list(m.curve.x), list(m.curve.y), m.curve.label) if m.curve else (None, None, None)),
            list(m.warnings),
        ]
        for record in run.records
        for m in record.measurements
    ]
    return columns, rows


def _json_value(value: Any) -> Any:
    if isinstance(value, float):
        return encode_number(value)
    if isinstance(value, list):
        return [_json_value(item) for item in value]
    return value


def _csv_cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return json.dumps(_json_value(value), allow_nan=False, separators=(",", ":"))
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    return str(value) if not isinstance(value, str) else safe_cell(value)
