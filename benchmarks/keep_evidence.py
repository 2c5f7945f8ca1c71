"""Reduces a run to what the claims read of it, for ``reports/claims``.

``python benchmarks/keep_evidence.py RUN FOLDER`` writes the run again, without the metrics and the curves that no claim
reads. The tests judge every claim on the evidence that is kept there, and measure a slice of it again.
"""

from __future__ import annotations

from pathlib import Path

import click

from ics_bench.claims import as_evidence, load_catalogue
from ics_bench.core import UsageError
from ics_bench.results.run import Run
from ics_bench.results.store import LOCK_FILE, Writer, create_folder


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("folder", type=click.Path(path_type=Path))
def main(run: Path, folder: Path) -> None:
    """Reduce a run."""
    try:
        whole = Run.open(run)
        if not whole.complete or whole.failed:
            raise UsageError(f"{str(run)!r} is not complete; finish it with ics-bench run --resume --out {run}")
        catalogue = load_catalogue()
        create_folder(folder, whole.header)
        with Writer(folder) as writer:
            for record in whole.records:
                writer.append(as_evidence(catalogue, record))
        (folder / LOCK_FILE).unlink()
    except UsageError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{len(whole.records)} cases, {sum(file.stat().st_size for file in folder.iterdir()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
