"""Plots of metrics against a number that cases differ in, such as the depth or the batch size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from ics_bench.report import text
from ics_bench.report.axes import Scale
from ics_bench.report.compare import comparisons, headed, joined, legend_of, picture
from ics_bench.report.depths import DEPTH, Points, depth_plot
from ics_bench.report.figure import Panel, Picture, Styles
from ics_bench.report.looks import Look, median_of
from ics_bench.report.select import series_of

if TYPE_CHECKING:
    import pandas as pd


def against_picture(
    frame: pd.DataFrame,
    styles: Styles,
    *,
    series: str,
    key: str,
    looks: Mapping[str, tuple[str, Look]],
    x: Scale = DEPTH,
    limit: int = 3,
) -> Picture:
    """Draw metrics against a number, one line of medians a value of ``series`` with its seeds around it.

    Parameters
    ----------
    frame : DataFrame
    styles : Styles
    series : str
        Case key that the lines differ in.
    key : str
        Case key that holds the number.
    looks : mapping of metric to (str, Look)
        Heading and vertical axis of each metric's plots.
    x : Scale
        Logarithmic.
    limit : int
        Most settings that get plots of their own.
    """
    parts, left = comparisons(frame, series, (key,), limit)
    panels, notes = [], [left]
    for title, part in parts:
        for metric, (name, look) in looks.items():
            rows = part[part["metric"] == metric]
            if rows.empty:
                continue
            heading = joined(name, title)
            plot, beyond = against_plot(rows, styles, series, key, look, x)
            panels.append(Panel(heading, plot))
            notes += headed(heading, beyond)
    return picture(panels, legend_of(frame, series, styles), notes, paired=len(looks) == 2)


def against_plot(
    frame: pd.DataFrame, styles: Styles, series: str, key: str, look: Look, x: Scale
) -> tuple[go.Figure, list[str]]:
    """Draw one metric in one setting.

    Returns
    -------
    Figure
    list of str
        Which seeds lie beyond the axis.
    """
    drawn: list[Points] = []
    notes: list[str] = []
    for value, rows in series_of(frame, series):
        points = Points(text.scalar(value), styles.style(series, value))
        for at, part in sorted(rows.groupby(key, sort=False)):
            placed = [look.place(float(v)) for v in part["value"]]
            place, median = float(at), median_of(placed)
            if len(placed) > 1:
                points.cloud += [(place, v) for v in placed if math.isfinite(v)]
            if math.isfinite(median):
                points.line.append((place, median))
            else:
                (points.above if median > 0 else points.below).append(place)
            notes += look.notes(f"{text.shorten(points.label)} at {text.words(key)} {text.number(place)}", placed)
        drawn.append(points)
    above, below = (f"half of the seeds or more {meaning}" for meaning in (look.above, look.below))
    plot = depth_plot(drawn, look.marked(), above, below, x, text.words(key))
    if look.mark is not None:
        plot.add_hline(y=look.mark, line={"color": "var(--ink)", "width": 1, "dash": "dot"})
    return plot, notes
