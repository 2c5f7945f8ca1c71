"""Summary tables as the page shows them: every cell with its text and the value that it sorts by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ics_bench.core import CaseRecord, Metric, Scalar, UsageError
from ics_bench.report import text
from ics_bench.results.run import Run
from ics_bench.results.tables import summarize

MISSING = "–"


@dataclass(frozen=True, slots=True)
class Column:
    """Head of a column: what it holds, in which unit, and a line that explains it."""

    title: str
    unit: str = ""
    summary: str = ""
    numeric: bool = True


@dataclass(frozen=True, slots=True)
class Cell:
    """One value: as text, and as what rows are sorted by (empty: last in either direction)."""

    text: str
    sort: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and rows; ``held`` are the case keys that do not vary, with their one value."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    held: tuple[tuple[str, str], ...] = ()


def summary_table(run: Run, workload: str) -> Table | None:
    """Tabulate the medians over seeds of one workload's cases; ``None`` if none was measured."""
    records = [record for record in run.measured if record.workload == workload]
    if not records:
        return None
    metrics = metrics_of(run, workload, records)
    summary = summarize(records, metrics)
    columns = tuple(
        _column(title, metrics, [row[place] for row in summary.rows]) for place, title in enumerate(summary.columns)
    )
    rows = tuple(tuple(_cell(value) for value in row) for row in summary.rows)
    return Table(columns, rows, tuple((key, text.scalar(value)) for key, value in summary.held))


def metrics_of(run: Run, workload: str, records: Sequence[CaseRecord]) -> tuple[Metric, ...]:
    """Metrics that a run declares, or the bare ones that it holds where its declaration is unreadable."""
    try:
        return run.metrics(workload)
    except UsageError:
        units = {m.metric: m.unit for record in records for m in record.measurements}
        return tuple(Metric(name, unit, "neutral", "seeded") for name, unit in units.items())


def _column(title: str, metrics: Sequence[Metric], values: Sequence[Scalar | None]) -> Column:
    numeric = all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values)
    for metric in metrics:
        if title in (metric.name, f"{metric.name} [{metric.unit}]"):
            unit = "" if metric.unit == "1" else metric.unit
            direction = {"lower": "lower is better", "higher": "higher is better"}.get(metric.better, "")
            return Column(text.words(metric.name), unit, "; ".join(filter(None, (metric.summary, direction))), numeric)
    return Column(text.words(title), numeric=numeric)


def _cell(value: Scalar | None) -> Cell:
    if value is None:
        return Cell(MISSING)
    if isinstance(value, float) and math.isnan(value):
        return Cell("NaN")
    sort = str(value) if isinstance(value, str | bool) else repr(float(value))
    return Cell(text.scalar(value), sort)
