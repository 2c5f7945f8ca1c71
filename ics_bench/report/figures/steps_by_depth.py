"""Steps to target against depth, by norm."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ics_bench.report import text
from ics_bench.report.axes import Scale
from ics_bench.report.depths import Points, depth_plot
from ics_bench.report.figure import Entry, Figure, Panel, Picture, Styles
from ics_bench.report.select import facets, series_of, varying

if TYPE_CHECKING:
    import pandas as pd

ARMS = 6
STEPS = Scale("steps to target", log=True, span=1.0)


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One line of medians a norm with its seeds around it, one plot for each other setting."""
    parts, left = facets(frame, varying(frame, ("depth", "norm")), ARMS)
    panels, notes = [], [left]
    for title, part in parts:
        series = []
        for norm, rows in series_of(part, "norm"):
            points, missed = _points(rows, text.scalar(norm), styles)
            series.append(points)
            notes += [f"{title}: {note}" if title else note for note in missed]
        panels.append(Panel(title, depth_plot(series, STEPS, "target not reached by half of the seeds", "")))
    legend = [Entry(text.scalar(norm), styles.style("norm", norm)) for norm in frame["norm"].unique()]
    return Picture(panels, legend, [note for note in notes if note])


def _points(rows: pd.DataFrame, norm: str, styles: Styles) -> tuple[Points, list[str]]:
    points, missed = Points(norm, styles.style("norm", norm)), []
    for depth, part in sorted(series_of(rows, "depth"), key=lambda item: float(str(item[0]))):
        place, values = float(str(depth)), [float(value) for value in part["value"]]
        points.cloud += [(place, value) for value in values if math.isfinite(value)]
        median = float(part["value"].median(skipna=False))
        if math.isfinite(median):
            points.line.append((place, median))
        else:
            points.above.append(place)
        failed = sum(1 for value in values if not math.isfinite(value))
        if failed:
            missed.append(
                f"{text.shorten(norm)} at depth {place:g}: {failed} of {len(values)} seeds did not reach the target."
            )
    return points, missed


FIGURE = Figure(
    title="Steps to target at each arm's best rate",
    caption=(
        "Median over seeds; small dots are single seeds. The rate was chosen on other seeds. "
        "△ half of the seeds or more did not reach the target: infinitely many steps."
    ),
    workload="lr_ceiling",
    metrics=("steps_to_target",),
    keys=("depth", "norm"),
    draw=draw,
    order=2,
)
