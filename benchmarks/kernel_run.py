"""Campaigns as a run, for ``ics-bench report``, ``show`` and ``export``.

``python benchmarks/kernel_run.py FILE... --out RUN`` takes what ``kernel_campaign.py --json`` wrote in one environment.
Where two files have the same problem and provider, the last counts. A kernel that is wrong has its error and no times,
one that could not be timed has its error and a warning that says why, and who declines a problem is skipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ics_bench.core import Case, CaseRecord, Measurement, UsageError
from ics_bench.core.environment import differences
from ics_bench.execution.plan import Settings, declarations_of
from ics_bench.kernels.race import Row, name_of
from ics_bench.kernels.rotation import MEBIBYTE
from ics_bench.kernels.scores import ALLOCATING_COPY_TRANSFERS, COPY_TRANSFERS, Score
from ics_bench.kernels.spec import Problem
from ics_bench.results import store
from ics_bench.workloads.kernel_throughput import VARIANTS, WORKLOAD

STATE = {
    "gpu_clock": "clock_mhz",
    "gpu_memory_clock": "memory_clock_mhz",
    "gpu_power": "power_watts",
    "gpu_temperature": "temperature_celsius",
}
ALIKE = {"device": None, "seed": None, "threads": None, "on_chip_bytes": None, "adversarial": "all"}
"""What campaigns must have in common, with what older files mean that do not say it."""

SCORED = (
    "time", "time_low", "time_high", "bandwidth", "working_set", "copy_bandwidth", "copy_share", "bus_share",
    "roof_share", "vendor_share",
)  # fmt: skip


def case_of(problem: Problem, provider: str, memory_bytes: int) -> Case:
    """Name a problem and a provider as the workload does.

    Raises
    ------
    UsageError
        If it has other groups than the workload's group norm takes.
    """
    from ics_bench.subjects.norms.group import group_count  # imports torch, which asv need not to find benchmarks

    if problem.norm == "group" and problem.groups != (taken := group_count(problem.num_features)):
        raise UsageError(
            f"{name_of(problem)} has {problem.groups} groups and the workload {taken}: leave that file out"
        )
    variant = next((mode for mode, options in VARIANTS.items() if set(options) == set(problem.options)), "train")
    return Case.of(
        {
            "norm": problem.norm,
            "direction": problem.direction,
            "mode": variant if problem.training else "eval",
            "dtype": problem.dtype,
            "shape": "x".join(map(str, problem.shape)),
            "layout": problem.layout,
            "provider": provider,
            "memory_mib": memory_bytes // MEBIBYTE,
        }
    )


def measurements_of(case: Case, seed: int, score: Score) -> Iterator[Measurement]:
    """Give a score's numbers as the workload's measurements."""
    said = score.warnings
    yield WORKLOAD.measurement(case, seed, "error_over_bound", score.error_over_bound, warnings=said)
    values = {name: getattr(score, name) for name in SCORED}
    values |= {name: getattr(score.state, field) for name, field in STATE.items() if score.state is not None}
    if score.bus_share is not None and score.copy_bandwidth is not None:
        values["bus_bandwidth"] = score.copy_bandwidth * ALLOCATING_COPY_TRANSFERS / COPY_TRANSFERS
    for name, value in values.items():
        if value is not None:
            yield WORKLOAD.measurement(case, None, name, float(value), warnings=said)


def records_of(campaign: dict[str, Any]) -> Iterator[CaseRecord]:
    """Give every provider's outcome on every problem of a campaign."""
    seed = campaign["seed"]
    for row in map(Row.from_json, campaign["table"]):
        for score in row.scores:
            case = case_of(row.problem, score.provider, campaign["memory_bytes"])
            if score.provider in row.cannot:
                said = (*score.warnings, f"not timed: {row.cannot[score.provider]}")
                score = replace(score, warnings=said)
            found = tuple(measurements_of(case, seed, score))
            yield CaseRecord(WORKLOAD.name, WORKLOAD.version, case, (seed,), "measured", measurements=found)
        scored = {score.provider for score in row.scores}
        for provider, reason in row.cannot.items():
            if provider not in scored:
                case = case_of(row.problem, provider, campaign["memory_bytes"])
                yield CaseRecord(WORKLOAD.name, WORKLOAD.version, case, (seed,), "skipped", reason)


def read(files: tuple[Path, ...]) -> list[dict[str, Any]]:
    """Read campaigns of one environment and the same settings.

    Raises
    ------
    click.UsageError
        If a file is no campaign's, or of another one than the first.
    """
    found: list[dict[str, Any]] = []
    for path in files:
        try:
            campaign = json.loads(path.read_text())
            first = found[0] if found else campaign
            apart = differences(first["environment"], campaign["environment"])
            apart += [
                f"{name}: {was!r} then, {is_now!r} now"
                for name, usual in ALIKE.items()
                if (was := first.get(name, usual)) != (is_now := campaign.get(name, usual))
            ]
            list(records_of(campaign))
        except UsageError as error:
            raise click.UsageError(f"{str(path)!r}: {error}") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise click.UsageError(f"{str(path)!r} is no campaign's: {error!r}; name what --json wrote") from error
        if apart:
            raise click.UsageError(
                f"{str(path)!r} is of another campaign than {str(files[0])!r} ({'; '.join(apart)}); make a run of each"
            )
        found.append(campaign)
    return found


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", "folder", required=True, type=click.Path(path_type=Path), help="The run's folder, a new one.")
def main(files: tuple[Path, ...], folder: Path) -> None:
    """Read, put together, write."""
    campaigns = read(files)
    records = {record.key: record for campaign in campaigns for record in records_of(campaign)}
    first = campaigns[0]
    settings = Settings((WORKLOAD.name,), "full", seeds=1, first_seed=first["seed"], device=first["device"])
    dates = sorted(campaign["created"] for campaign in campaigns if "created" in campaign)
    declared = declarations_of(settings, ())
    declared[WORKLOAD.name]["seeds"] = [first["seed"]]
    tried = " --adversarial ours" if first.get("adversarial") == "ours" else ""
    header = {
        "settings": settings.as_json(),
        "environment": first["environment"],
        "created": dates[0] if dates else None,
        "finished": None,
        "sessions": [],
        "workloads": declared,
        "plan": list(records),
        "made_by": f"python benchmarks/kernel_campaign.py --device {first['device']}{tried} --json FILE",
    }
    try:
        store.create_folder(folder, header)
        with store.Writer(folder) as writer:
            for record in records.values():
                writer.append(record)
    except UsageError as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"{len(records)} cases in {folder}; a page of them: ics-bench report {folder} --out DIR")


if __name__ == "__main__":
    main()
