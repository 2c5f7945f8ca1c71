"""From what was found about one benchmark to its verdict, its reason and its numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ics_bench.core.text import count
from ics_bench.gate.channels import Channel, channels
from ics_bench.gate.convergence import Finding
from ics_bench.gate.rule import Rule
from ics_bench.gate.series import SIDES, Benchmark, Pair
from ics_bench.gate.trial import WORSE, Trial
from ics_bench.gate.verdict import Reading, Result, Verdict
from ics_bench.stats import Interval, median_interval
from ics_bench.stats.signed_rank import centre

SHOWN_LEVEL = 0.025
"""Error at either end of the intervals that are shown; no verdict rests on them."""

PValues = tuple[float | None, float | None]
"""Corrected p-values for the worse and for the better; ``None`` where nothing was tested."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What came back for one benchmark.

    Parameters
    ----------
    pairs : sequence of Pair
    fault : str
        Why they cannot be used; empty where they can.
    screened : int
        How many of them are the screen's.
    short : bool
        Whether there were fewer than asked for.
    """

    pairs: Sequence[Pair]
    fault: str
    screened: int
    short: bool


def conclude_values(benchmark: Benchmark, finding: Finding, p_values: PValues, rule: Rule) -> Result:
    """Turn what was found about values, such as those of a seeded metric, into their result."""
    p, p_better = p_values
    reading = finding.reading and replace(finding.reading, p=p, p_better=p_better)
    readings = (reading,) if reading else ()
    verdict, reason = finding.verdict, finding.reason
    if verdict is None:
        if p is not None and p <= rule.family_error:
            verdict, reason = "regression", f"worse by more than {finding.margin}, {_p(p)}"
        elif p_better is not None and p_better <= rule.family_error:
            verdict, reason = "improvement", f"better by more than {finding.margin}, {_p(p_better)}"
        elif finding.bounded:
            verdict, reason = "no change", f"differs, and is less than {finding.margin} worse"
        else:
            verdict = "inconclusive"
    return Result(benchmark, verdict, reason, readings, finding.warnings)


def conclude_pairs(
    benchmark: Benchmark, measured: Measured, trials: Mapping[str, Trial], p_values: Mapping[str, PValues], rule: Rule
) -> Result:
    """Turn what was found about a time or a memory into its result."""
    if measured.fault:
        if benchmark.undirected and _all_came(measured.pairs):  # whoever is not judged needs no ratio
            return Result(benchmark, "not judged", f"{benchmark.undirected}; {measured.fault}")
        return Result(benchmark, "error", measured.fault)
    if not measured.pairs:
        return Result(benchmark, "inconclusive", "not measured: the budget ended")
    found = [channel for channel in channels(benchmark, measured.pairs) if channel.quantity in trials]
    readings = [
        _reading(channel, trials[channel.quantity], p_values[channel.quantity], measured.screened) for channel in found
    ]
    if benchmark.undirected:
        return Result(benchmark, "not judged", benchmark.undirected, tuple(readings))
    verdict, reason, first = _verdict(readings, trials, measured, rule)
    ordered = sorted(readings, key=lambda reading: reading is not first)
    return Result(benchmark, verdict, reason, tuple(ordered), _warnings(benchmark, measured, verdict, ordered))


def _all_came(pairs: Sequence[Pair]) -> bool:
    """Whether every epoch gave a finite number at its first try."""
    epochs = [getattr(pair, side) for pair in pairs for side in SIDES]
    return all(math.isfinite(epoch.value) and not epoch.error and not epoch.failed_in_turns for epoch in epochs)


def _verdict(
    readings: Sequence[Reading], trials: Mapping[str, Trial], measured: Measured, rule: Rule
) -> tuple[Verdict, str, Reading]:
    slower = [r for r in readings if r.p is not None and r.p <= rule.family_error]
    faster = [r for r in readings if r.p_better is not None and r.p_better <= rule.family_error]
    loose = [r for r in readings if not trials[r.quantity].bounded]
    least_sure = max(readings, key=lambda r: r.bound)
    if slower:
        first = min(slower, key=lambda r: (r.p, -abs(r.change)))
        return "regression", f"{first.quantity} worse beyond the margin, {_p(first.p)}", first
    if loose:
        first = max(loose, key=lambda r: r.bound)
        known = "is not bounded" if math.isinf(first.bound) else f"may be up to {_percent(first.bound)} worse"
        at_most = ", the most that are taken" if len(measured.pairs) >= rule.most_pairs else ""
        ended = "; the budget ended" if measured.short else at_most
        return "inconclusive", f"{first.quantity} {known} after {count(len(measured.pairs), 'pair')}{ended}", first
    if len(measured.pairs) < measured.screened:
        screen = f"the budget ended after {len(measured.pairs)} of the {measured.screened} pairs of the screen"
        return "inconclusive", screen, least_sure
    open_still = [r for r in readings if trials[r.quantity].tested[WORSE] and trials[r.quantity].leans(WORSE)]
    if measured.short and open_still:
        first = max(open_still, key=lambda r: r.bound)
        return "inconclusive", f"{first.quantity} was flagged, and the budget ended before it was decided", first
    if faster:
        first = min(faster, key=lambda r: (r.p_better, -abs(r.change)))
        return "improvement", f"{first.quantity} better beyond the margin, {_p(first.p_better)}", first
    return "no change", f"at most {_percent(max(least_sure.bound, 0))} worse", least_sure


def _reading(channel: Channel, trial: Trial, p_values: PValues, screened: int) -> Reading:
    """Numbers to show: of the fresh pairs alone where the screen picked, since picked numbers flatter."""
    start = screened if trial.picked and trial.fresh.size else 0
    base, head = channel.base[start:], channel.head[start:]
    middle, interval = _middle(np.log(head / base), trial.by_signs)
    return Reading(
        channel.quantity,
        len(base),
        True,
        float(np.median(base)),
        float(np.median(head)),
        math.expm1(middle),
        Interval(*(math.expm1(end) for end in interval)),
        math.expm1(trial.bound),
        *p_values,
    )


def _middle(ratios: NDArray[np.float64], by_signs: bool) -> tuple[float, Interval]:
    """Estimate what the trial tests, the median or the centre, with its interval."""
    if by_signs:
        median = median_interval(ratios, 1 - 2 * SHOWN_LEVEL)
        return median.median, median.interval
    return centre(ratios, SHOWN_LEVEL)


def _warnings(
    benchmark: Benchmark, measured: Measured, verdict: Verdict, readings: Sequence[Reading]
) -> tuple[str, ...]:
    warnings = []
    if benchmark.kind == "timing" and len(readings) == 1 and measured.pairs[0].base.cpu_seconds is not None:
        warnings.append("processor time stood still in an epoch: judged by wall time alone")
    if measured.short and verdict != "inconclusive":
        warnings.append(f"the budget ended after {count(len(measured.pairs), 'pair')}")
    return tuple(warnings)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _p(p: float | None) -> str:
    assert p is not None
    return f"p {'<' if p < 1e-4 else '='} {max(p, 1e-4):.2g}"
