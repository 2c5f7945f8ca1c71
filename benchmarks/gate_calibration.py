"""How often the gate cries wolf and how often it misses, on recorded noise, next to other rules.

``python benchmarks/gate_calibration.py NOISE [--runs N] [--json FILE]`` replays what ``ics-bench gate --calibrate``
recorded of equal builds: suite runs draw their pairs from a recording in blocks, sides swap at random, and the head
is made slower by a factor. At ×1 and at ×1.03, the largest growth that is no regression, every benchmark is; beyond
that, one a run. The gate's decision is the live one, unchanged. Swaps make signs fair whatever was recorded, so the
gate is replayed without them too: there a side that is slower by itself gives alarms. The other rules get 16 epochs a
side of the same wall times, each epoch a process, which is kinder to them than the samples of one process that they get
in use: all of A before all of B, as two runs of a suite take them, or interleaved.

Rates are means over recordings, with 95 % bootstrap intervals over recordings where those differ.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path

import click

from ics_bench.cli.text import table
from ics_bench.core import UsageError
from ics_bench.core.environment import usable_cores
from ics_bench.core.text import duration
from ics_bench.gate.error_rates import CALM_CV, FACTORS, GATE, Line, Rate, encode_lines, error_rates
from ics_bench.gate.recording import Recording, load_recordings
from ics_bench.gate.replay import noise_cv
from ics_bench.gate.rule import Rule
from ics_bench.results.files import check_target, write_file

Shown = dict[float, Line]


def shown(rate: Rate) -> str:
    """Write a rate in percent, with its interval where there is one."""
    if math.isnan(rate.value):
        return "-"
    ends = "" if math.isnan(rate.interval.low) else f" [{100 * rate.interval.low:.1f}, {100 * rate.interval.high:.1f}]"
    return f"{100 * rate.value:.1f}{ends}"


def rates_table(lines: Sequence[Line], factors: Sequence[float]) -> str:
    """Lay out the rates of every rule under every load, in percent."""
    grouped: dict[tuple[str, str, str], Shown] = {}
    for line in lines:
        grouped.setdefault((line.load, line.rule, line.order), {})[line.factor] = line
    beyond = [factor for factor in factors if factor > 1 + Rule().margin]
    columns = ["load", "rule", "order", *(f"false alarm ×{f:g}" for f in factors if f not in beyond)]
    columns += [f"found ×{f:g}" for f in beyond] + ["missed ×1.1", "open ×1.1", "open run ×1", "pairs ×1"]
    rows = []
    for key, found in grouped.items():
        at, one = found.get(1.1), found.get(1.0)
        rows.append(
            [
                *key,
                *(shown(found[f].alarms) for f in factors if f not in beyond),
                *(shown(found[f].detected) for f in beyond),
                *((shown(at.missed), shown(at.undecided)) if at else (None, None)),
                *((shown(one.open_runs), round(one.pairs)) if one else (None, None)),
            ]
        )
    return table(columns, rows)


def noise_table(recordings: Sequence[Recording]) -> str:
    """Lay out how noisy each load was: standard deviation of log-ratios, median and range over benchmarks."""
    rows = []
    for load in dict.fromkeys(recording.load for recording in recordings):
        found = [r for r in recordings if r.load == load]
        each = [noise_cv(r, name) for r in found for name in r.benchmarks]
        calm = sum(wall <= CALM_CV for wall, _ in each)
        spreads = []
        for values in zip(*each, strict=True):
            known = sorted(value for value in values if not math.isnan(value))
            spreads += [f"{known[len(known) // 2]:.3f} ({known[0]:.3f} to {known[-1]:.3f})" if known else "-"]
        rows.append([load, len(found), sum(r.pairs for r in found), *spreads, f"{calm} of {len(each)}"])
    columns = ("load", "recordings", "pairs", "wall time", "processor time", f"at most {CALM_CV:g}")
    return table(columns, rows)


def _read(noise: Path) -> list[Recording]:
    """Read recordings that a suite run can be drawn from."""
    try:
        recordings = load_recordings(noise)
    except UsageError as error:
        raise click.UsageError(str(error)) from error
    fewest, least = min(recording.pairs for recording in recordings), Rule().screen_pairs
    if fewest < least:
        raise click.UsageError(
            f"{str(noise)!r} has a recording of {fewest} pairs, and the screen takes {least}; "
            f"record with ics-bench gate --calibrate {noise} --pairs {least} or more"
        )
    return recordings


@click.command()
@click.argument("noise", type=click.Path(path_type=Path))
@click.option("--runs", default=200, show_default=True, help="Suite runs for each recording and factor.")
@click.option("--workers", type=int, help="Processes.  [default: cores]")
@click.option("--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write the rates here.")
def main(noise: Path, runs: int, workers: int | None, json_file: Path | None) -> None:
    """Replay recorded noise and print error rates."""
    recordings = _read(noise)
    if json_file is not None:
        check_target(json_file)
    began = time.monotonic()
    lines = error_rates(recordings, runs, Rule(), FACTORS, workers or usable_cores())
    took = duration(time.monotonic() - began)
    click.echo(f"noise: standard deviation of a pair's log-ratio\n\n{noise_table(recordings)}\n")
    click.echo(f"rates in percent, with 95 % intervals over recordings; {runs} suite runs each\n")
    click.echo(f"{rates_table(lines, FACTORS)}\n")
    calm = [line for line in lines if line.calm_detected.recordings and (line.rule, line.order) == GATE]
    for line in calm:
        if line.factor > 1 + Rule().margin:
            rates = (line.calm_detected, line.calm_missed, line.calm_undecided)
            found, missed, undecided = map(shown, rates)
            click.echo(
                f"{line.load}, noise ≤ {CALM_CV:g}, ×{line.factor:g}: found {found}, missed {missed}, open {undecided}"
            )
    click.echo(f"{len(lines)} lines in {took}")
    if json_file is not None:
        content = encode_lines(lines, recordings, Rule())
        write_file(json_file, json.dumps(content, indent=1, allow_nan=False).encode())


if __name__ == "__main__":
    main()
