"""Deterministic and seeded metrics: trajectories compared exactly, then values paired by seed against a margin."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ics_bench.core.text import count
from ics_bench.gate.rule import Rule
from ics_bench.gate.series import SIDES, Benchmark, Observation, Pair, same_numbers, same_seeds
from ics_bench.gate.verdict import Reading, Verdict
from ics_bench.stats import Interval, MedianInterval, binomial_tails, median_interval
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
    """Judge a metric of kind exact or seeded on the pairs measured, of which one is enough.

    What is lost on head alone, NaN, or infinite where that is not the best there is, is worse whichever way is better,
    and is looked for first.
    """
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
    base, head, unsure = pairs[0].base, pairs[0].head, pairs[0].unsure
    if base.seeds is None and head.seeds is None:
        return _judge_number(benchmark, base.value, head.value, unsure)
    if base.seeds is None or head.seeds is None:
        side = "base" if base.seeds is None else "head"
        return Finding("error", f"{side} gave no seeds, the other side did: they cannot be paired")
    return _judge_seeds(benchmark, base.seeds, head.seeds, rule, unsure)


def _same_throughout(observations: Sequence[Observation]) -> bool:
    first = observations[0]
    return all(same_numbers([first.value], [o.value]) and same_seeds(first.seeds, o.seeds) for o in observations)


def _lost(benchmark: Benchmark, values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which values are failures: what is not finite, but for infinity where that is the best there is."""
    best = math.nan
    if benchmark.infinity_is_best:
        best = math.inf if benchmark.better == "higher" else -math.inf
    return np.asarray(~np.isfinite(values) & (values != best))


def _judge_number(benchmark: Benchmark, base: float, head: float, unsure: str) -> Finding:
    """Compare one number a side."""
    reading = Reading(
        VALUE, 1, False, base, head, _gap(base, head), Interval(_gap(base, head), _gap(base, head)), math.inf
    )
    lost_on_base, lost_on_head = _lost(benchmark, np.array([base, head]))
    if lost_on_base and lost_on_head:
        return Finding("error", f"{base:g} on base and {head:g} on head: there is nothing to compare", reading)
    if lost_on_head:
        return Finding("regression", f"{head:g} on head alone", reading)
    if benchmark.undirected:
        return Finding("not judged", benchmark.undirected, reading)
    if lost_on_base:
        return Finding("improvement", f"{base:g} on base alone", reading)
    if base == head:
        return Finding("no change", "equal to the last bit", reading, bounded=True)
    if unsure:
        return Finding("inconclusive", f"differs, and {unsure}", reading)
    if benchmark.kind != "exact":
        return Finding("inconclusive", "one number a side, and no seeds to tell a change from chance", reading)
    return _judge_exactly(benchmark, np.array([[base, head]]), reading, "")


def _judge_seeds(
    benchmark: Benchmark,
    base: Mapping[int, Sequence[float]],
    head: Mapping[int, Sequence[float]],
    rule: Rule,
    unsure: str,
) -> Finding:
    absent = sorted(base.keys() - head.keys())
    if absent:
        return Finding("error", f"head has no value on {_named(absent)}, and base has")
    seeds, more = list(base), len(head.keys() - base.keys())
    if not seeds or any(not len(side[seed]) for side in (base, head) for seed in seeds):
        return Finding("error", "a seed has no values, or there is none: nothing can be paired")
    warnings: tuple[str, ...] = (f"{count(more, 'seed')} on head only, left out",) if more else ()
    last = np.array([[base[seed][-1], head[seed][-1]] for seed in seeds], dtype=np.float64)
    reading = _reading(last)
    if np.isnan(last).all():
        return Finding("error", "NaN on every seed of both sides: there is nothing to compare", reading)
    lost = _lost(benchmark, last)
    if lost.any():
        warnings += (f"not finite on {count(int(lost.any(axis=1).sum()), 'seed')}",)
    moved = _moved(lost)
    if moved.broken and not moved.mended:
        reason = f"not finite on head alone, on {moved.broken} of {count(len(seeds), 'seed')}"
        return Finding("regression", reason, reading, warnings=warnings)
    if benchmark.undirected:
        return _judge_moved(benchmark, moved, reading, warnings)
    if all(same_numbers(base[seed], head[seed]) for seed in seeds):
        reason = f"equal to the last bit on {count(len(seeds), 'seed')}"
        return Finding("no change", reason, reading, bounded=True, warnings=warnings)
    if unsure:
        return Finding("inconclusive", f"differs, and {unsure}", reading, warnings=warnings)
    if benchmark.kind == "exact":
        said = f"on {{worse}} of {count(len(last), 'seed')} worse, on {{better}} better"
        return replace(_judge_exactly(benchmark, last, reading, said), warnings=warnings)
    return _test(benchmark, last, moved, rule, reading, warnings)


SHOWN_SEEDS = 8
"""Seeds that are named."""


def _named(seeds: Sequence[int]) -> str:
    more = f" and {len(seeds) - SHOWN_SEEDS} more" if len(seeds) > SHOWN_SEEDS else ""
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds[:SHOWN_SEEDS]))}{more}"


@dataclass(frozen=True, slots=True)
class _Moved:
    """Seeds whose value is finite on one side alone, with the exact one-sided sign tests of either direction."""

    broken: int
    mended: int

    @property
    def p_values(self) -> tuple[float, float]:
        """Of more broken than mended seeds, and of more mended than broken ones."""
        if not self.broken + self.mended:
            return 1.0, 1.0
        tails = binomial_tails(self.broken, self.broken + self.mended)
        return tails.many, tails.few

    @property
    def margin(self) -> str:
        """What the tests hold their excess against, in words."""
        return f"chance: {self}"

    def __str__(self) -> str:
        return f"not finite on head alone on {count(self.broken, 'seed')}, on base alone on {self.mended}"


def _moved(lost: NDArray[np.bool_]) -> _Moved:
    base, head = lost.T
    return _Moved(int((head & ~base).sum()), int((base & ~head).sum()))


def _judge_moved(benchmark: Benchmark, moved: _Moved, reading: Reading, warnings: tuple[str, ...]) -> Finding:
    """Test what was broken against what was mended, which is all there is to judge without a direction."""
    if not moved.broken:
        return Finding("not judged", benchmark.undirected, reading, warnings=warnings)
    worse, better = moved.p_values
    return Finding(None, str(moved), reading, worse, better, warnings=warnings, margin=moved.margin)


def _judge_exactly(benchmark: Benchmark, last: NDArray[np.float64], reading: Reading, said: str) -> Finding:
    """Count any difference of a deterministic metric, from the smallest that matters up."""
    scale = _Scale.of(benchmark)
    if scale.unfit(last):
        return Finding("error", scale.unfit(last), reading)
    worsening = scale.worsening(last, _lost(benchmark, last))
    worse, better = (int(((way >= scale.margin) & (way > 0)).sum()) for way in (worsening, -worsening))
    reason = said.format(worse=worse, better=better) if said else "different"
    if worse:
        return Finding("regression", f"deterministic, and {reason}", reading)
    if better:
        return Finding("improvement", f"deterministic, and {reason}", reading)
    if (worsening == 0).all():
        return Finding("no change", "ends at the same values", reading, bounded=True)
    return Finding("no change", f"differs by less than {scale.held}, which is what matters", reading, bounded=True)


def _test(
    benchmark: Benchmark,
    last: NDArray[np.float64],
    moved: _Moved,
    rule: Rule,
    reading: Reading,
    warnings: tuple[str, ...],
) -> Finding:
    """Test the values of seeds against the smallest effect that matters, and what broke against what was mended.

    Where seeds moved both ways there are two tests in each direction, and the smaller p-value counts twice.
    """
    scale, seeds = _Scale.of(benchmark), len(last)
    broke, mended = moved.p_values
    if seeds < rule.least_seeds:
        reason = f"differs on {count(seeds, 'seed')}; the margin test needs {rule.least_seeds}"
    elif not scale.known:
        reason = "differs, and no smallest effect that matters is declared to hold it against"
    elif scale.unfit(last):
        return Finding("error", scale.unfit(last), reading, warnings=warnings)
    else:
        reason = f"differs on {count(seeds, 'seed')} by neither surely more nor surely less than {scale.held}"
        worsening = scale.worsening(last, _lost(benchmark, last))
        worse, better = signed_rank(worsening - scale.margin), signed_rank(-worsening - scale.margin)
        if moved.broken or moved.mended:
            worse, better = min(1.0, 2 * min(worse, broke)), min(1.0, 2 * min(better, mended))
        bounded = signed_rank(scale.margin - worsening) <= rule.bound_error
        held = moved.margin if 2 * broke <= rule.family_error else scale.held
        return Finding(None, reason, reading, worse, better, bounded, warnings, held)
    if not moved.broken:
        return Finding("inconclusive", reason, reading, warnings=warnings)
    return Finding(None, reason, reading, broke, mended, warnings=warnings, margin=moved.margin)


@dataclass(frozen=True, slots=True)
class _Scale:
    """On which scale a metric's changes are taken, and the smallest that matters there.

    Parameters
    ----------
    higher : bool
        Whether higher is better.
    logarithmic : bool
    margin : float
        0 where none is declared.
    held : str
        The margin in words.
    known : bool
        Whether it is declared.
    """

    higher: bool
    logarithmic: bool
    margin: float
    held: str
    known: bool

    @classmethod
    def of(cls, benchmark: Benchmark) -> _Scale:
        higher, effect, ratio = benchmark.better == "higher", benchmark.smallest_effect, benchmark.smallest_ratio
        if ratio is not None:
            return cls(higher, True, math.log(ratio), f"a factor of {ratio:g}", True)
        return cls(higher, False, effect or 0.0, _with_unit(effect or 0.0, benchmark.unit), effect is not None)

    def unfit(self, last: NDArray[np.float64]) -> str:
        """Say why values have no place on this scale; empty where they have."""
        below = self.logarithmic and bool((last < 0).any())
        return "declares a smallest ratio, and has values below 0" if below else ""

    def worsening(self, last: NDArray[np.float64], lost: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return changes for the worse by seed; what is lost is worse than anything that is not."""
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.log(last) if self.logarithmic else last
        oriented = np.where(lost, np.inf, -values if self.higher else values)
        return _gaps(oriented[:, 0], oriented[:, 1])


def _with_unit(value: float, unit: str) -> str:
    return f"{value:g}" if unit == "1" else f"{value:g} {unit}"


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
