"""Share of seeds that succeed against the learning rate, by norm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.report import text
from ics_bench.report.axes import Scale
from ics_bench.report.figure import Entry, Figure, Panel, Picture, Styles
from ics_bench.report.plotting import Series, line_plot
from ics_bench.report.select import facets, series_of, strands, varying

if TYPE_CHECKING:
    import pandas as pd

ARMS = 6
RATE = Scale("learning rate", log=True)
SHARE = Scale("share of seeds", low=0.0, high=1.0)
QUESTIONS = {"stable_ceiling": "stable", "trainable_ceiling": "trainable"}


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One line a norm; two plots, stable and trainable, for each other setting."""
    parts, left = facets(frame, varying(frame, ("norm",)), ARMS)
    panels, notes = [], [left]
    for title, part in parts:
        for metric, question in QUESTIONS.items():
            heading = f"{question}, {title}" if title else question
            rows = part[part["metric"] == metric]
            if rows.empty:
                continue
            series = [
                Series(text.scalar(norm), styles.style("norm", norm), strands(found))
                for norm, found in series_of(rows, "norm")
            ]
            plot, beyond = line_plot(series, RATE, SHARE)
            panels.append(Panel(heading, plot))
            notes += [f"{heading}: {note}" for note in beyond]
    legend = [Entry(text.scalar(norm), styles.style("norm", norm)) for norm in frame["norm"].unique()]
    return Picture(panels, legend, [note for note in notes if note], paired=True)


FIGURE = Figure(
    title="Success against learning rate",
    caption=(
        "Share of seeds that do not diverge (stable) and that reach the target (trainable) at each rate that was "
        "tested to the end. Success need not be monotone in the rate."
    ),
    workload="lr_ceiling",
    metrics=tuple(QUESTIONS),
    keys=("norm",),
    curve="learning_rate",
    draw=draw,
    order=3,
)
