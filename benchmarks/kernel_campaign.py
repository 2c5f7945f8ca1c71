"""Every kernel of ours checked, then raced against its rivals over a table of shapes, in one go.

``python benchmarks/kernel_campaign.py --device cuda --json FILE`` needs a GPU; ``--device cpu`` races PyTorch's kernels
over a few shapes. First correctness: every norm, direction, dtype and layout, on awkward shapes and adversarial inputs.
Then the table: on each problem, every provider that can run it and is right, interleaved with a copy of as many bytes.
FILE is written anew after each problem, and what it holds already, of the same commit, machine and versions, is not
measured again. The slowest beside a rival come last, where they are seen. Exits 1 where a kernel of ours is wrong or
did not run, and 2 where the arguments are of no use; what rivals get wrong is told, and no failure.

float16 is checked, and raced only if asked for: it moves the bytes that bfloat16 does, through the same kernels.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from ics_bench.core import UsageError
from ics_bench.core.environment import differences, fingerprint
from ics_bench.kernels import PROVIDERS
from ics_bench.kernels.capacity import free_bytes, on_chip_bytes, release, vendor_bandwidth
from ics_bench.kernels.clock import overhead_seconds
from ics_bench.kernels.provider import Provider, load_provider
from ics_bench.kernels.race import Race, Row, fits, name_of
from ics_bench.kernels.rotation import MEBIBYTE
from ics_bench.kernels.score_table import legend, lines, markdown
from ics_bench.kernels.shapes import small_table, variants, whole_table
from ics_bench.kernels.spec import DTYPE_BYTES, KERNEL_NORMS, ROW_NORMS, Problem
from ics_bench.results.files import check_target, write_file

OURS = frozenset({"cuda"})
"""Providers that this project answers for."""

CHECKED = {"cuda": "cuda", "cpu": "torch_eager"}
"""Whose kernels are checked throughout and compared with the rest: on a processor there are none of ours."""

RIVALS = {
    "cuda": ("cuda", "torch_eager", "torch_compile", "liger", "quack", "apex", "cupy_arrays", "cupy_reduction"),
    "cpu": ("torch_eager", "torch_compile"),
}
AWKWARD_ROWS = ((1, 1), (70, 8), (9, 500), (7, 2040), (3, 2041), (5, 5120), (2, 16384), (2, 70000), (2, 131072))
AWKWARD_MAPS = ((3, 16, 5, 7), (2, 8, 17, 24), (5, 24, 1, 1), (2, 64, 3, 3), (1, 4, 64, 32), (2, 6, 2, 4, 8))

MEMORY_BYTES = {"cuda": 2**36, "cpu": 2**29}
SEED = 20250


def checked_problems() -> Iterator[Problem]:
    """List what our kernels are checked on."""
    for dtype in DTYPE_BYTES:
        for norm in KERNEL_NORMS:
            shapes: Sequence[tuple[int, ...]] = AWKWARD_ROWS if norm in ROW_NORMS else AWKWARD_MAPS
            for shape in (*shapes, *([(33, 17), (130, 64)] if norm == "batch" else [])):
                for layout in ("contiguous", "channels_last") if len(shape) > 3 else ("contiguous",):
                    for direction in ("forward", "backward"):
                        problem = Problem(norm, direction, shape, dtype, groups=2, layout=layout)  # type: ignore[arg-type]
                        if norm != "batch" or problem.elements > problem.num_features:
                            yield problem
                        if norm == "batch":
                            yield replace(problem, training=False)
                        yield from variants(problem)


def check_throughout(name: str, device: str, only: re.Pattern[str]) -> list[dict[str, Any]]:
    """Check a provider's kernels throughout; return what is wrong or could not be run."""
    from ics_bench.kernels.check import check

    provider, failures, count = load_provider(name), [], 0
    for problem in checked_problems():
        if not only.search(name_of(problem)) or (name not in OURS and provider.why_not(problem, device) is not None):
            continue
        count += 1
        try:
            verdict = check(provider, problem, SEED, device)
        except Exception as error:  # one kernel that cannot be launched must not hide the others
            failures.append({"problem": name_of(problem), "error": repr(error)})
            continue
        if verdict.unchecked is not None:
            failures.append({"problem": name_of(problem), "error": f"could not be checked: {verdict.unchecked}"})
        elif not verdict.correct:
            over = verdict.error_over_bound
            known = over if math.isfinite(over) else "inf"
            failures.append({"problem": name_of(problem), "worst": verdict.worst, "over": known})
    click.echo(f"{name}: {count} problems checked, {len(failures)} wrong")
    for failure in failures:
        click.echo(f"  {failure}")
    return failures


def kept_so_far(path: Path | None, now: dict[str, Any]) -> dict[str, Any]:
    """Return what an earlier campaign of the same settings left in its file; nothing where there is no file.

    Raises
    ------
    click.UsageError
        If the file is no campaign's, or of another one.
    """
    if path is None or not path.exists():
        return {}
    try:
        found = json.loads(path.read_text())
        rows = [Row.from_json(row) for row in found["table"]]
        was, settings = found["environment"], {name: found.get(name) for name in now if name != "environment"}
        apart = differences(was, now["environment"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise click.UsageError(f"--json {str(path)!r} is no campaign's: {error!r}; name another file") from error
    apart += [f"{name}: {settings[name]} then, {now[name]} now" for name in settings if settings[name] != now[name]]
    if apart:
        raise click.UsageError(f"--json {str(path)!r} is of another campaign ({'; '.join(apart)}); name another file")
    return {**found, "table": rows}


def circumstances(campaign: dict[str, Any], rows: Sequence[Row]) -> str:
    """Say on what it was measured, and what share of the shortest time the suite's own clock takes."""
    environment = campaign["environment"]
    on_gpu = campaign["device"] == "cuda"
    machine = ", ".join(environment["gpu"]) if on_gpu else f"{environment['cpu']}, {campaign['threads']} threads"
    said = f"On {machine}; {campaign['on_chip_bytes'] / MEBIBYTE:.3g} MiB are on chip for the roofs."
    times = [one.time for row in rows for one in row.scores if one.time is not None]
    if "clock_seconds" not in campaign or not times:
        return said
    own = campaign["clock_seconds"]
    return f"{said} Reading the clock takes {own * 1e9:.0f} ns, {own / min(times):.2%} of the shortest kernel's time."


def show(rows: Sequence[Row], first: str) -> None:
    """Print a line for each provider and problem; the problems where ``first`` loses most come last."""

    def ratio(row: Row) -> float:
        return next((one.rival_ratio or 1.0 for one in row.scores if one.provider == first), 0.0)

    ranked = sorted(rows, key=ratio, reverse=True)
    for name, *cells in lines((name_of(row.problem), row.scores) for row in ranked):
        click.echo(" ".join(f"{cell:>14}" for cell in cells) + f"  {name}")
    explained = legend(one for row in rows for one in row.scores)
    if explained:
        click.echo(f"doubts: {explained}")


def _pattern(context: click.Context, parameter: click.Parameter, value: str) -> re.Pattern[str]:
    try:
        return re.compile(value)
    except re.error as error:
        raise click.BadParameter(
            f"{value!r} is no regular expression: {error}; put \\ before what it is to find"
        ) from error


def _providers(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> dict[str, Provider]:
    try:
        return {PROVIDERS.canonical(name): load_provider(name) for name in value}
    except UsageError as error:
        raise click.BadParameter(str(error)) from error


def _target(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    try:
        return None if value is None else check_target(value)
    except UsageError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.option("--device", type=click.Choice(["cuda", "cpu"]), default="cuda", show_default=True)
@click.option("--table", "which", type=click.Choice(["small", "whole"]), help="[default: whole on a GPU, else small]")
@click.option("--dtype", "dtypes", multiple=True, type=click.Choice(list(DTYPE_BYTES)),
              help="Repeat for several [default: bfloat16 and float32].")  # fmt: skip
@click.option("--provider", "chosen", multiple=True, callback=_providers,
              help="Repeat for several [default: all that are installed].")  # fmt: skip
@click.option("--only", default="", metavar="REGEX", callback=_pattern,
              help="Problems, as in 'layer backward bfloat16 4096x1024'.")  # fmt: skip
@click.option("--minutes", type=float, default=25.0, show_default=True, help="Start no problem after this time.")
@click.option("--check/--no-check", "checking", default=True, show_default=True, help="Check ours throughout first.")
@click.option("--adversarial", "tried", type=click.Choice(["all", "ours"]), default="all", show_default=True,
              help="Who sees adversarial inputs: all, or whose kernels are checked throughout.")  # fmt: skip
@click.option("--json", "json_file", type=click.Path(path_type=Path), callback=_target,
              help="Write everything here; go on with what is here already.")  # fmt: skip
@click.option("--markdown", "markdown_file", type=click.Path(path_type=Path), callback=_target,
              help="Write the table here.")  # fmt: skip
def main(
    device: str,
    which: str | None,
    dtypes: tuple[str, ...],
    chosen: dict[str, Provider],
    only: re.Pattern[str],
    minutes: float,
    checking: bool,
    tried: str,
    json_file: Path | None,
    markdown_file: Path | None,
) -> None:
    """Check, race, print, keep."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise click.UsageError("torch sees no CUDA device; --device cpu races PyTorch's kernels")
    start = time.monotonic()
    providers = chosen or {name: load_provider(name) for name in RIVALS[device]}
    on_chip = on_chip_bytes(device)
    now = {
        "environment": fingerprint(),
        "seed": SEED,
        "device": device,
        "threads": torch.get_num_threads(),
        "on_chip_bytes": on_chip,
        "memory_bytes": MEMORY_BYTES[device],
        "providers": list(providers),
        "adversarial": tried,
    }
    before = kept_so_far(json_file, now)
    failures = before.get("failures") if before.get("checked") == only.pattern else None
    if failures is None and checking:
        failures = check_throughout(CHECKED[device], device, only)
    rows: list[Row] = before.get("table", [])
    left_out: list[dict[str, str]] = []
    created = before.get("created", datetime.now(UTC).isoformat(timespec="seconds"))
    clock = {"clock_seconds": overhead_seconds()} if device == "cpu" else {}  # on a GPU, its own events are read

    def save() -> None:
        if json_file:
            checked = {name: before[name] for name in ("checked", "failures") if name in before}
            if failures is not None:
                checked = {"checked": only.pattern, "failures": failures}
            raced = [row.as_json() for row in rows]
            found = {"created": created, **now, **clock, **checked, "table": raced, "left_out": left_out}
            write_file(json_file, (json.dumps(found, indent=1, allow_nan=False) + "\n").encode())

    save()
    whole = (which or ("whole" if device == "cuda" else "small")) == "whole"
    problems = (whole_table if whole else small_table)(dtypes or ("bfloat16", "float32"))
    done = {row.problem for row in rows}
    wanted = [problem for problem in problems if only.search(name_of(problem)) and problem not in done]
    race = Race(
        providers,
        device,
        SEED,
        MEMORY_BYTES[device],
        on_chip,
        vendor_bandwidth(device),
        None if tried == "all" else OURS,
    )
    for place, problem in enumerate(wanted):
        release(device)
        late = time.monotonic() - start > 60 * minutes
        if late or not fits(problem, free_bytes(device), race.arms(problem)):
            left_out.append({"problem": name_of(problem), "why": "out of time" if late else "out of memory"})
            continue
        click.echo(f"{place + 1}/{len(wanted)} {name_of(problem)}", err=True)
        rows.append(race.run(problem))
        save()
    save()
    show(rows, CHECKED[device])
    if markdown_file:
        text = markdown((name_of(row.problem), row.scores) for row in rows)
        write_file(markdown_file, f"{text}\n{circumstances({**now, **clock}, rows)}\n".encode())
    click.echo(f"{len(rows)} problems, {len(left_out)} left out")
    click.echo(circumstances({**now, **clock}, rows))
    faults = [f"{name_of(row.problem)}: {fault}" for row in rows for fault in row.faults(OURS)]
    for fault in faults:
        click.echo(f"ours: {fault}")
    known = before.get("failures") if failures is None else failures
    if faults or (known and CHECKED[device] in OURS):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
