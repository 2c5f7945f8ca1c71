"""Training loss at each arm's best rate, by norm."""

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
STEP, LOSS = Scale("step"), Scale("training loss (nat)", log=True, span=1.0)


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One line a seed in the colour of its norm, one plot for each other setting."""
    parts, left = facets(frame, varying(frame, ("norm",)), ARMS)
    panels, notes = [], [left]
    for title, part in parts:
        series = [
            Series(text.scalar(norm), styles.style("norm", norm), strands(rows), faint=True)
            for norm, rows in series_of(part, "norm")
        ]
        plot, beyond = line_plot(series, STEP, LOSS)
        panels.append(Panel(title, plot))
        notes += [f"{title}: {note}" if title else note for note in beyond]
    legend = [Entry(text.scalar(norm), styles.style("norm", norm)) for norm in frame["norm"].unique()]
    return Picture(panels, legend, [note for note in notes if note])


FIGURE = Figure(
    title="Loss at each arm's best rate",
    caption=(
        "Cross-entropy on the training batch, one line a seed. A line may end early: where the target was reached, or "
        "where the loss diverged."
    ),
    workload="lr_ceiling",
    metrics=("steps_to_target",),
    keys=("norm",),
    curve="step",
    draw=draw,
    order=4,
)
