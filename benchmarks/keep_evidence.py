"""Reduces a run to what the claims read of it, for ``reports/claims``.

``python benchmarks/keep_evidence.py RUN FOLDER [--leave-out ID]... [--with METRIC]...`` writes a run that was made for
claims again, without the metrics and the curves that none of them reads, those of ``--with`` apart, and without the
cases that only claims left out need. The run must come from a clean commit. The tests judge every claim on the evidence
that is kept there, and measure a slice of it again.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from ics_bench.claims import as_evidence, load_catalogue, select
from ics_bench.core import UsageError
from ics_bench.results.run import Run
from ics_bench.results.store import LOCK_FILE, Writer, create_folder


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--leave-out", "left_out", multiple=True, metavar="ID", help="A claim whose evidence another run holds.")
@click.option("--with", "beside", multiple=True, metavar="METRIC", help="Keep this metric too, without its curve.")
def main(run: Path, folder: Path, left_out: tuple[str, ...], beside: tuple[str, ...]) -> None:
    """Reduce a run."""
    try:
        whole = Run.open(run)
        if not whole.complete:
            raise UsageError(f"{str(run)!r} is not complete; finish it with ics-bench run --resume --out {run}")
        if whole.environment["source"]["dirty"]:
            raise UsageError(f"{str(run)!r} was measured with uncommitted changes; commit them and measure again")
        catalogue = load_catalogue()
        without = {claim.id for claim in select(catalogue, left_out)} if left_out else set()
        ids = [name for name in whole.settings["claims"] if name not in without]
        if not ids:
            raise UsageError(
                f"{str(run)!r} is the evidence for no claim; measure with ics-bench claims ID ... --out DIR"
            )
        claims = select(catalogue, ids)
        kept = [found for record in whole.records if (found := as_evidence(claims, record, beside)).measurements]
        plan = [record.key for record in kept]
        fresh = folder.with_name(f"{folder.name}.new")
        create_folder(fresh, {**whole.header, "settings": {**whole.settings, "claims": ids}, "plan": plan})
        with Writer(fresh) as writer:
            for record in kept:
                writer.append(record)
        (fresh / LOCK_FILE).unlink()
        if folder.exists():
            Run.open(folder)  # nothing but a run is replaced
            shutil.rmtree(folder)
        fresh.rename(folder)
    except UsageError as error:
        raise click.ClickException(str(error)) from error
    size = sum(file.stat().st_size for file in folder.iterdir())
    click.echo(f"{len(claims)} claims, {len(kept)} of {len(whole.records)} cases, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
