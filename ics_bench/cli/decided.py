"""What the commands that decide share: where the decision goes, and how it looks in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ics_bench.cli.main import EXIT_CODES as ALL_CODES
from ics_bench.cli.text import printable, table
from ics_bench.core import UsageError
from ics_bench.gate.commits import SideError
from ics_bench.gate.encode import encode
from ics_bench.gate.junit import junit
from ics_bench.gate.markdown import append_summary, markdown
from ics_bench.gate.rows import COLUMNS, Row, headline, rows
from ics_bench.gate.verdict import EXIT_CODES, Decision
from ics_bench.gate.waivers import Waiver, accept, load_waivers
from ics_bench.results.files import check_target, write_file

_INTERRUPTED, _READER_GONE = list(ALL_CODES)[-2:]
_CODES = {
    **{str(code): meaning for code, meaning in EXIT_CODES.items()},
    _INTERRUPTED: "interrupted by SIGHUP, Ctrl-C, SIGTERM; nothing is decided",
    _READER_GONE: ALL_CODES[_READER_GONE],
}
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
    """Where a decision is written to beside the terminal.

    Parameters
    ----------
    json_file, markdown_file, junit_file : Path, optional
    report : Path, optional
        Folder of the page.
    waivers : Path, optional
        File of accepted regressions.
    """

    json_file: Path | None = None
    markdown_file: Path | None = None
    junit_file: Path | None = None
    report: Path | None = None
    waivers: Path | None = None

    def check(self) -> tuple[Waiver, ...]:
        """Refuse, before anything is measured for them, files that cannot be written, and waivers that cannot be read.

        Returns
        -------
        tuple of Waiver
            Read now, as the file may be another one when the decision has fallen.

        Raises
        ------
        UsageError
            Naming the file.
        """
        for path in (self.json_file, self.markdown_file, self.junit_file):
            if path is not None:
                check_target(path)
        if self.report is not None:
            from ics_bench.report.site import check_replaceable

            check_replaceable(self.report)
        return load_waivers(self.waivers) if self.waivers is not None else ()


def show(decisions: Iterable[Decision], where: Iterable[Outputs], waivers: Sequence[Waiver]) -> list[int]:
    """Print decisions, write each wherever it was asked for, and return the exit codes.

    In a job of GitHub's, its summary gets the Markdown too.

    Raises
    ------
    UsageError
        If something could not be written, once everything else is.
    """
    codes, errors = [], []
    for decision, outputs in zip(decisions, where, strict=True):
        decision = accept(decision, waivers)
        click.echo(decision_text(decision))
        written, failed = _write(decision, outputs)
        for name, file in written.items():
            click.echo(f"{name:9}{printable(str(file))}")
        codes.append(decision.exit_code)
        errors += failed
    if errors:
        raise errors[0]
    return codes


@contextmanager
def refusals_written(base: str, head: str, *where: Outputs) -> Iterator[None]:
    """Write why nothing was decided wherever the decision was asked for, so that no earlier one stands there for it."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        reason = f"{error}" if isinstance(error, UsageError) else f"unexpected {type(error).__name__}: {error}"
        if isinstance(error, KeyboardInterrupt):
            reason = "interrupted: nothing is decided"
        said = error.said if isinstance(error, SideError) else ()
        decision = Decision(base, head, (), failures=(reason,), said=said)
        for outputs in where:
            _write(decision, outputs)  # where that fails, why nothing was decided is still what there is to say
        raise


def _write(decision: Decision, outputs: Outputs) -> tuple[dict[str, Path], list[UsageError]]:
    """Write a decision wherever it was asked for; return what was written, and the errors of what could not be."""
    written: dict[str, Path] = {}
    errors: list[UsageError] = []
    for name, write in _writers(outputs).items():
        try:
            file = write(decision)
        except UsageError as error:
            errors.append(error)
        else:
            if file is not None:
                written[name] = file
    return written, errors


def _writers(outputs: Outputs) -> dict[str, Callable[[Decision], Path | None]]:
    def to_file(path: Path | None, render: Callable[[Decision], bytes]) -> Callable[[Decision], Path | None]:
        return lambda decision: path and write_file(path, render(decision)) and path

    def to_page(decision: Decision) -> Path | None:
        if outputs.report is None:
            return None
        from ics_bench.report.gate import write_decision

        return write_decision(decision, outputs.report)

    return {
        "summary": append_summary,
        "json": to_file(outputs.json_file, encode),
        "markdown": to_file(outputs.markdown_file, lambda decision: markdown(decision).encode()),
        "junit": to_file(outputs.junit_file, junit),
        "report": to_page,
    }


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
            *(["failures", *map(printable, decision.failures), ""] if decision.failures else []),
            *(["warnings", *map(printable, decision.warnings), ""] if decision.warnings else []),
            *(f"{printable(name)}: {printable(value)}" for name, value in decision.facts.items()),
            f"{headline(decision)}; exit code {decision.exit_code}: {EXIT_CODES[decision.exit_code]}",
        ]
    )


def _why(row: Row) -> str:
    return "; ".join([row.reason, *row.others, *row.notes])
