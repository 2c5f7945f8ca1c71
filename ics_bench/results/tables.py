"""Summary tables: one row a case, one column a headline metric."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ics_bench.core import CaseRecord, Metric, Scalar

Cell = Scalar | None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of plain values; ``None`` where nothing was measured.

    Parameters
    ----------
    columns : tuple of str
    rows : tuple of tuple
    held : tuple of (str, value)
        Case keys that do not vary, left out of the columns.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    held: tuple[tuple[str, Scalar], ...] = ()


def median(values: Sequence[float]) -> float:
    """Median that is NaN as soon as one value is: a diverged seed does not drop out of the summary."""
    return math.nan if any(map(math.isnan, values)) else statistics.median(values)


def summarize(records: Sequence[CaseRecord], metrics: Sequence[Metric]) -> Table:
    """Tabulate the medians over seeds of one workload's headline metrics.

    Parameters
    ----------
    records : sequence of CaseRecord
        Measured records of one workload.
    metrics : sequence of Metric
        Its declared metrics.

    Returns
    -------
    Table
        The case keys that vary, the headline metrics named with their units, ``seeds`` (how many stand
        behind the row) and ``warnings`` (how many distinct ones its measurements carry).
    """
    keys = list(dict.fromkeys(key for record in records for key in record.case))
    values = {key: [record.case.get(key) for record in records] for key in keys}
    varying = [key for key in keys if len(set(values[key])) > 1]
    held = tuple((key, values[key][0]) for key in keys if key not in varying)
    headline = [metric for metric in metrics if metric.headline]
    titles = [metric.name if metric.unit == "1" else f"{metric.name} [{metric.unit}]" for metric in headline]
    rows = []
    for record in records:
        cells: list[Cell] = [record.case.get(key) for key in varying]
        for metric in headline:
            found = [m.value for m in record.measurements if m.metric == metric.name]
            cells.append(median(found) if found else None)
        seeds = {m.seed for m in record.measurements if m.seed is not None}
        warnings = {text for m in record.measurements for text in m.warnings}
        rows.append((*cells, len(seeds), len(warnings)))
    return Table((*varying, *titles, "seeds", "warnings"), tuple(rows), tuple((k, v) for k, v in held if v is not None))
