"""Plots of one value against depth, or another number of a case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import plotly.graph_objects as go

from ics_bench.report.axes import Scale, labelled, layout, span_of, value_at
from ics_bench.report.figure import Style
from ics_bench.report.plotting import edge_markers, identity, markup

DODGE = 1.035
"""Factor in depth between neighbouring series, so that equal values do not hide one another."""


DEPTH = Scale("depth (weight matrices)", log=True, span=0.7)


@dataclass(slots=True)
class Points:
    """Values of one series against depth.

    Parameters
    ----------
    label : str
    style : Style
    line : list of (float, float)
        Depth and value, joined by a line.
    at_least : list of (float, float)
        Values known only from below (≥), drawn as open triangles.
    above, below : list of float
        Depths at which the value lies off the axis.
    cloud : list of (float, float)
        Single seeds behind the line.
    """

    label: str
    style: Style
    line: list[tuple[float, float]] = field(default_factory=list)
    at_least: list[tuple[float, float]] = field(default_factory=list)
    above: list[float] = field(default_factory=list)
    below: list[float] = field(default_factory=list)
    cloud: list[tuple[float, float]] = field(default_factory=list)


def depth_plot(
    series: Sequence[Points], y: Scale, above: str, below: str, x: Scale = DEPTH, name: str = "depth"
) -> go.Figure:
    """Draw values against depth, or another number of a case.

    Parameters
    ----------
    series : sequence of Points
    y : Scale
    above, below : str
        What a value off the axis means, for the hover text.
    x : Scale
        Logarithmic.
    name : str
        What x is, in a word.
    """
    points = [point for s in series for point in (*s.line, *s.at_least, *s.cloud)]
    depths = sorted({depth for depth, _ in points} | {depth for s in series for depth in (*s.above, *s.below)})
    y_span = span_of((value for _, value in points), y, any(s.above for s in series), any(s.below for s in series))
    x_span = span_of(depths, x)
    plot = go.Figure(layout=layout(x, y, x_span, y_span))
    plot.update_xaxes(labelled(depths))
    edges = (("above", "triangle-up", above, y_span.above), ("below", "triangle-down", below, y_span.below))
    for place, s in enumerate(series):
        shift = DODGE ** (place - (len(series) - 1) / 2)
        _add(plot, s, s.cloud, shift, "markers", {"size": 4, "opacity": 0.45}, y, name)
        _add(plot, s, sorted([*s.line, *s.at_least]), shift, "lines", {}, y, name)
        _add(plot, s, s.line, shift, "markers", {"size": 9, "symbol": s.style.symbol}, y, name)
        _add_edge(plot, s, s.at_least, shift, "triangle-up", "at least this, the top of the grid", name)
        for side, symbol, meaning, edge in edges:
            beyond = [(depth, value_at(edge, y)) for depth in getattr(s, side)]
            _add_edge(plot, s, beyond, shift, symbol, meaning, name)
    return plot


def _add_edge(
    plot: go.Figure,
    s: Points,
    points: Sequence[tuple[float, float]],
    shift: float,
    symbol: str,
    meaning: str,
    name: str,
) -> None:
    if points:
        plot.add_scatter(
            x=[depth * shift for depth, _ in points],
            y=[value for _, value in points],
            customdata=[depth for depth, _ in points],
            **edge_markers(s.label, s.style, symbol, meaning, at=f"{markup(name)} %{{customdata}}"),
        )


def _add(
    plot: go.Figure,
    s: Points,
    points: Sequence[tuple[float, float]],
    shift: float,
    mode: str,
    marker: dict[str, object],
    y: Scale,
    name: str,
) -> None:
    if not points:
        return
    traits = identity(s.label, name, y.title)
    traits["hovertemplate"] = traits["hovertemplate"].replace("%{x}", "%{customdata:.4~g}")
    plot.add_scatter(
        x=[depth * shift for depth, _ in points],
        y=[value for _, value in points],
        customdata=[depth for depth, _ in points],
        mode=mode,
        line={"color": s.style.colour, "dash": s.style.dash, "width": 2},
        marker={"color": s.style.colour, **marker},
        **traits,
    )
