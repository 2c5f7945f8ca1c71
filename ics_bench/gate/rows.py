"""A decision as lines of text, for every renderer alike; what names hold is escaped by the renderer, not here."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ics_bench.core.text import count
from ics_bench.gate.verdict import SIGNS, Decision, Reading, Result

COLUMNS = ("verdict", "benchmark", "base", "head", "change", "95 % interval", "n", "p")
UNITS = (("s", ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))), ("bytes", ((2**30, "GiB"), (2**20, "MiB"))))
MISSING = "–"


@dataclass(frozen=True, slots=True)
class Row:
    """One benchmark in words.

    Parameters
    ----------
    sign, verdict, name : str
    quantity : str
        What the numbers are of.
    base, head, change, interval, n, p : str
        ``–`` where there is none.
    reason : str
    others : tuple of str
        What its other quantities did.
    notes : tuple of str
        Waiver and warnings.
    """

    sign: str
    verdict: str
    name: str
    quantity: str
    base: str
    head: str
    change: str
    interval: str
    n: str
    p: str
    reason: str
    others: tuple[str, ...]
    notes: tuple[str, ...]


def rows(decision: Decision) -> list[Row]:
    """Put every result into words, the gravest first."""
    return [_row(result) for result in decision.results]


def _row(result: Result) -> Row:
    verdict = f"{result.verdict}, accepted" if result.accepted else result.verdict
    others = tuple(_other(reading, result.benchmark.unit) for reading in result.readings[1:])
    notes = (*((f"accepted: {result.waiver}",) if result.waiver else ()), *result.warnings)
    first = result.readings[0] if result.readings else None
    numbers = _numbers(first, result.benchmark.unit) if first else (MISSING,) * 6
    quantity = first.quantity if first else ""
    return Row(SIGNS[result.verdict], verdict, result.name, quantity, *numbers, result.reason, others, notes)


def _numbers(reading: Reading, unit: str) -> tuple[str, str, str, str, str, str]:
    known = [p for p in (reading.p, reading.p_better) if p is not None]
    return (
        amount(reading.base, unit),
        amount(reading.head, unit),
        change(reading.change, reading, unit),
        _interval(reading, unit),
        str(reading.n),
        _probability(min(known)) if known else MISSING,
    )


def _other(reading: Reading, unit: str) -> str:
    return f"{reading.quantity}: {change(reading.change, reading, unit)} ({_interval(reading, unit)})"


def amount(value: float, unit: str) -> str:
    """Write a value in a unit of fitting size.

    Examples
    --------
    >>> amount(0.00123, "s"), amount(0.93, "1"), amount(float("inf"), "steps")
    ('1.23 ms', '0.93', 'inf steps')
    """
    for name, sizes in UNITS:
        if unit == name and math.isfinite(value) and value:
            size, shown = next((pair for pair in sizes if abs(value) >= pair[0]), sizes[-1])
            return f"{value / size:.4g} {shown}"
    return f"{value:.4g}" if unit == "1" else f"{value:.4g} {unit}"


def change(value: float, reading: Reading, unit: str) -> str:
    """Write a change, or the end of an interval of one, with its sign."""
    if math.isnan(value):
        return MISSING
    if reading.relative:
        return f"{value:+.1%}".replace("%", " %")
    if value == 0:
        return "0"
    written = f"{value:+.4g}"
    return written if unit == "1" else f"{written} {unit}"


def _interval(reading: Reading, unit: str) -> str:
    ends = reading.interval
    if any(map(math.isnan, ends)) or (math.isinf(ends.low) and math.isinf(ends.high)):
        return MISSING
    low, high = (change(end, reading, unit) for end in ends)
    return f"{low} to {high}"


def _probability(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def headline(decision: Decision) -> str:
    """Say in one line what came out of how many benchmarks."""
    if decision.failures and not decision.results:
        return "nothing was compared"
    return f"{count(len(decision.results), 'benchmark')}: {decision.headline}"
