"""``ics-bench report``."""

from __future__ import annotations

from pathlib import Path

import click

from ics_bench.cli.outcome import write_report
from ics_bench.results.run import Run


@click.command()
@click.argument("folders", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="DIR")
def command(folders: tuple[Path, ...], out: Path) -> None:
    """Write an HTML page about one or more runs, which opens offline in any browser.

    An earlier report in DIR is replaced; anything else there is left alone.
    """
    write_report([Run.open(folder) for folder in folders], out)
