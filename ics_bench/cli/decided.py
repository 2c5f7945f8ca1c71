"""What the commands that decide share: where the decision goes, and how it looks in the terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ics_bench.cli.main import EXIT_CODES as ALL_CODES
from ics_bench.cli.text import printable, table
from ics_bench.gate.encode import encode
from ics_bench.gate.junit import junit
from ics_bench.gate.markdown import append_summary, markdown
from ics_bench.gate.rows import COLUMNS, Row, headline, rows
from ics_bench.gate.verdict import EXIT_CODES, Decision
from ics_bench.gate.waivers import Waiver, accept, load_waivers
from ics_bench.results.files import check_target, write_file

_CODES = {**{str(code): meaning for code, meaning in EXIT_CODES.items()}, **dict(list(ALL_CODES.items())[-2:])}
EXIT_CODES_HELP = "\n".join(["\b", "Exit codes:", *(f"  {code}  {meaning}" for code, meaning in _CODES.items())])
"""What the codes of a deciding command mean, for its page of help."""

OPTIONS = (
    click.option("--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write it as JSON."),
    click.option("--markdown", "markdown_file", type=click.Path(path_type=Path), metavar="FILE", help="As Markdown."),
    click.option("--junit", "junit_file", type=click.Path(path_type=Path), metavar="FILE", help="As JUnit's XML."),
    click.option("--report", type=click.Path(path_type=Path), metavar="DIR", help="As a page of HTML."),
    click.option("--waivers", type=click.Path(path_type=Path), metavar="FILE", help="TOML of accepted regressions."),
)


def outputs(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that `Outputs` takes."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where a decision is written to beside the terminal; made before anything is measured for it.

    Parameters
    ----------
    json_file, markdown_file, junit_file : Path, optional
    report : Path, optional
        Folder of the page.
    waivers : Path, optional
        File of accepted regressions.

    Raises
    ------
    UsageError
        If one of them cannot be written, or the waivers cannot be read.
    """

    json_file: Path | None = None
    markdown_file: Path | None = None
    junit_file: Path | None = None
    report: Path | None = None
    waivers: Path | None = None

    def __post_init__(self) -> None:
        for path in (self.json_file, self.markdown_file, self.junit_file):
            if path is not None:
                check_target(path)
        if self.report is not None:
            from ics_bench.report.site import check_replaceable

            check_replaceable(self.report)
        self.accepted()

    def accepted(self) -> tuple[Waiver, ...]:
        """Read the waivers."""
        return load_waivers(self.waivers) if self.waivers is not None else ()


def show(decision: Decision, outputs: Outputs) -> int:
    """Print a decision, write it wherever it was asked for, and return the exit code.

    In a job of GitHub's, its summary gets the Markdown too.
    """
    decision = accept(decision, outputs.accepted())
    click.echo(decision_text(decision))
    written = {"summary": append_summary(decision)}
    for name, path, write in (
        ("json", outputs.json_file, encode),
        ("markdown", outputs.markdown_file, lambda d: markdown(d).encode()),
        ("junit", outputs.junit_file, junit),
    ):
        if path is not None:
            write_file(path, write(decision))
            written[name] = path
    if outputs.report is not None:
        from ics_bench.report.gate import write_decision

        written["report"] = write_decision(decision, outputs.report)
    for name, file in written.items():
        if file is not None:
            click.echo(f"{name:9}{printable(str(file))}")
    return decision.exit_code


def decision_text(decision: Decision) -> str:
    """Lay a decision out: the table, why each verdict fell, warnings, and what the exit code means."""
    found = rows(decision)
    cells = [(r.verdict, r.name, r.base, r.head, r.change, r.interval, r.n, r.p) for r in found]
    told = [row for row in found if row.verdict != "no change" or row.notes]
    reasons = [f"{printable(row.name)}: {printable(row.verdict)}: {printable(_why(row))}" for row in told]
    return "\n".join(
        [
            f"{printable(decision.base)} against {printable(decision.head)}",
            "",
            table(COLUMNS, cells),
            "",
            *(["why", *reasons, ""] if reasons else []),
            *(["warnings", *map(printable, decision.warnings), ""] if decision.warnings else []),
            *(f"{printable(name)}: {printable(value)}" for name, value in decision.facts.items()),
            f"{headline(decision)}; exit code {decision.exit_code}: {EXIT_CODES[decision.exit_code]}",
        ]
    )


def _why(row: Row) -> str:
    return "; ".join([row.reason, *row.others, *row.notes])
