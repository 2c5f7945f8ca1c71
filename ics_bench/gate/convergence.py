"""Deterministic and seeded metrics: trajectories compared exactly, then values paired by seed against a margin."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ics_bench.core.text import count
from ics_bench.gate.rule import Rule
from ics_bench.gate.series import SIDES, Benchmark, Observation, Pair
from ics_bench.gate.verdict import Reading, Verdict
from ics_bench.stats import Interval, MedianInterval, median_interval
from ics_bench.stats.signed_rank import signed_rank

VALUE = "value"
NO_INTERVAL = Interval(math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class Finding:
    """What the values of one benchmark say before the family is corrected for.

    Parameters
    ----------
    verdict : Verdict, optional
        ``None`` where the p-values decide.
    reason : str
        Why that verdict; or what is said where the p-values are too large.
    reading : Reading, optional
    p, p_better : float
        Of a change beyond the margin, for the worse and for the better; 1 where there was no test.
    bounded : bool
        Whether a change for the worse beyond the margin is excluded.
    warnings : tuple of str
    margin : str
        What the p-values are held against, in words.
    """

    verdict: Verdict | None
    reason: str
    reading: Reading | None = None
    p: float = 1.0
    p_better: float = 1.0
    bounded: bool = False
    warnings: tuple[str, ...] = ()
    margin: str = ""


def judge_values(benchmark: Benchmark, pairs: Sequence[Pair], rule: Rule) -> Finding:
    """Judge a metric of kind exact or seeded on the pairs measured, of which one is enough."""
    for side in SIDES:
        errors = [error for pair in pairs if (error := getattr(pair, side).error)]
        if errors:
            both = all(any(getattr(pair, each).error for pair in pairs) for each in SIDES)
            return Finding("error", f"failed on {'both sides' if both else side}: {errors[0]}")
    if not pairs:
        return Finding("inconclusive", "not measured: the budget ended")
    varied = [side for side in SIDES if not _same_throughout([getattr(pair, side) for pair in pairs])]
    if varied and benchmark.kind == "exact":
        return Finding("inconclusive", f"declared exact, but {' and '.join(varied)} gave different values in turn")
    base, head = pairs[0].base, pairs[0].head
    if base.seeds is None and head.seeds is None:
        return _judge_number(benchmark, base.value, head.value)
    if base.seeds is None or head.seeds is None:
        side = "base" if base.seeds is None else "head"
        return Finding("error", f"{side} gave no seeds, the other side did: they cannot be paired")
    return _judge_seeds(benchmark, base.seeds, head.seeds, rule)


def _same_throughout(observations: Sequence[Observation]) -> bool:
    first = observations[0]
    return all(_equal_numbers([first.value], [o.value]) and _equal_seeds(first.seeds, o.seeds) for o in observations)


def _equal_numbers(one: Sequence[float], other: Sequence[float]) -> bool:
    return len(one) == len(other) and bool(np.array_equal(np.asarray(one, float), np.asarray(other, float), True))


def _equal_seeds(one: Mapping[int, Sequence[float]] | None, other: Mapping[int, Sequence[float]] | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.keys() == other.keys() and all(_equal_numbers(one[seed], other[seed]) for seed in one)


def _judge_number(benchmark: Benchmark, base: float, head: float) -> Finding:
    """Compare one number a side."""
    reading = Reading(
        VALUE, 1, False, base, head, _gap(base, head), Interval(_gap(base, head), _gap(base, head)), math.inf
    )
    if math.isnan(base) and math.isnan(head):
        return Finding("error", "NaN on both sides: there is nothing to compare", reading)
    if base == head:
        return Finding("no change", "equal to the last bit", reading, bounded=True, warnings=_not_finite([base]))
    if not math.isfinite(head) and math.isfinite(base):
        return Finding("regression", f"{head:g} on head alone", reading)
    if not math.isfinite(base) and math.isfinite(head):
        return Finding("improvement", f"{base:g} on base alone", reading)
    if not math.isfinite(base):
        return Finding("error", f"{base:g} on base and {head:g} on head: neither is finite", reading)
    if benchmark.kind != "exact":
        return Finding("inconclusive", "one number a side, and no seeds to tell a change from chance", reading)
    worse = (head > base) == (benchmark.better == "lower")
    if abs(head - base) < (benchmark.smallest_effect or 0.0):
        effect = _with_unit(benchmark.smallest_effect or 0.0, benchmark.unit)
        return Finding("no change", f"differs by less than {effect}, which is what matters", reading, bounded=True)
    return Finding("regression" if worse else "improvement", "deterministic, and different", reading)


def _judge_seeds(
    benchmark: Benchmark, base: Mapping[int, Sequence[float]], head: Mapping[int, Sequence[float]], rule: Rule
) -> Finding:
    seeds = [seed for seed in base if seed in head]
    if not seeds or any(not len(side[seed]) for side in (base, head) for seed in seeds):
        return Finding("error", f"the sides share {count(len(seeds), 'seed')} with values: nothing can be paired")
    alone = len(base.keys() ^ head.keys())
    warnings: tuple[str, ...] = (f"{count(alone, 'seed')} on one side only, left out",) if alone else ()
    last = np.array([[base[seed][-1], head[seed][-1]] for seed in seeds], dtype=np.float64)
    reading = _reading(last)
    if np.isnan(last).all():
        return Finding("error", "NaN on every seed of both sides: there is nothing to compare", reading)
    warnings += _not_finite(list(last[~np.isfinite(last).all(axis=1)].max(axis=1)))
    if all(_equal_numbers(base[seed], head[seed]) for seed in seeds):
        reason = f"equal to the last bit on {count(len(seeds), 'seed')}"
        return Finding("no change", reason, reading, bounded=True, warnings=warnings)
    broken, mended = (np.isfinite(last[:, side]) & ~np.isfinite(last[:, 1 - side]) for side in (0, 1))
    if broken.any() and not mended.any():
        reason = f"not finite on head alone, on {int(broken.sum())} of {count(len(seeds), 'seed')}"
        return Finding("regression", reason, reading, warnings=warnings)
    if benchmark.kind == "exact":
        return _judge_exactly(benchmark, last, reading, warnings)
    return _test(benchmark, last, rule, reading, warnings)


def _judge_exactly(
    benchmark: Benchmark, last: NDArray[np.float64], reading: Reading, warnings: tuple[str, ...]
) -> Finding:
    """Count any difference of a deterministic metric, on any seed, from the smallest that matters up."""
    worsening, least = _worsening(last, higher=benchmark.better == "higher"), benchmark.smallest_effect or 0.0
    worse, better = (int(((way >= least) & (way > 0)).sum()) for way in (worsening, -worsening))
    said = f"on {worse} of {count(len(last), 'seed')} worse, on {better} better"
    if worse:
        return Finding("regression", f"deterministic, and {said}", reading, warnings=warnings)
    if better:
        return Finding("improvement", f"deterministic, and {said}", reading, warnings=warnings)
    return Finding("no change", "ends at the same values", reading, bounded=True, warnings=warnings)


def _test(
    benchmark: Benchmark, last: NDArray[np.float64], rule: Rule, reading: Reading, warnings: tuple[str, ...]
) -> Finding:
    """Test the values of seeds against the smallest effect that matters."""
    seeds, margin = len(last), benchmark.smallest_effect
    if seeds < rule.least_seeds:
        reason = f"differs on {count(seeds, 'seed')}; the margin test needs {rule.least_seeds}"
        return Finding("inconclusive", reason, reading, warnings=warnings)
    if margin is None:
        reason = "differs, and no smallest effect that matters is declared to hold it against"
        return Finding("inconclusive", reason, reading, warnings=warnings)
    worsening = _worsening(last, higher=benchmark.better == "higher")
    held = _with_unit(margin, benchmark.unit)
    return Finding(
        None,
        f"differs on {count(seeds, 'seed')} by neither surely more nor surely less than {held}",
        reading,
        signed_rank(worsening - margin),
        signed_rank(-worsening - margin),
        signed_rank(margin - worsening) <= rule.bound_error,
        warnings,
        held,
    )


def _with_unit(value: float, unit: str) -> str:
    return f"{value:g}" if unit == "1" else f"{value:g} {unit}"


def _worsening(last: NDArray[np.float64], higher: bool) -> NDArray[np.float64]:
    """Return changes for the worse by seed; what is not finite is worse than anything that is."""
    oriented = -last if higher else last.copy()
    oriented[~np.isfinite(last)] = np.inf
    return _gaps(oriented[:, 0], oriented[:, 1])


def _gaps(base: NDArray[np.float64], head: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.subtract(head, base, out=np.zeros_like(base), where=base != head)  # inf - inf: no change


def _gap(base: float, head: float) -> float:
    return 0.0 if base == head else head - base


def _reading(last: NDArray[np.float64]) -> Reading:
    base, head = last[:, 0], last[:, 1]
    gaps = _gaps(base, head)
    finite = gaps[~np.isnan(gaps)]
    found = median_interval(finite) if finite.size else MedianInterval(math.nan, NO_INTERVAL, 0.0)
    return Reading(
        VALUE, len(last), False, float(np.median(base)), float(np.median(head)), found.median, found.interval, math.inf
    )


def _not_finite(values: Sequence[float]) -> tuple[str, ...]:
    found = sum(not math.isfinite(value) for value in values)
    return (f"not finite on {count(found, 'seed')}",) if found else ()
