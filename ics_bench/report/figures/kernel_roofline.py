"""Bandwidth of kernels against the bytes that they move, under the copy's and under the shape's own roof."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.report import text
from ics_bench.report.axes import Scale
from ics_bench.report.figure import Entry, Figure, Panel, Picture, Style, Styles
from ics_bench.report.plotting import Series, line_plot
from ics_bench.report.select import Strand, facets, hold, series_of

if TYPE_CHECKING:
    import pandas as pd

PANELS = 8
GIGA, MEGA = 1e9, 1e6
MOVED = Scale("MB moved, at the fewest", log=True)
SPEED = Scale("GB/s", log=True)
ROOFS = {
    "copy": Style("var(--ink)", "circle-open", "dot"),
    "roof of the shape": Style("var(--baseline)", "circle-open", "dash"),
}


def draw(frame: pd.DataFrame, styles: Styles) -> Picture:
    """One line a provider over the shapes, one plot for each norm, direction and dtype, with the roofs of each."""
    scored = set(frame.loc[frame["metric"] == "roof_share", "case"])
    frame, held = hold(frame[frame["case"].isin(scored)], ("provider", "norm", "shape", "direction", "dtype"))
    parts, left = facets(frame, ("norm", "direction", "dtype"), PANELS)
    panels, notes = [], [held, left]
    for title, part in parts:
        lines = [
            Series(text.scalar(provider), styles.style("provider", provider), [_points(rows)["kernel"]])
            for provider, rows in series_of(part, "provider")
        ]
        roofs = _points(part)
        lines += [Series(name, style, [roofs[name]]) for name, style in ROOFS.items()]
        plot, beyond = line_plot(lines, MOVED, SPEED)
        panels.append(Panel(title, plot))
        notes += [f"{title}: {note}" if title else note for note in beyond]
    legend = [Entry(text.scalar(one), styles.style("provider", one)) for one in frame["provider"].unique()]
    legend += [Entry(name, style) for name, style in ROOFS.items()]
    return Picture(panels, legend, [note for note in notes if note])


def _points(rows: pd.DataFrame) -> dict[str, Strand]:
    """Speeds by MB moved: of the kernel, of the copy in the same run, and of the roof; medians of equal problems."""
    table = rows.pivot_table("value", "case", "metric", aggfunc="median", sort=False)
    moved = (table["bandwidth"] * GIGA * table["time"] / MEGA).round(6)
    speeds = {
        "kernel": table["bandwidth"],
        "copy": table["copy_bandwidth"],
        "roof of the shape": table["bandwidth"] / table["roof_share"],
    }
    medians = {name: column.groupby(moved).median().sort_index() for name, column in speeds.items()}
    return {name: (list(map(float, found.index)), list(map(float, found))) for name, found in medians.items()}


FIGURE = Figure(
    title="Kernels under the roof",
    caption=(
        "Fewest bytes that a problem moves, over the kernel's median time, against those bytes. Dotted: a copy of as "
        "many bytes in the same run. Dashed: what the copy's speed leaves where a mean is over more than the cores or "
        "blocks that share it can hold, so that the input must be read twice."
    ),
    workload="kernel_throughput",
    metrics=("bandwidth", "time", "copy_bandwidth", "roof_share"),
    keys=("norm", "direction", "shape", "provider", "dtype"),
    draw=draw,
    order=1,
)
