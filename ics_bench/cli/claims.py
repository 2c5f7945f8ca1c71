"""``ics-bench claims``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ics_bench.cli.main import exit_codes
from ics_bench.cli.outcome import measure, print_account, print_report
from ics_bench.cli.text import cell, printable, table
from ics_bench.core import UsageError
from ics_bench.execution.executors import parse_executor
from ics_bench.execution.plan import Settings
from ics_bench.execution.session import default_folder, start
from ics_bench.results.files import check_target, write_file
from ics_bench.results.run import Run

if TYPE_CHECKING:
    from ics_bench.claims import Judgement

STATEMENT_WIDTH = 48

NOTES_SHOWN = 4
"""Warnings of a claim that the terminal shows; what decided comes first."""

HELP = f"""Judge claims, and say whether each verdict is the registered one.

Without ID, every claim of the catalogue is judged, or with --run every claim that the run was made for or, if for
none, bears on. Without --run, what the claims need is measured first, and no more. The profile quick never judges.

A claim that comes out differently weighs more than an inconclusive one: then the exit code is 1.

\b
{exit_codes()}"""


@click.command(help=HELP)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--run", "folder", type=click.Path(path_type=Path), metavar="RUN", help="Judge this run's measurements.")
@click.option("--profile", metavar="quick|standard|full", help="How much to measure.  [default: standard]")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="Folder to make [default: runs/TIME-PROFILE]."
)
@click.option("--executor", metavar="inline|local[:N]", help="In how many processes.  [default: local]")
@click.option("--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write the judgements here.")
@click.option("--report", is_flag=True, help="Write RUN/report/index.html, with the verdicts, too.")
def command(
    ids: tuple[str, ...],
    folder: Path | None,
    profile: str | None,
    out: Path | None,
    executor: str | None,
    json_file: Path | None,
    report: bool,
) -> int:
    """Judge a run, or measure one and judge it."""
    from ics_bench.claims import judge_run, load_catalogue, select

    catalogue = load_catalogue()
    chosen = select(catalogue, ids) if ids else list(catalogue)
    if json_file is not None:
        check_target(json_file)
    if folder is not None:
        for name, value in (("--profile", profile), ("--out", out), ("--executor", executor)):
            if value is not None:
                raise UsageError(f"{name} says how to measure; with --run nothing is measured, so leave it out")
        run = Run.open(folder)
        ids = ids or tuple(run.settings.get("claims", ()))
    else:
        profile = profile or "standard"
        performing = parse_executor(executor or "local")
        settings = Settings(profile=profile, claims=tuple(claim.id for claim in chosen))  # type: ignore[arg-type]
        with start(settings, out or default_folder(f"{profile}-claims")) as session:
            run = measure(session, performing)
        ids = ids or tuple(claim.id for claim in chosen)
    judgements = judge_run(run.measurements(), run.profile, ids)
    if not judgements:
        raise UsageError(f"{str(folder)!r} bears on no claim; to measure what they need: ics-bench claims")
    statements = {claim.id: claim.statement for claim in catalogue}
    click.echo(_verdicts(judgements, statements))
    print_account(run)
    if json_file is not None:
        _write_json(json_file, judgements)
        click.echo(f"json    {printable(str(json_file))}")
    if report:
        print_report([run], run.folder / "report", judgements)
    return exit_code(judgements, failed=bool(run.failed))


def exit_code(judgements: Sequence[Judgement], failed: bool) -> int:
    """2 if a measurement failed, else 1 if a verdict reached differs, else 3 if one is missing, else 0."""
    if failed:
        return 2
    different = [j for j in judgements if not j.as_registered]
    if any(j.verdict != "inconclusive" for j in different):
        return 1
    return 3 if different else 0


def _verdicts(judgements: Sequence[Judgement], statements: dict[str, str]) -> str:
    columns = ("claim", "statement", "verdict", "registered", "effect", "interval", "unit", "n", "warnings")
    rows = [
        (
            j.id,
            _short(statements[j.id]),
            j.verdict,
            j.registered,
            j.effect if j.n else None,
            f"[{cell(j.interval.low)}, {cell(j.interval.high)}]" if j.n else None,
            j.unit,
            j.n,
            len(j.warnings),
        )
        for j in judgements
    ]
    notes = []
    for j in judgements:
        notes += [f"{j.id}: {printable(text)}" for text in j.warnings[:NOTES_SHOWN]]
        if len(j.warnings) > NOTES_SHOWN:
            notes.append(f"{j.id}: and {len(j.warnings) - NOTES_SHOWN} more, with --json FILE")
    return "\n".join([table(columns, rows), "", *notes, *([""] if notes else [])])


def _short(statement: str) -> str:
    if len(statement) <= STATEMENT_WIDTH:
        return statement
    return f"{statement[: STATEMENT_WIDTH - 1].rstrip()}…"


def _write_json(path: Path, judgements: Sequence[Judgement]) -> None:
    text = json.dumps({"schema": 1, "judgements": [j.to_dict() for j in judgements]}, indent=1, allow_nan=False)
    write_file(path, text.encode())
