"""Plots of curves, one line a seed: for curves that end where a seed does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ics_bench.report import text
from ics_bench.report.axes import Scale
from ics_bench.report.compare import comparisons, headed, legend_of, picture
from ics_bench.report.figure import Panel, Picture, Styles
from ics_bench.report.plotting import Series, line_plot
from ics_bench.report.select import series_of, strands

if TYPE_CHECKING:
    import pandas as pd


def line_picture(frame: pd.DataFrame, styles: Styles, *, series: str, x: Scale, y: Scale, limit: int) -> Picture:
    """Draw the curves of one metric, in the colour of their value of ``series``, one plot a setting.

    Parameters
    ----------
    frame : DataFrame
        Rows of one metric with curves.
    styles : Styles
    series : str
        Case key that colours differ in.
    x, y : Scale
    limit : int
        Most settings.
    """
    parts, left = comparisons(frame, series, limit=limit)
    panels, notes = [], [left]
    for title, part in parts:
        lines = [
            Series(text.scalar(value), styles.style(series, value), strands(rows), faint=True)
            for value, rows in series_of(part, series)
        ]
        plot, beyond = line_plot(lines, x, y)
        panels.append(Panel(title, plot))
        notes += headed(title, beyond)
    return picture(panels, legend_of(frame, series, styles), notes)
