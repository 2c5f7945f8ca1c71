"""What the page says, as plain values for its templates; every number is read from the runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ics_bench.core import CaseRecord, Workload
from ics_bench.core.text import MessageGroup, duration, group_messages
from ics_bench.report import reproduce
from ics_bench.report.drawing import FigureView, draw_figures
from ics_bench.report.figure import Styles
from ics_bench.report.tables import Table, summary_table
from ics_bench.results.run import Run, plan_key
from ics_bench.workloads import WORKLOADS, load_workload


@dataclass(frozen=True, slots=True)
class WorkloadView:
    """A workload's section."""

    anchor: str
    name: str
    summary: str
    version: str
    figures: tuple[FigureView, ...]
    left_out: tuple[str, ...]
    table: Table | None
    warnings: tuple[MessageGroup, ...]
    skipped: tuple[MessageGroup, ...]
    failed: tuple[MessageGroup, ...]
    measured: int


@dataclass(frozen=True, slots=True)
class RunView:
    """A run's part of the page."""

    anchor: str
    label: str
    profile: str
    device: str
    created: str
    seeds: str
    wall: str
    measuring: str
    measured: int
    skipped: int
    failed: int
    missing: int
    warnings: int
    workloads: tuple[WorkloadView, ...]
    made_by: str
    command: str
    python: str

    @property
    def quick(self) -> bool:
        """Whether the run is a smoke test."""
        return self.profile == "quick"


def view_runs(runs: Sequence[Run]) -> list[RunView]:
    """Turn runs into what the page says about each."""
    styles = Styles.of(run.frame() for run in runs)
    labels = labels_of(runs)
    named = enumerate(zip(runs, labels, strict=True), 1)
    return [_view(run, f"run-{place}", label, styles) for place, (run, label) in named]


def labels_of(runs: Sequence[Run]) -> list[str]:
    """Name runs by their folders; equal names get a number."""
    names = [run.folder.resolve().name or str(run.folder) for run in runs]
    return [
        f"{name} ({names[: place + 1].count(name)})" if names.count(name) > 1 else name
        for place, name in enumerate(names)
    ]


def _view(run: Run, anchor: str, label: str, styles: Styles) -> RunView:
    settings = run.settings
    names = dict.fromkeys([*run.workloads, *(record.workload for record in run.records)])
    recorded = {plan_key(record) for record in run.records}
    workloads = tuple(
        _view_workload(run, name, f"{anchor}-{place}-{slug(name)}", styles) for place, name in enumerate(names, 1)
    )
    return RunView(
        anchor=anchor,
        label=label,
        profile=run.profile,
        device=str(settings.get("device", "cpu")),
        created=_moment(run.header.get("created")),
        seeds=_seeds(run),
        wall=_wall(run.header),
        measuring=duration(sum(record.seconds for record in run.records)),
        measured=len(run.measured),
        skipped=len(run.skipped),
        failed=len(run.failed),
        missing=sum(key not in recorded for key in run.header["plan"]),
        warnings=sum(len(view.warnings) for view in workloads),
        workloads=workloads,
        made_by=str(run.header.get("made_by", "")),
        command=reproduce.command(settings),
        python=reproduce.python(settings),
    )


def _view_workload(run: Run, name: str, anchor: str, styles: Styles) -> WorkloadView:
    workload = declaration(name)
    records = [record for record in run.records if record.workload == name]
    figures, left_out = draw_figures(run, name, anchor, styles)
    return WorkloadView(
        anchor=anchor,
        name=name,
        summary=workload.summary if workload else "",
        version=", ".join(sorted({str(record.version) for record in records})),
        figures=figures,
        left_out=left_out,
        table=summary_table(run, name),
        warnings=_warnings(records),
        skipped=group_messages((record.reason, record.case.id) for record in records if record.status == "skipped"),
        failed=group_messages((record.reason, record.case.id) for record in records if record.status == "failed"),
        measured=sum(record.status == "measured" for record in records),
    )


def declaration(name: str) -> Workload | None:
    """Find a workload's declaration among those installed.

    A run folder may come from anywhere: a ``module:attribute`` that it names is never imported.
    """
    return load_workload(name) if name in WORKLOADS.names() else None


def slug(name: str) -> str:
    """Reduce a name to what may stand in an anchor."""
    return re.sub(r"[^a-z0-9_]+", "-", name.lower())[:40].strip("-") or "unnamed"


def _warnings(records: Sequence[CaseRecord]) -> tuple[MessageGroup, ...]:
    return group_messages(
        (warning, record.case.id) for record in records for m in record.measurements for warning in m.warnings
    )


def _seeds(run: Run) -> str:
    found = sorted({seed for record in run.records for seed in record.seeds})
    if not found:
        return "none"
    if found == list(range(found[0], found[-1] + 1)) and len(found) > 2:
        return f"{found[0]}–{found[-1]}"
    return ", ".join(map(str, found))


def _moment(stamp: object) -> str:
    try:
        return f"{datetime.fromisoformat(str(stamp)):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return "unknown"


def _wall(header: dict[str, Any]) -> str:
    """Time from the start to the end of a run, pauses before a resumption included; empty if unfinished."""
    try:
        start, end = (datetime.fromisoformat(str(header.get(name))) for name in ("created", "finished"))
    except ValueError:
        return ""
    return duration((end - start).total_seconds())
