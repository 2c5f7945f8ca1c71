"""Plots of curves: the median of the seeds as a line, and from the lowest to the highest of them a band."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from ics_bench.report import text
from ics_bench.report.axes import Scale
from ics_bench.report.compare import comparisons, headed, joined, legend_of, picture
from ics_bench.report.figure import MissingDataError, Panel, Picture, Styles
from ics_bench.report.plotting import Series, line_plot
from ics_bench.report.select import Strand, median_strand, series_of, strands

if TYPE_CHECKING:
    import pandas as pd

STEP, LAYER = Scale("step"), Scale("layer")
BAND = 0.4
"""Opacity of a band, over that of plotly's own half-transparent filling."""


def trend_picture(
    frame: pd.DataFrame,
    styles: Styles,
    *,
    series: str,
    x: Scale,
    quantities: Mapping[str, tuple[str, Scale]],
    curve: str,
    limit: int,
    mark: float | None = None,
) -> Picture:
    """Draw curves of one or more metrics, one line a value of ``series``, one plot a metric and setting.

    Parameters
    ----------
    frame : DataFrame
    styles : Styles
    series : str
        Case key that the lines differ in.
    x : Scale
    quantities : mapping of metric to (str, Scale)
        Heading and y axis of each metric's plots.
    curve : str
        Label of the curves to draw.
    limit : int
        Most settings.
    mark : float, optional
        Value at which a horizontal line stands.

    Raises
    ------
    MissingDataError
        If no curve has a point.
    """
    frame = frame[(frame["curve_label"] == curve) & (frame["curve_x"].map(len, na_action="ignore") > 0)]
    if frame.empty:
        raise MissingDataError(f"no curve over {text.words(curve)} has a point")
    parts, left = comparisons(frame, series, limit=limit)
    panels, notes = [], [left]
    for title, part in parts:
        for metric, (name, y) in quantities.items():
            rows = part[part["metric"] == metric]
            if rows.empty:
                continue
            heading = joined(name, title)
            plot, beyond = trend_plot(rows, styles, series, x, y)
            if mark is not None:
                plot.add_hline(y=mark, line={"color": "var(--ink)", "width": 1, "dash": "dot"})
            panels.append(Panel(heading, plot))
            notes += headed(heading, beyond)
    return picture(panels, legend_of(frame, series, styles), notes, paired=len(quantities) == 2)


def trend_plot(frame: pd.DataFrame, styles: Styles, series: str, x: Scale, y: Scale) -> tuple[go.Figure, list[str]]:
    """Draw the curves of one metric in one setting.

    Returns
    -------
    Figure
    list of str
        What the axes cannot hold.
    """
    arms = [(text.scalar(value), styles.style(series, value), rows) for value, rows in series_of(frame, series)]
    bands = [(label, style, band_of(strands(rows), y)) for label, style, rows in arms]
    ends = [value for *_, (_, low, high) in bands for value in (*low, *high)]
    if ends:
        low, high = (end for end in (min(ends), max(ends)))
        known = [end for end in (y.low, y.high) if end is not None]
        y = dataclasses.replace(y, low=min(low, *known), high=max(high, *known)) if known else _between(y, low, high)
    plot, notes = line_plot([Series(label, style, median_strand(rows)) for label, style, rows in arms], x, y)
    lines = len(plot.data)
    for label, style, (positions, lows, highs) in bands:
        if positions:
            _add_band(plot, label, style.colour, positions, lows, highs)
    plot.data = (*plot.data[lines:], *plot.data[:lines])  # bands lie under the lines
    return plot, notes


def _between(y: Scale, low: float, high: float) -> Scale:
    return dataclasses.replace(y, low=low, high=high)


def band_of(lines: Sequence[Strand], y: Scale) -> tuple[list[float], list[float], list[float]]:
    """Find the lowest and highest line at each position, up to where one of them leaves the axis.

    Returns
    -------
    tuple of (list, list, list)
        Positions, lowest and highest values; empty for fewer than two lines, or lines of unlike positions.
    """
    if len(lines) < 2 or any(x != lines[0][0] for x, _ in lines):
        return [], [], []
    found: tuple[list[float], list[float], list[float]] = ([], [], [])
    for position, *values in zip(lines[0][0], *(y_ for _, y_ in lines), strict=True):
        if not all(y.fits(value) for value in values):
            break
        for column, value in zip(found, (position, min(values), max(values)), strict=True):
            column.append(value)
    return found


def _add_band(
    plot: go.Figure, label: str, colour: str, x: Sequence[float], low: Sequence[float], high: Sequence[float]
) -> None:
    plot.add_scatter(
        x=[*x, *reversed(x)],
        y=[*high, *reversed(low)],
        mode="lines",
        line={"width": 0, "color": colour},
        fill="toself",
        opacity=BAND,
        hoverinfo="skip",
        name=label,
        legendgroup=label,
        showlegend=False,
    )
