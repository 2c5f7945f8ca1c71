"""``ics-bench doctor``."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from ics_bench.cli.text import table
from ics_bench.execution.doctor import examine


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> int:
    """Say what this machine can measure, what is missing and how to get it.

    Exits 2 if something is missing without which nothing can be measured.
    """
    findings = examine()
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=1, allow_nan=False))
    else:
        click.echo(table(("", "", "found, or needed for"), [[f.name, f.state, f.found] for f in findings]))
        todo = [finding for finding in findings if finding.remedy]
        if todo:
            click.echo(f"\n{table(('', 'how to get it'), [[f.name, f.remedy] for f in todo])}")
    return 2 if any(finding.required and finding.state == "missing" for finding in findings) else 0
