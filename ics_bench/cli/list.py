"""``ics-bench list``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import click

from ics_bench.cli.text import table
from ics_bench.core import PROFILES, unknown
from ics_bench.core.registry import Registry
from ics_bench.kernels import PROVIDERS
from ics_bench.subjects import ARCHITECTURES, DATASETS, INITIALIZERS, NORMS, OPTIMIZERS
from ics_bench.workloads import WORKLOADS, load_workload

Rows = list[dict[str, Any]]


def _workloads() -> Rows:
    rows: Rows = []
    for name in WORKLOADS.builtin():
        workload = load_workload(name)
        cases = {profile: len(workload.cases(profile)) for profile in PROFILES}
        axes = {axis.name: {p: list(axis.values(p)) for p in PROFILES} for axis in workload.axes}
        metrics = {m.name: {"unit": m.unit, "better": m.better, "summary": m.summary} for m in workload.metrics}
        rows.append(
            {
                "name": name,
                "summary": workload.summary,
                "version": workload.version,
                "cases": cases,
                "seeds": dict(workload.seeds),
                "axes": axes,
                "metrics": metrics,
            }
        )
    others = [name for name in WORKLOADS.names() if name not in WORKLOADS.builtin()]
    summaries = WORKLOADS.summaries()
    return rows + [{"name": name, "summary": summaries[name]} for name in others]


def _subjects(registry: Registry) -> Rows:
    return [{"name": name, "summary": summary} for name, summary in registry.summaries().items()]


def _norms() -> Rows:
    from ics_bench.subjects.norm import load_norm

    ours = {name: load_norm(name) for name in NORMS.builtin()}
    rows: Rows = [{"name": name, "summary": norm.summary, "source": norm.source} for name, norm in ours.items()]
    return rows + [row for row in _subjects(NORMS) if row["name"] not in ours]


def _claims() -> Rows:
    from ics_bench.claims import load_catalogue

    shown = ("registered", "family", "tier", "seeds", "section", "page", "source", "budget_seconds")
    return [{"name": c.id, "summary": c.statement, **{key: getattr(c, key) for key in shown}} for c in load_catalogue()]


SECTIONS: Mapping[str, Callable[[], Rows]] = {
    "workloads": _workloads,
    "norms": _norms,
    "inits": lambda: _subjects(INITIALIZERS),
    "models": lambda: _subjects(ARCHITECTURES),
    "data": lambda: _subjects(DATASETS),
    "optimizers": lambda: _subjects(OPTIMIZERS),
    "kernels": lambda: _subjects(PROVIDERS),
    "claims": _claims,
}


@click.command()
@click.argument("what", required=False, metavar=f"[{'|'.join(SECTIONS)}]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every axis and metric of a workload.")
def command(what: str | None, as_json: bool) -> None:
    """List what can be measured, and with what.

    A norm, model, initializer, data set or optimizer of your own goes by module:attribute.
    """
    if what is not None and what not in SECTIONS:
        raise unknown("section", what, SECTIONS)
    found = {name: make() for name, make in SECTIONS.items() if what in (None, name)}
    if as_json:
        click.echo(json.dumps(found, indent=1, allow_nan=False))
        return
    for name, rows in found.items():
        click.echo(f"{name}\n{_section(rows)}\n")


def _section(rows: Rows) -> str:
    if any("cases" in row for row in rows):
        columns = ("name", *(f"{key} quick/ standard/ full" for key in ("cases", "seeds")), "summary")
        lines = [
            [row["name"], _by_profile(row.get("cases")), _by_profile(row.get("seeds")), row["summary"]] for row in rows
        ]
        return table(columns, lines)
    columns = ("name", "summary")
    if any("registered" in row for row in rows):
        columns = ("name", "family", "tier", "budget_seconds", "registered", "summary")
    elif any("source" in row for row in rows):
        columns = ("name", "summary", "source")
    return table(columns, [[row.get(key) for key in columns] for row in rows])


def _by_profile(counts: Mapping[str, int] | None) -> str | None:
    return None if counts is None else "/".join(str(counts[profile]) for profile in PROFILES)
