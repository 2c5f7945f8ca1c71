"""``ics-bench gate``."""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ics_bench.cli.decided import EXIT_CODES_HELP, Outputs, outputs, refusals_written, show
from ics_bench.cli.group import interrupted_code
from ics_bench.cli.text import printable, table
from ics_bench.core import UsageError
from ics_bench.gate.calibrate import PAIRS, calibrate
from ics_bench.gate.commits import CACHE, Request, SideError, built, gate
from ics_bench.gate.live import Listener
from ics_bench.results.files import check_target

GRAVITY = (1, 2, 3, 0)
"""Exit codes, the one that counts first where two comparisons have different ones."""

WRITTEN = tuple(field.name for field in dataclasses.fields(Outputs))

HELP = f"""Compare two commits, measured now: is HEAD slower, larger or worse than BASE?

Both are checked out and built as the asv.conf.json of the repository says, and the benchmarks of each are run by
fresh processes that take turns. All are screened; what the screen picks is measured again, and only those fresh
measurements decide. What cannot be decided in time is inconclusive, never passed. With --also-since there are two
comparisons, each with an error rate of its own; the second has half of the budget and what the first leaves of the
other half, and what is written of it has -since in its name.

With --calibrate the noise of this machine is recorded instead: BASE, HEAD by default, against itself, quiet and with
one and two busy cores, in rounds while --budget lasts, one at least.

{EXIT_CODES_HELP}"""

OUTPUT = click.Path(path_type=Path)


@click.command(help=HELP)
@click.argument("base", required=False)
@click.argument("head", required=False)
@click.option("--only", metavar="REGEX", help="Only benchmarks whose name, parameters included, matches.")
@click.option(
    "--budget",
    type=float,
    default=30.0,
    show_default=True,
    metavar="MINUTES",
    help="For measuring; building is extra.",
)
@click.option("--also-since", metavar="TAG", help="Compare HEAD with this commit too, such as the last release.")
@click.option("--config", "configuration", metavar="FILE", help="The asv.conf.json, where there are several.")
@click.option(
    "--env", "environment", default="", metavar="SPEC", help="asv's environment, such as existing or virtualenv:3.12."
)
@click.option("--cache", type=OUTPUT, metavar="DIR", help=f"Keep builds here.  [default: {CACHE} in the repository]")
@click.option("--seed", type=int, metavar="N", help="Of the random order of sides and benchmarks.")
@click.option("--calibrate", "recordings", type=OUTPUT, metavar="FILE", help="Record this machine's noise here.")
@click.option("--pairs", type=click.IntRange(min=1), metavar="N", help=f"Of each recording.  [default: {PAIRS}]")
@outputs
def command(
    base: str | None,
    head: str | None,
    also_since: str | None,
    recordings: Path | None,
    pairs: int | None,
    budget: float,
    **options: Any,
) -> int:
    """Compare commits, or record noise."""
    written = {name: options.pop(name) for name in WRITTEN}
    request = Request(minutes=budget, **options)
    if recordings is not None:
        check_target(recordings)
        if any(written.values()):
            raise UsageError("--calibrate decides nothing, so there is nothing else to write")
        if also_since is not None:
            raise UsageError("--calibrate compares one commit with itself; leave --also-since out")
        if head is not None:
            raise UsageError("--calibrate compares one commit with itself; leave HEAD out")
        return _calibrate(base or "HEAD", request, recordings, pairs or PAIRS)
    if base is None or head is None:
        raise UsageError("gate compares two commits; for example ics-bench gate main HEAD")
    if pairs is not None:
        raise UsageError("--pairs is for --calibrate; the gate measures until it knows")
    where = [Outputs(**written)]
    if also_since is not None:
        with refusals_written(base, head, *where):
            where.append(Outputs(**{n: _since(path) if n != "waivers" else path for n, path in written.items()}))
    with _telling(base, head) as (say, listen), refusals_written(base, head, *where):
        waivers, *_ = [each.check() for each in where]  # both name one file of waivers
        decisions = gate(base, head, request, also_since=also_since, say=say, listener=listen)
    return min(show(decisions, where, waivers), key=GRAVITY.index)


def _since(path: Path | None) -> Path | None:
    """Name the file of the second comparison beside that of the first."""
    if path is not None and path.name in ("", ".."):
        raise UsageError(f"--also-since writes a second file beside {str(path)!r}, which has no name; name it")
    return path and path.with_name(f"{path.stem}-since{path.suffix}")


def _calibrate(commit: str, request: Request, file: Path, pairs: int) -> int:
    with (
        _telling(commit, commit) as (say, listen),
        built([("base", commit), ("head", commit)], request, say) as comparison,
    ):
        deadline = time.monotonic() + request.minutes * 60
        base, head = comparison.sides
        ready = comparison.ready(base, head, request, math.inf, listen)
        calibrate(ready, file, pairs, deadline, click.echo)
    click.echo(f"recordings  {printable(str(file))}")
    return 0


@contextmanager
def _telling(base: str, head: str) -> Iterator[tuple[Callable[[str], None], Listener]]:
    """Show on a terminal what is being done; say of every ending why it came."""
    try:
        if not sys.stderr.isatty():
            yield lambda text: None, lambda done, asked, benchmarks: None
            return
        from rich.console import Console
        from rich.markup import escape

        doing = ""
        with Console(stderr=True).status("") as status:

            def say(text: str) -> None:
                nonlocal doing
                doing = escape(printable(text))
                status.update(doing)

            def listen(done: int, asked: int, benchmarks: int) -> None:
                status.update(f"{doing}: pair {done} of {asked}, {benchmarks} benchmarks")

            yield say, listen
    except SideError as error:
        _print_states([(state.role, str(state.commit), state.state) for state in error.states])
        for line in error.said:
            click.echo(f"  | {printable(line)}", err=True)
        raise
    except UsageError as error:
        _print_states([(role, name, f"not measured: {error}") for role, name in (("base", base), ("head", head))])
        raise
    except KeyboardInterrupt as stop:
        click.echo("interrupted: nothing is decided; builds are kept for the next run", err=True)
        raise click.exceptions.Exit(interrupted_code(stop)) from None


def _print_states(states: Sequence[tuple[str, str, str]]) -> None:
    click.echo(f"{table(('side', 'commit', 'state'), states)}\n")
