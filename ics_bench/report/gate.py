"""The page about a decision of the gate: one file, which needs neither scripts nor the network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import ics_bench
from ics_bench.gate.rows import COLUMNS, Row, headline, rows
from ics_bench.gate.verdict import EXIT_CODES, SIGNS, VERDICTS, Decision, Reading, Result
from ics_bench.report.render import GENERATOR, template_environment
from ics_bench.report.site import PAGE, write_site

TONES = {
    "regression": "refuted",
    "error": "refuted",
    "missing": "refuted",
    "incomparable": "refuted",
    "improvement": "supported",
    "no change": "supported",
}
"""Badges of the page, by verdict; the others are neutral."""

WIDTH = 180.0
"""Width of an interval's picture, in CSS pixels; its middle is no change."""

WIDEST = 0.5
"""Changes beyond this share are drawn at the edge."""


@dataclass(frozen=True, slots=True)
class Bar:
    """An interval of a ratio as a picture, with the two limits: places from the left, in pixels."""

    low: float
    high: float
    middle: float
    margin: float
    bound: float


@dataclass(frozen=True, slots=True)
class RowView:
    """One benchmark of the page."""

    row: Row
    tone: str
    bar: Bar | None


def render_decision(decision: Decision) -> str:
    """Write the page as one string of HTML."""
    span = _span(decision)
    return (
        template_environment()
        .get_template("gate.html.jinja")
        .render(
            generator=f"{GENERATOR} {ics_bench.__version__}",
            decision=decision,
            headline=headline(decision),
            meaning=EXIT_CODES[decision.exit_code],
            columns=COLUMNS,
            rows=[_view(decision, *both, span) for both in zip(decision.results, rows(decision), strict=True)],
            tally=[(v, n) for v in VERDICTS if (n := sum(r.verdict == v for r in decision.results))],
            signs=SIGNS,
            tones=TONES,
            width=WIDTH,
        )
    )


def write_decision(decision: Decision, out: str | Path) -> Path:
    """Write the page into a folder; an earlier report there is replaced.

    Raises
    ------
    UsageError
        If ``out`` holds something else than a report, or cannot be written.
    """
    return write_site(Path(out), {PAGE: render_decision(decision)})


def _view(decision: Decision, result: Result, row: Row, span: float) -> RowView:
    first = result.readings[0] if result.readings else None
    tone = "setting-dependent" if result.accepted else TONES.get(result.verdict, "")
    drawn = first is not None and first.relative and not math.isnan(first.change)
    return RowView(row, tone, _bar(decision, result, first, span) if first and drawn else None)


def _span(decision: Decision) -> float:
    """Share of change at the edges of the pictures: the same for all of them."""
    ends = [
        abs(end) for r in decision.results for reading in r.readings if reading.relative for end in reading.interval
    ]
    finite = [end for end in ends if math.isfinite(end)]
    return min(WIDEST, max([2 * decision.rule.bound, *finite]))


def _bar(decision: Decision, result: Result, reading: Reading, span: float) -> Bar:
    rule, memory = decision.rule, result.benchmark.kind == "memory"
    worse = -1 if result.benchmark.better == "higher" else 1
    limits = rule.memory_limits(reading.base) if memory else (rule.margin, rule.bound)
    shares = (*reading.interval, reading.change, *(worse * limit for limit in limits))
    return Bar(*(_place(share, span) for share in shares))


def _place(share: float, span: float) -> float:
    return round(WIDTH * (0.5 + 0.5 * max(-1.0, min(1.0, share / span))), 1)
