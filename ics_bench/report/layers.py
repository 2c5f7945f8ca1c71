"""Plots of a quantity against layer, shared by the figures of `init_scale`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ics_bench.core.text import count
from ics_bench.report import text
from ics_bench.report.axes import Scale
from ics_bench.report.figure import Entry, MissingDataError, Panel, Picture, Styles
from ics_bench.report.plotting import Series, line_plot
from ics_bench.report.select import facets, hold, median_strand, series_of

if TYPE_CHECKING:
    import pandas as pd

LAYER = Scale("layer")
PANELS = 6


def layer_picture(
    frame: pd.DataFrame,
    styles: Styles,
    *,
    series: str,
    panels: Sequence[str],
    prefer: Mapping[str, object],
    y: Scale,
    at_least: int = 2,
) -> Picture:
    """Draw a curve over layers for each value of one case key.

    Parameters
    ----------
    frame : DataFrame
        Rows of one metric whose curves run over layers.
    styles : Styles
    series : str
        Case key that the lines differ in.
    panels : sequence of str
        Case keys that get a plot for each value.
    prefer : mapping of case key to value
        What the other keys are held at.
    y : Scale
    at_least : int
        Values of ``series`` without which there is nothing to compare.

    Raises
    ------
    MissingDataError
        If fewer values are left.
    """
    frame, held = hold(frame, (series, *panels), prefer)
    found = frame[series].nunique()
    if found < at_least:
        raise MissingDataError(f"it compares values of {text.words(series)}, and the run has {count(found, 'value')}")
    parts, left = facets(frame, panels, PANELS)
    drawn, notes = [], [held, left]
    for title, part in parts:
        lines = [
            Series(text.scalar(value), styles.style(series, value), median_strand(rows))
            for value, rows in series_of(part, series)
        ]
        plot, beyond = line_plot(lines, LAYER, y)
        drawn.append(Panel(title, plot))
        notes += [f"{title}: {note}" if title else note for note in beyond]
    legend = [Entry(text.scalar(value), styles.style(series, value)) for value in frame[series].dropna().unique()]
    return Picture(drawn, legend, [note for note in notes if note])
