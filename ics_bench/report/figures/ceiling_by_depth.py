"""Largest learning rate against depth, by norm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.report import text
from ics_bench.report.axes import Scale
from ics_bench.report.depths import Points, depth_plot
from ics_bench.report.figure import Entry, Figure, Panel, Picture, Styles
from ics_bench.report.select import facets, series_of, varying

if TYPE_CHECKING:
    import pandas as pd

ARMS = 5
RATE = Scale("learning rate", log=True, span=2.0)
QUESTIONS = {"stable_ceiling": "stable", "trainable_ceiling": "trainable"}


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One line a norm; two plots, stable and trainable, for each other setting."""
    parts, left = facets(frame, varying(frame, ("depth", "norm")), ARMS)
    panels, notes = [], [left]
    for title, part in parts:
        for metric, question in QUESTIONS.items():
            heading = f"{question}, {title}" if title else question
            rows = part[part["metric"] == metric]
            if rows.empty:
                continue
            series = [_points(found, text.scalar(norm), styles) for norm, found in series_of(rows, "norm")]
            panels.append(Panel(heading, depth_plot(series, RATE, "not a number", f"no tested rate is {question}")))
            notes += _notes(series, heading, question)
    legend = [Entry(text.scalar(norm), styles.style("norm", norm)) for norm in frame["norm"].unique()]
    return Picture(panels, legend, [note for note in notes if note], paired=True)


def _points(rows: pd.DataFrame, norm: str, styles: Styles) -> Points:
    points = Points(norm, styles.style("norm", norm))
    for depth, value, warnings in zip(rows["depth"], rows["value"], rows["warnings"], strict=True):
        if not value < float("inf"):
            points.above.append(depth)
        elif value <= 0:
            points.below.append(depth)
        elif any(warning.startswith("censored") for warning in warnings):
            points.at_least.append((depth, value))
        else:
            points.line.append((depth, value))
    points.line.sort()
    return points


def _notes(series: list[Points], heading: str, question: str) -> list[str]:
    sides = {
        "at least the value shown for": [(s.label, [depth for depth, _ in s.at_least]) for s in series],
        f"no tested rate is {question} for": [(s.label, s.below) for s in series],
        "not a finite value for": [(s.label, s.above) for s in series],
    }
    return [
        f"{heading}: {meaning} {'; '.join(_at(label, depths) for label, depths in found if depths)}."
        for meaning, found in sides.items()
        if any(depths for _, depths in found)
    ]


def _at(label: str, depths: list[float]) -> str:
    return f"{text.shorten(label)} at depth {', '.join(f'{depth:g}' for depth in sorted(depths))}"


FIGURE = Figure(
    title="Learning-rate ceilings against depth",
    caption=(
        "Largest rate at which a majority of seeds does not diverge (stable) and reaches the target (trainable). "
        "△ the top of the grid succeeds, so the ceiling is at least (≥) that; ▽ no tested rate succeeds."
    ),
    workload="lr_ceiling",
    metrics=tuple(QUESTIONS),
    keys=("depth", "norm"),
    draw=draw,
    order=1,
)
