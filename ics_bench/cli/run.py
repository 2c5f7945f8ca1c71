"""``ics-bench run``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ics_bench.cli.main import exit_codes
from ics_bench.cli.outcome import measure, print_account, print_tables, write_report
from ics_bench.core import Scalar, UsageError
from ics_bench.execution.executors import parse_executor
from ics_bench.execution.plan import Settings
from ics_bench.execution.session import default_folder, resume, start

SHORTHANDS = {"norm": "norm", "model": "architecture"}
"""Options that stand for a case key."""

HELP = f"""Measure workloads and print their tables.

WORKLOAD is a name from `ics-bench list workloads` or module:attribute. Without one, every built-in workload
runs that has the case keys named. An option that picks values replaces the profile's values of that key.

Records are kept case by case. A run that ended early is finished with `ics-bench run --resume --out DIR`.

\b
{exit_codes("0", "2", "129, 130, 143", "141")}"""


@click.command(help=HELP)
@click.argument("workloads", nargs=-1, metavar="[WORKLOAD]...")
@click.option("--profile", default="quick", show_default=True, metavar="quick|standard|full", help="How much.")
@click.option("--norm", multiple=True, metavar="NAME|module:attr", help="Normalization layer; repeat for several.")
@click.option("--model", multiple=True, metavar="NAME|module:factory", help="Architecture; repeat for several.")
@click.option("--case", "cases", multiple=True, metavar="KEY=VALUE", help="Value of a case key; repeat for several.")
@click.option("--seeds", type=int, metavar="N", help="Number of seeds; each profile has its own.")
@click.option("--first-seed", type=int, default=0, show_default=True, help="Seeds are counted from here.")
@click.option("--device", default="cpu", show_default=True, metavar="cpu|cuda")
@click.option(
    "--executor", default="local", show_default=True, metavar="inline|local[:N]", help="In how many processes."
)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="Folder to make [default: runs/TIME-PROFILE]."
)
@click.option("--resume", "resumed", is_flag=True, help="Finish the run in --out.")
@click.option("--report", is_flag=True, help="Write DIR/report/index.html too.")
@click.pass_context
def command(
    context: click.Context, /, executor: str, out: Path | None, resumed: bool, report: bool, **options: Any
) -> int:
    """Start or resume a run, measure, and give an account of it."""
    performing = parse_executor(executor)
    overrides = parse_overrides(options.pop("cases"), {name: options.pop(name) for name in SHORTHANDS})
    given = {
        name: value
        for name, value in options.items()
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT and value != ()
    }
    if overrides:
        given["overrides"] = overrides
    if resumed and out is None:
        raise UsageError("--resume needs --out DIR, the folder of the run to finish")
    if resumed and out is not None:
        session = resume(out, given)
    else:
        session = start(Settings(**given), out or default_folder(options["profile"]))
    with session:
        run = measure(session, performing)
    print_tables(run)
    print_account(run)
    if report:
        write_report([run], run.folder / "report")
    return 2 if run.failed else 0


def parse_overrides(cases: tuple[str, ...], shorthands: dict[str, tuple[str, ...]]) -> dict[str, tuple[Scalar, ...]]:
    """Turn ``KEY=VALUE`` texts and the options that stand for a key into values by key.

    Raises
    ------
    UsageError
        If a text has no key or no value.
    """
    found: dict[str, list[Scalar]] = {}
    for name, values in shorthands.items():
        if values:
            found.setdefault(SHORTHANDS[name], []).extend(values)
    for text in cases:
        key, equals, value = text.partition("=")
        if not (key.strip() and equals and value.strip()):
            raise UsageError(f"--case {text!r} is not KEY=VALUE; for example --case depth=10")
        found.setdefault(key.strip(), []).append(value.strip())
    return {key: tuple(values) for key, values in found.items()}
