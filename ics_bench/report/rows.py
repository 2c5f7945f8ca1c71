"""Dot plots: one row a setting, a marker at the median of its seeds and a small dot at each of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from ics_bench.report import text
from ics_bench.report.axes import Scale, Span, layout, span_of, value_at
from ics_bench.report.compare import comparisons, headed, joined, legend_of, picture
from ics_bench.report.figure import Panel, Picture, Style, Styles
from ics_bench.report.looks import Look, median_of
from ics_bench.report.plotting import edge_markers, markup
from ics_bench.report.select import series_of

if TYPE_CHECKING:
    import pandas as pd

FRAME, ROW, LANE = 84, 16, 15
"""Height of the axis with its title, of the space around a row, and of one series within it, in pixels."""


def row_picture(
    frame: pd.DataFrame,
    styles: Styles,
    *,
    rows: Sequence[str],
    series: str,
    looks: Mapping[str, tuple[str, Look]],
    limit: int = 4,
) -> Picture:
    """Draw one or more metrics, one row a setting, one colour a value of ``series``.

    Parameters
    ----------
    frame : DataFrame
    styles : Styles
    rows : sequence of str
        Case keys that make up a row. ``series`` may be one of them.
    series : str
        Case key that colours differ in.
    looks : mapping of metric to (str, Look)
        Heading and axis of each metric's plots; the plots of a metric share their axis.
    limit : int
        Most settings that get plots of their own.
    """
    parts, left = comparisons(frame, series, rows, limit)
    shown = [part for _, part in parts]
    spans = {
        metric: look.span([float(v) for part in shown for v in part.loc[part["metric"] == metric, "value"]])
        for metric, (_, look) in looks.items()
    }
    panels, notes = [], [left]
    for title, part in parts:
        for metric, (name, look) in looks.items():
            found = part[part["metric"] == metric]
            if found.empty:
                continue
            heading = joined(name, title)
            plot, beyond = row_plot(found, styles, rows, series, look, spans[metric])
            panels.append(Panel(heading, plot))
            notes += headed(heading, beyond)
    legend = [] if series in rows else legend_of(frame, series, styles)
    return picture(panels, legend, notes, paired=len(looks) == 2)


def row_plot(
    frame: pd.DataFrame, styles: Styles, rows: Sequence[str], series: str, look: Look, span: Span
) -> tuple[go.Figure, list[str]]:
    """Draw one metric in one setting.

    Returns
    -------
    Figure
    list of str
        Which seeds lie beyond the axis.
    """
    labels = row_labels(frame, rows)
    names = list(dict.fromkeys(labels))
    own_row = series in rows
    arms = [(value, styles.style(series, value), part) for value, part in series_of(frame, series)]
    lanes = 1 if own_row else len(arms)
    plot = go.Figure(layout=layout(look.scale, Scale(""), span, span_of((), Scale(""))))
    notes: list[str] = []
    for lane, (value, style, part) in enumerate(arms):
        offset = 0.7 * ((lane + 0.5) / lanes - 0.5) if lanes > 1 else 0.0
        label = text.scalar(value)
        placed = {
            name: [look.place(float(v)) for v in part.loc[[labels[i] == name for i in _places(frame, part)], "value"]]
            for name in names
        }
        found = [(names.index(name) + offset, name, values) for name, values in placed.items() if values]
        _add_dots(plot, label, style, found, look)
        _add_medians(plot, label, style, found, look, span)
        for _, name, values in found:
            notes += look.notes(name if own_row or lanes == 1 else joined(label, name), values)
    if look.mark is not None:
        plot.add_vline(x=look.mark, line={"color": "var(--ink)", "width": 1, "dash": "dot"})
    plot.update_layout(
        height=FRAME + (ROW + LANE * lanes) * len(names),
        yaxis={
            "tickvals": list(range(len(names))),
            "ticktext": names,
            "range": [len(names) - 0.5, -0.5],
            "title": None,
        },
    )
    return plot, notes


def row_labels(frame: pd.DataFrame, rows: Sequence[str]) -> list[str]:
    """Name the row of each measurement: texts as they are, numbers with what they are of."""
    told = [key for key in rows if frame[key].nunique() > 1] or list(rows[:1])

    def name(key: str, value: Any) -> str:
        return str(value) if isinstance(value, str) else f"{text.words(key)} {text.scalar(value)}"

    return [
        ", ".join(name(key, value) for key, value in zip(told, values, strict=True))
        for values in frame[told].itertuples(index=False)
    ]


def _places(frame: pd.DataFrame, part: pd.DataFrame) -> list[int]:
    places = {index: place for place, index in enumerate(frame.index)}
    return [places[index] for index in part.index]


Found = Sequence[tuple[float, str, list[float]]]
"""Place of a row, its name, and the values of its seeds, infinite where beyond the axis."""


def _add_dots(plot: go.Figure, label: str, style: Style, found: Found, look: Look) -> None:
    points = [(v, at, name) for at, name, values in found if len(values) > 1 for v in values if math.isfinite(v)]
    if points:
        plot.add_scatter(
            x=[v for v, _, _ in points],
            y=[at for _, at, _ in points],
            customdata=[name for *_, name in points],
            mode="markers",
            marker={"color": style.colour, "size": 5, "opacity": 0.45},
            **_traits(label, "one seed", look),
        )


def _add_medians(plot: go.Figure, label: str, style: Style, found: Found, look: Look, span: Span) -> None:
    medians = [(median_of(values), at, name) for at, name, values in found]
    inside = [point for point in medians if math.isfinite(point[0])]
    if inside:
        plot.add_scatter(
            x=[v for v, _, _ in inside],
            y=[at for _, at, _ in inside],
            customdata=[name for *_, name in inside],
            mode="markers",
            marker={"color": style.colour, "symbol": style.symbol, "size": 10, "line": {"width": 2}},
            **_traits(label, "median", look),
        )
    edges = ((math.inf, "triangle-right", look.above, span.above), (-math.inf, "triangle-left", look.below, span.below))
    for end, symbol, meaning, edge in edges:
        beyond = [point for point in medians if point[0] == end]
        if beyond:
            meaning = f"half of the seeds or more {meaning}"
            plot.add_scatter(
                x=[value_at(edge, look.scale)] * len(beyond),
                y=[at for _, at, _ in beyond],
                customdata=[name for *_, name in beyond],
                **edge_markers(label, style, symbol, meaning, at="%{customdata}"),
            )


def _traits(label: str, what: str, look: Look) -> dict[str, Any]:
    hover = f"%{{fullData.name}}<br>%{{customdata}}<br>{markup(look.scale.title)}: %{{x:.4~g}} ({what})<extra></extra>"
    return {"name": label, "legendgroup": label, "hovertemplate": hover, "showlegend": False}
