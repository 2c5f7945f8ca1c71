"""What a measuring command shares: the folder, the progress, the interruption and the account at the end."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ics_bench.cli.group import interrupted_code
from ics_bench.cli.progress import progress
from ics_bench.cli.text import cell, printable, table
from ics_bench.core.text import count, duration, group_messages
from ics_bench.execution.executors import Executor
from ics_bench.execution.session import Session
from ics_bench.results.run import Run

if TYPE_CHECKING:
    from ics_bench.claims.judge import Judgement


def measure(session: Session, executor: Executor) -> Run:
    """Measure what a session lacks, with a progress bar; on Ctrl-C, SIGTERM or SIGHUP, say what is kept and exit."""
    if session.set_aside:
        click.echo(
            f"warning: {count(session.set_aside, 'corrupt record')} set aside in {printable(str(session.folder))}; "
            "their cases are measured again",
            err=True,
        )
    try:
        with progress(session.tasks, executor.workers) as listen:
            return session.measure(executor, listen)
    except KeyboardInterrupt as stop:
        folder = shlex.quote(str(session.folder))
        command = f"ics-bench run --resume --out {folder}"
        if executor.name != "local":
            command += f" --executor {executor.name}"
        if session.header["settings"]["claims"]:
            command += f" && ics-bench claims --run {folder}"
        click.echo(
            f"interrupted: {session.kept()} of {session.planned} cases are kept; to finish: {printable(command)}",
            err=True,
        )
        raise click.exceptions.Exit(interrupted_code(stop)) from None


def print_tables(run: Run, only: str | None = None) -> None:
    """Print the summary of each workload with the warnings that its measurements carry."""
    for name in dict.fromkeys(record.workload for record in run.measured):
        if only is not None and name != only:
            continue
        summary = run.summary(name)
        records = [record for record in run.measured if record.workload == name]
        click.echo(f"{printable(name)}: medians over seeds")
        if summary.held:
            click.echo(f"at {', '.join(f'{printable(key)}={cell(value)}' for key, value in summary.held)}")
        click.echo(f"\n{table(summary.columns, summary.rows)}\n")
        pairs = ((text, record.case.id) for record in records for m in record.measurements for text in m.warnings)
        groups = group_messages(pairs)
        for group in groups:
            others = "" if group.uniform else ", and others with other numbers"
            click.echo(f"warning ({count(group.size, 'case')}): {printable(group.message)}{others}")
        if groups:
            click.echo()


def print_account(run: Run) -> None:
    """Print how many cases were measured, skipped and failed, why, and where the records are."""
    parts = [f"{len(run.measured)} measured", f"{len(run.skipped)} skipped", f"{len(run.failed)} failed"]
    seconds = sum(record.seconds for record in run.records)
    missing = len(run.header["plan"]) - len(run.records)
    if missing:
        parts.append(f"{missing} not yet measured")
    click.echo(f"{count(len(run.header['plan']), 'case')}: {', '.join(parts)}; {duration(seconds)} of measuring")
    for status, records in (("skipped", run.skipped), ("FAILED", run.failed)):
        alike: dict[tuple[str, str], list[str]] = {}
        for record in records:
            alike.setdefault((record.workload, record.reason), []).append(record.case.id)
        for (workload, reason), cases in alike.items():
            more = f" and {len(cases) - 1} more" if len(cases) > 1 else ""
            click.echo(f"{status}  {printable(workload)} {printable(cases[0])}{more}: {printable(reason)}")
    click.echo(f"run     {printable(str(run.folder))}")


def write_report(runs: list[Run], out: Path) -> None:
    """Write the HTML report of runs, with the verdicts that they carry, and print where it is."""
    from ics_bench.api import judge

    verdicts: dict[str, Any] = {}
    for run in runs:
        for judgement in judge(run):
            known = verdicts.get(judgement.id)
            if known is None or known.verdict == "inconclusive":
                verdicts[judgement.id] = judgement
    print_report(runs, out, list(verdicts.values()))


def print_report(runs: list[Run], out: Path, judgements: Sequence[Judgement]) -> None:
    """Write the HTML report of runs with these verdicts, and print where it is."""
    from ics_bench.report import write_report as write

    click.echo(f"report  {printable(str(write(runs, out, judgements)))}")
