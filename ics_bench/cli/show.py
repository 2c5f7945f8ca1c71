"""``ics-bench show``."""

from __future__ import annotations

from pathlib import Path

import click

from ics_bench.cli.outcome import print_account, print_tables
from ics_bench.core import unknown
from ics_bench.results.run import Run


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("workload", required=False)
def command(folder: Path, workload: str | None) -> None:
    """Print the tables of the run in folder RUN, of all its workloads or of one."""
    run = Run.open(folder)
    if workload is not None and workload not in run.workloads:
        raise unknown(f"workload in {str(folder)!r}:", workload, run.workloads)
    print_tables(run, workload)
    print_account(run)
