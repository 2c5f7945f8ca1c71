"""How deep the systems of each era train in the kept evidence, and at what cost, as a page of Markdown.

``python benchmarks/historical_systems.py RUN... [--out FILE]`` reads the cases of ``eras`` and ``transformer_depth``
from runs such as those in ``reports/claims``. A case that stands in several runs is taken from the first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median_high

import click

from ics_bench.core import CaseRecord, UsageError
from ics_bench.results.files import check_target, write_file
from ics_bench.results.run import Run

HEAD = """# How deep the systems of each era train

Made of the kept evidence by `python benchmarks/historical_systems.py reports/claims/*/`. The historical nets have the
depths of their papers, and all are narrower. *Trained*: seeds that reach the target. *Steps* lead to the target, upper
median of the seeds that reach it. *Measured in*: one process for all seeds, the search for the rate included.
"""

SYSTEMS = """
## Perceptrons and convolutional nets

8×8 digits, to 80 % of the training set within 200 steps of 64 samples, at each system's best of seven rates;
`sigmoid_same_steps` has those of the belief net's pre-training besides. The operations are those of the matrix products
of these steps, without the steps before them.

| system | depth | trained | steps | steps before | rate | MFLOP a step | GFLOP to target | measured in |
|---|---:|---:|---:|---:|---:|---:|---:|---:|
"""

TRANSFORMERS = """
## Transformers

Shift-copy, to the workload's target, at the rates that the claims ask for.

| placement | blocks | rate | steps of warm-up | trained | steps | measured in |
|---|---:|---:|---:|---:|---:|---:|
"""


def page(records: Sequence[CaseRecord]) -> str:
    """Lay out what the records hold, a row a case."""
    return "".join([HEAD, SYSTEMS, *_systems(records), TRANSFORMERS, *_transformers(records)])


def _systems(records: Sequence[CaseRecord]) -> Iterator[str]:
    found = [record for record in records if record.workload == "eras" and record.case["depths"] == "one"]
    for record in sorted(found, key=lambda record: (record.case.text("system"), record.case.integer("depth"))):
        steps, flops = _reached(record), _shared(record, "flops_per_step")
        yield _row(
            f"`{record.case['system']}`",
            record.case["depth"],
            _successes(record),
            _number(steps, ".0f"),
            _number(_shared(record, "steps_before_start"), ".0f"),
            _number(_shared(record, "best_learning_rate"), ".2g"),
            _number(flops / 1e6, ".3g"),
            _number(flops * steps / 1e9, ".2g"),
            f"{record.seconds:.0f} s",
        )


def _transformers(records: Sequence[CaseRecord]) -> Iterator[str]:
    found = [record for record in records if record.workload == "transformer_depth"]
    keys = ("architecture", "norm", "blocks", "learning_rate", "warmup")
    for record in sorted(found, key=lambda record: [record.case[key] for key in keys]):
        yield _row(
            f"`{record.case['architecture']}` with `{record.case['norm']}`",
            record.case["blocks"],
            record.case["learning_rate"],
            record.case["warmup"],
            _successes(record),
            _number(_reached(record), ".0f"),
            f"{record.seconds:.0f} s",
        )


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |\n"


def _values(record: CaseRecord, metric: str) -> list[float]:
    found = [m.value for m in record.measurements if m.metric == metric]
    if not found:
        raise UsageError(f"{record.key} holds no {metric}; keep it with benchmarks/keep_evidence.py --with {metric}")
    return found


def _shared(record: CaseRecord, metric: str) -> float:
    (value,) = _values(record, metric)
    return value


def _reached(record: CaseRecord) -> float:
    """Return the steps to the target, upper median over the seeds that reach it; NaN where none does."""
    finite = [steps for steps in _values(record, "steps_to_target") if math.isfinite(steps)]
    return median_high(finite) if finite else math.nan


def _successes(record: CaseRecord) -> str:
    steps = _values(record, "steps_to_target")
    return f"{sum(map(math.isfinite, steps))} of {len(steps)}"


def _number(value: float, form: str) -> str:
    return "–" if math.isnan(value) else f"{value:{form}}"


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write it here.  [default: stdout]")
def main(runs: tuple[Path, ...], out: Path | None) -> None:
    """Lay out the systems of each era."""
    try:
        if out is not None:
            check_target(out)
        records: dict[tuple[str, str], CaseRecord] = {}
        for folder in runs:
            for record in Run.open(folder).measured:
                records.setdefault((record.workload, record.case.id), record)
        text = page(list(records.values()))
        if out is None:
            click.echo(text, nl=False)
        else:
            write_file(out, text.encode())
    except UsageError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
