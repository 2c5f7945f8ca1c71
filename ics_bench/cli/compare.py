"""``ics-bench compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ics_bench.cli.decided import EXIT_CODES_HELP, Outputs, outputs, refusals_written, show
from ics_bench.core import UsageError

HELP = f"""Decide what changed from BASE to HEAD, two stored results of one suite.

Each is the folder of a run, one commit's JSON file of asv, or JSON of pytest-benchmark; both of one tool, since each
names and stores benchmarks its own way. Convergence metrics are compared exactly, then paired by seed. Timings were not
interleaved: they must differ by more than 10 % within their samples, and a drift of the machine looks the same; two
single numbers decide nothing. ics-bench gate measures anew.

{EXIT_CODES_HELP}"""


@click.command(help=HELP)
@click.argument("base", type=click.Path(path_type=Path))
@click.argument("head", type=click.Path(path_type=Path))
@click.option(
    "--better",
    multiple=True,
    metavar="[REGEX=]WAY",
    help="Which way is better, lower or higher, in files of other tools; for all benchmarks, or those that match.",
)
@click.option("--exact", multiple=True, metavar="REGEX", help="Numbers of asv's that are deterministic.")
@outputs
def command(base: Path, head: Path, better: tuple[str, ...], exact: tuple[str, ...], **written: Any) -> int:
    """Compare two stored results."""
    from ics_bench.gate.stored import Directions, compare, read

    files = Outputs(**written)
    with refusals_written(str(base), str(head), files):
        waivers = files.check()
        directions = Directions.parse(better, exact)
        sides = read(base, directions), read(head, directions)
        if directions:
            foreign = [side for side in sides if side.source != "ics-bench"]
            if not foreign:
                raise UsageError(
                    "--better and --exact are for files of other tools; runs say themselves which way is better"
                )
            directions.check_used([entry.benchmark.name for side in foreign for entry in side.entries])
        decision = compare(*sides)
    return show([decision], [files], waivers)[0]
