"""A run, finished or not, as the API, the tables and the report read it."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ics_bench.core import CaseRecord, Measurement, Metric, Profile, UsageError
from ics_bench.results import store
from ics_bench.results.tables import Table, summarize

if TYPE_CHECKING:
    import pandas as pd


@dataclass(repr=False)
class Run:
    """A folder of measurements with its settings and its environment.

    Parameters
    ----------
    folder : Path
    header : dict
        Content of ``run.json``.
    records : list of CaseRecord
    """

    folder: Path
    header: dict[str, Any]
    records: list[CaseRecord]

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """Read a run from disk.

        Raises
        ------
        UsageError
            If the folder holds no readable run.
        """
        folder = Path(folder)
        header = store.read_header(folder)
        records = store.read_records(folder)
        place = {key: number for number, key in enumerate(header["plan"])}
        records.sort(key=lambda record: place.get(plan_key(record), len(place)))
        return cls(folder, header, records)

    @property
    def settings(self) -> dict[str, Any]:
        """What was asked for: workloads, profile, overrides, seeds, device."""
        return dict(self.header["settings"])

    @property
    def environment(self) -> dict[str, Any]:
        """Where it was measured."""
        return dict(self.header["environment"])

    @property
    def profile(self) -> Profile:
        """The profile that was run."""
        return cast("Profile", self.header["settings"]["profile"])

    @property
    def workloads(self) -> tuple[str, ...]:
        """Names of the workloads, in the order in which they were asked for."""
        return tuple(self.header["workloads"])

    def metrics(self, workload: str) -> tuple[Metric, ...]:
        """Metrics as the workload declared them when it was measured.

        Raises
        ------
        UsageError
            If the run's header does not declare them.
        """
        try:
            return tuple(Metric(**raw) for raw in self.header["workloads"][workload]["metrics"])
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{str(self.folder)!r} does not declare the metrics of {workload!r}: {error}") from error

    @property
    def complete(self) -> bool:
        """Whether every planned case was measured or skipped."""
        done = {plan_key(record) for record in self.records if record.status != "failed"}
        return all(key in done for key in self.header["plan"])

    @property
    def measured(self) -> list[CaseRecord]:
        """Records of the cases that were measured."""
        return [record for record in self.records if record.status == "measured"]

    @property
    def skipped(self) -> list[CaseRecord]:
        """Records of the cases that cannot run here, each with its reason."""
        return [record for record in self.records if record.status == "skipped"]

    @property
    def failed(self) -> list[CaseRecord]:
        """Records of the cases that raised, each with its error."""
        return [record for record in self.records if record.status == "failed"]

    def measurements(self, workload: str | None = None) -> Iterator[Measurement]:
        """Iterate over the measurements, of one workload or of all."""
        for record in self.records:
            if workload is None or record.workload == workload:
                yield from record.measurements

    @cached_property
    def _frame(self) -> pd.DataFrame:
        import pandas as pd

        rows = [(record, m) for record in self.records for m in record.measurements]
        keys = dict.fromkeys(key for record in self.records for key in record.case)
        return pd.DataFrame(
            {
                "workload": [record.workload for record, _ in rows],
                "version": [record.version for record, _ in rows],
                "case": [record.case.id for record, _ in rows],
                **{key: _series([record.case.get(key) for record, _ in rows]) for key in keys},
                "seed": pd.Series([m.seed for _, m in rows], dtype="Int64"),
                "metric": [m.metric for _, m in rows],
                "value": pd.Series([m.value for _, m in rows], dtype="float64"),
                "unit": [m.unit for _, m in rows],
                "curve_x": pd.Series([list(m.curve.x) if m.curve else None for _, m in rows], dtype="object"),
                "curve_y": pd.Series([list(m.curve.y) if m.curve else None for _, m in rows], dtype="object"),
                "curve_label": pd.Series([m.curve.label if m.curve else None for _, m in rows], dtype="object"),
                "warnings": pd.Series([list(m.warnings) for _, m in rows], dtype="object"),
            }
        )

    def frame(self) -> pd.DataFrame:
        """Return a tidy frame, one row a measurement, in the order of the declarations."""
        return self._frame.copy()

    def summary(self, workload: str) -> Table:
        """Tabulate one workload: one row a case, one column a headline metric, medians over seeds."""
        records = [record for record in self.measured if record.workload == workload]
        return summarize(records, self.metrics(workload))

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the summary of each measured workload as a frame."""
        import pandas as pd

        found = {name: self.summary(name) for name in dict.fromkeys(r.workload for r in self.measured)}
        return {name: pd.DataFrame(table.rows, columns=list(table.columns)) for name, table in found.items()}

    def __repr__(self) -> str:
        parts = [self.profile, f"{len(self.measured)} measured"]
        parts += [
            f"{len(found)} {word}" for found, word in ((self.skipped, "skipped"), (self.failed, "failed")) if found
        ]
        left = len(self.header["plan"]) - len(self.records)
        parts += [f"{left} not yet measured"] if left else []
        return f"<Run {str(self.folder)!r}: {', '.join(parts)}>"

    def _repr_html_(self) -> str:
        """Show the medians over seeds as tables in a notebook, and what was not measured."""
        tables = [f"<h4>{html.escape(name)}</h4>{table.to_html(index=False)}" for name, table in self.tables().items()]
        missing = [
            f"<li>{record.status}: {html.escape(f'{record.workload} {record.case}: {record.reason}')}</li>"
            for record in (*self.skipped, *self.failed)
        ]
        return "".join([*tables, *(["<ul>", *missing, "</ul>"] if missing else [])])


def plan_key(record: CaseRecord) -> str:
    """Identity of a record's case, as the header's plan lists it."""
    return record.key


def _series(values: Sequence[object]) -> pd.Series:
    """Make a column in which integers stay integers where other workloads lack the key."""
    import pandas as pd

    kinds = {type(value) for value in values if value is not None}
    dtype = {frozenset((int,)): "Int64", frozenset((bool,)): "boolean"}.get(frozenset(kinds))
    if dtype is not None and None in values:
        return pd.Series(values, dtype=dtype)
    return pd.Series([math.nan if value is None else value for value in values])
