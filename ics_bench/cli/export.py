"""``ics-bench export``."""

from __future__ import annotations

from pathlib import Path

import click

from ics_bench.cli.text import printable
from ics_bench.core import unknown
from ics_bench.core.text import count
from ics_bench.results.export import FORMATS, export
from ics_bench.results.run import Run


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--format", "kind", required=True, metavar="|".join(FORMATS))
@click.option("--out", "path", required=True, type=click.Path(path_type=Path), metavar="FILE")
def command(folder: Path, kind: str, path: Path) -> None:
    """Write the measurements of the run in folder RUN to one file, a row or an object each.

    An existing FILE is replaced, in one step. Infinite and NaN values stand as text in JSON.
    """
    if kind not in FORMATS:
        raise unknown("format", kind, FORMATS)
    run = Run.open(folder)
    export(run, kind, path)
    found = count(sum(len(record.measurements) for record in run.records), "measurement")
    click.echo(f"{found}  {printable(str(path))}")
    if not run.complete:
        click.echo("warning: the run is not complete; see ics-bench show", err=True)
